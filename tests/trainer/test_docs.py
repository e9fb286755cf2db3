"""docs/trainer.md names commands, recipes, exit codes and settings as they are."""

import re
from pathlib import Path

import typer

from bananas_core.contract import REASON_OF_EXIT_CODE, ExitCode
from bananas_trainer.command import INTERRUPTED_BY_KEYBOARD, app
from bananas_trainer.recipes import NAMED, fields_of
from bananas_trainer.settings import CHECKPOINT_SECONDS_VARIABLE, Settings

TEXT = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text()


def test_every_command_is_shown_and_every_flag_exists() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    shown = dict(re.findall(r"^    bananas-trainer (\w+)([^#\n]*)", TEXT, re.MULTILINE))
    assert shown.keys() == commands.keys()
    for name, arguments in shown.items():
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--\w+", arguments)) <= known


def test_every_exit_code_is_listed_with_its_reason() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ([\w, ]*) \|", TEXT, re.MULTILINE)
    listed = {int(code): reasons for codes, reasons in rows for code in codes.split(",")}
    assert listed.keys() == {int(code) for code in ExitCode} | {INTERRUPTED_BY_KEYBOARD}
    for code, reason in REASON_OF_EXIT_CODE.items():
        assert reason in listed[code]


def test_the_recipes_are_as_they_are_listed() -> None:
    (row,) = re.findall(r"^\| epochs, channels, layers, batch \|(.*)\|$", TEXT, re.MULTILINE)
    for name, cell in zip(NAMED, row.split("|"), strict=True):
        fields = fields_of(name)
        want = [fields[field] for field in ("epochs", "channels", "layers", "batch_size")]
        assert [int(number) for number in cell.split(",")] == want


def test_the_setting_is_named_with_its_default() -> None:
    assert f"`{CHECKPOINT_SECONDS_VARIABLE}` ({Settings().checkpoint_seconds:g})" in TEXT
