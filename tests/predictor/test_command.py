"""The `bananas` command: what it writes, what it refuses, and that searching is better than guessing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bananas_core.spaces import parse_architecture
from bananas_predictor.command import app

RUNNER = CliRunner()


def bananas(*arguments: object, stdin: str | None = None) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments], input=stdin)


def searched(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    out = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    result = bananas("search", *arguments, "--json", out)
    assert result.exit_code == 0, result.output
    read: dict[str, Any] = json.loads(out.read_text())
    return read


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- search ---


@pytest.mark.parametrize("strategy", ["bananas", "bananasPaper", "evolution", "localSearch", "random"])
@pytest.mark.parametrize("space", ["nasbench101", "nasbench201"])
def test_search_writes_the_documented_json(tmp_path: Path, space: Any, strategy: str) -> None:
    report = searched(tmp_path, "--space", space, "--strategy", strategy, "--trials", 14, "--seeds", 2, "--seed", 5)
    assert list(report) == ["space", "strategy", "settings", "versions", "table", "runs"]
    assert (report["space"], report["strategy"]) == (space, strategy)
    assert report["settings"]["trials"] == 14
    assert report["settings"].get("initialTrials") == (None if strategy == "random" else 10)
    assert set(report["versions"]) >= {"bananas-predictor", "torch", "numpy"}
    assert [run["seed"] for run in report["runs"]] == [5, 6]
    for run in report["runs"]:
        assert [trial["index"] for trial in run["trials"]] == list(range(14))
        for trial in run["trials"]:
            assert list(trial) == ["index", "architecture", "validation_accuracy", "test_accuracy", "seconds"]
            assert 0 <= trial["validation_accuracy"] <= 1
            assert parse_architecture(space, trial["architecture"]).to_text() == trial["architecture"]


def test_search_gives_the_same_for_the_same_seed(tmp_path: Path) -> None:
    one, two = (searched(tmp_path, "--space", "nasbench201", "--trials", 16, "--seed", 3) for _ in range(2))
    assert one == two


def test_search_shows_a_table_of_what_was_reached() -> None:
    result = bananas("search", "--space", "nasbench201", "--strategy", "random", "--trials", 12, "--seeds", 2)
    assert result.exit_code == 0
    assert "best validation %" in result.stdout
    assert "±" in result.stdout


@pytest.mark.slow
def test_bananas_beats_random_on_the_real_table_at_150_trials(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    table = data_file("nasbench201_cifar10.csv")
    best = {}
    for strategy in ("bananas", "random"):
        report = searched(
            tmp_path, "--space", "nasbench201", "--table", table, "--strategy", strategy, "--seeds", 5, "--trials", 150
        )
        best[strategy] = np.array(
            [max(trial["validation_accuracy"] for trial in run["trials"]) for run in report["runs"]]
        )
    assert (best["bananas"] >= best["random"]).all()
    assert best["bananas"].mean() - best["random"].mean() > 0.003
    assert 0.916067 - best["bananas"].mean() < 0.0025  # the best of the table


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["--space", "nasbench301"], "one of darts, nasbench101, nasbench201"),
        (
            ["--space", "nasbench201", "--strategy", "guess"],
            "one of bananas, bananasPaper, evolution, localSearch, random",
        ),
        (["--space", "nasbench201", "--trials", "0"], "--trials"),
        (["--space", "nasbench201", "--table", "absent.csv"], "absent.csv"),
        (["--space", "darts"], "darts"),
        (["--space", "nasbench201", "--json", "/absent/out.json"], "/absent is no folder"),
    ],
)
def test_search_refuses_bad_input_by_name(arguments: list[str], want: str) -> None:
    result = bananas("search", *arguments)
    assert result.exit_code != 0
    assert want in " ".join(result.output.replace("│", " ").split())  # typer draws a box around it
    assert "Traceback" not in result.output


# --- propose ---


@pytest.mark.parametrize("space", ["darts", "nasbench101", "nasbench201"])
def test_what_propose_gives_it_takes_back_with_an_accuracy(tmp_path: Path, space: str) -> None:
    trials = tmp_path / "trials.jsonl"
    trials.write_text("")
    known: list[dict[str, Any]] = []
    for _ in range(3):
        proposals = lines(bananas("propose", "--space", space, "--trials", trials, "--count", 5))
        assert [p["index"] for p in proposals] == list(range(len(known), len(known) + 5))
        known += [{**p, "validation_accuracy": int(p["hash"][:4], 16) / 0xFFFF} for p in proposals]
        trials.write_text("".join(json.dumps(line) + "\n" for line in known))
    assert len({line["hash"] for line in known}) == 15
    assert [line["origin"]["method"] for line in known] == ["random"] * 10 + ["mutation"] * 5


def test_propose_reads_standard_input_and_trials_in_flight_are_not_proposed_again() -> None:
    first = bananas("propose", "--space", "darts", "--count", 4)
    second = bananas("propose", "--space", "darts", "--count", 4, "--trials", "-", stdin=first.stdout)
    hashes = [line["hash"] for line in lines(first) + lines(second)]
    assert len(set(hashes)) == 8


def test_propose_takes_the_trials_of_a_search_report(tmp_path: Path) -> None:
    report = searched(tmp_path, "--space", "nasbench201", "--trials", 20)
    stdin = "\n".join(json.dumps(trial) for trial in report["runs"][0]["trials"])
    (proposal,) = lines(bananas("propose", "--space", "nasbench201", "--trials", "-", stdin=stdin))
    assert proposal["index"] == 20
    assert proposal["origin"]["method"] == "mutation"


def test_propose_says_why_it_gives_fewer() -> None:
    result = bananas("propose", "--space", "nasbench201", "--count", 50)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 10
    assert "10 of 50 given: the predictor waits for results" in result.stderr


GOOD = '{"index": 0, "architecture": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "validation_accuracy": 0.5}'


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        (GOOD, "line 2: index: 0 is there twice"),
        (GOOD.replace('"index": 0', '"index": -1'), "line 2: index"),
        (GOOD.replace('"index": 0', '"index": true'), "line 2: index"),
        (GOOD.replace('"index": 0', '"index": 1').replace("0.5", "91.2"), "line 2: validation_accuracy"),
        (GOOD.replace('"index": 0', '"index": 1').replace("0.5", "NaN"), "line 2: validation_accuracy"),
        (GOOD.replace('"index": 0', '"index": 1').replace("none~2", "nine~2"), "line 2: architecture: .*nine"),
        (GOOD.replace('"index": 0', '"number": 1'), "line 2: index"),
        (GOOD.replace('"index": 0', '"index": 1, "flavour": 1'), "line 2: flavour"),
        (GOOD.replace('"index": 0', '"index": 1, "failed": true'), "line 2: failed"),
        ('{"index": 1, "architecture": {"space": "darts"}}', "line 2: architecture"),
    ],
)
def test_propose_refuses_a_bad_line_by_its_number_and_field(line: str, want: str) -> None:
    result = bananas("propose", "--space", "nasbench201", "--trials", "-", stdin=f"{GOOD}\n{line}\n")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.search(want, result.stderr), result.stderr


def test_propose_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = bananas("propose", "--space", "darts", "--trials", tmp_path / "absent.jsonl")
    assert result.exit_code == 1
    assert "absent.jsonl" in result.stderr
