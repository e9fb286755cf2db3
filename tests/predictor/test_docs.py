"""docs/command.md names commands, options, settings and JSON keys as they are."""

import json
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer

from bananas_core.api.search import Acquisition, Encoding, Strategy
from bananas_predictor.command import app
from bananas_predictor.report import Assessment, AssessReport, Run, SearchReport, Trial
from bananas_predictor.strategies import STRATEGIES
from bananas_predictor.strategies.effective import HEEDED

TEXT = (Path(__file__).parents[2] / "docs" / "command.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SHOWN = re.findall(r"^bananas (.*)$", TEXT, re.MULTILINE)
FOUR = ("search", "compare", "assess", "propose")


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_that_is_shown_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line.partition(" > ")[0])
    COMMANDS[name].make_context(name, arguments)  # parses, and does nothing


def test_every_command_is_shown() -> None:
    assert {line.split()[0] for line in SHOWN} == set(FOUR)


def test_every_option_is_named_and_every_option_that_is_named_exists() -> None:
    known = {option for name in FOUR for parameter in COMMANDS[name].params for option in parameter.opts}
    assert set(re.findall(r"`(--[\w-]+)", TEXT)) == known - {"--no-one-run", "--no-resume"}


def test_every_setting_strategy_acquisition_and_encoding_is_named() -> None:
    ticked = set(re.findall(r"`(\w+)`", TEXT))
    settings = {str(field.alias) for name, field in Strategy.model_fields.items() if name != "name"}
    assert {field for fields in HEEDED.values() for field in fields} == settings
    assert settings | set(STRATEGIES) | set(get_args(Acquisition)) | set(get_args(Encoding)) <= ticked


def test_the_json_that_is_shown_is_what_is_written() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    report = SearchReport.model_validate(json.loads(shown))
    assert list(json.loads(shown)) == list(SearchReport.model_fields)
    assert list(json.loads(shown)["runs"][0]["trials"][0]) == list(Trial.model_fields)
    assert isinstance(report.runs[0], Run)
    section = TEXT.split("## assess")[1].split("## propose")[0]
    assert {*AssessReport.model_fields, *Assessment.model_fields} <= set(re.findall(r"`(\w+)`", section))
