"""`bananas compare` and `assess`, `--resume` and Ctrl-C, and the statistics of the benchmarks."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bananas_core.api.search import Strategy
from bananas_predictor.command import app
from bananas_predictor.evaluation.table import Evaluated
from bananas_predictor.report import SearchReport, read_report
from bananas_predictor.runs import run_seeds
from bananas_tables import load_table
from bench.statistics import Estimate, holm, paired_p_value, wilson

RUNNER = CliRunner()
QUICK = ("--space", "nasbench201", "--trials", 14, "--seeds", 2)


def bananas(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments])


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_compare_runs_every_strategy_with_the_same_seeds(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = bananas("compare", *QUICK, "--strategies", "random,evolution,localSearch", "--json", out)
    assert result.exit_code == 0, result.output
    reports = json.loads(out.read_text())["reports"]
    assert [report["strategy"] for report in reports] == ["random", "evolution", "localSearch"]
    for report in reports:
        assert [run["seed"] for run in report["runs"]] == [0, 1]
    starts = [[t["architecture"] for t in report["runs"][0]["trials"][:10]] for report in reports]
    assert starts[0] == starts[1] == starts[2]  # paired: the same seed starts alike


def test_resume_keeps_whole_runs_and_makes_the_rest(tmp_path: Path) -> None:
    out, whole = tmp_path / "out.json", tmp_path / "whole.json"
    assert bananas("search", *QUICK, "--strategy", "random", "--json", whole).exit_code == 0
    cut = json.loads(whole.read_text())
    cut["runs"][1]["trials"] = cut["runs"][1]["trials"][:5]
    cut["runs"][0]["trials"][3]["seconds"] = 123.0  # shows that it is not made again
    out.write_text(json.dumps(cut))
    assert bananas("search", *QUICK, "--strategy", "random", "--json", out, "--resume").exit_code == 0
    resumed = json.loads(out.read_text())
    assert resumed["runs"][0]["trials"][3]["seconds"] == 123.0
    assert resumed["runs"][1] == json.loads(whole.read_text())["runs"][1]


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (("search", *QUICK, "--resume"), "needs --json"),
        (("compare", *QUICK, "--strategies", "random,guess"), "'guess' is no strategy"),
        (("compare", *QUICK, "--plot", "out.txt"), "want a name that ends in .svg"),
        (("compare", *QUICK, "--plot", "/absent/out.svg"), "/absent is no folder"),
        (("assess", "--space", "nasbench201", "--train-sizes", "20,x"), "want numbers from 2 to 10000"),
        (("assess", "--space", "darts"), "darts"),
    ],
)
def test_bad_input_is_refused_by_name(arguments: tuple[Any, ...], want: str) -> None:
    result = bananas(*arguments)
    assert result.exit_code != 0
    assert want in flat(result.output)
    assert "Traceback" not in result.output


def test_resume_refuses_the_file_of_another_search_and_a_damaged_one(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert bananas("search", *QUICK, "--strategy", "random", "--json", out).exit_code == 0
    other = bananas("search", *QUICK, "--strategy", "evolution", "--json", out, "--resume")
    assert other.exit_code == 1
    assert "strategy of the file is random; asked for evolution" in flat(other.output)
    out.write_text(out.read_text()[:-20])
    damaged = bananas("search", *QUICK, "--strategy", "random", "--json", out, "--resume")
    assert damaged.exit_code == 1
    assert "out.json" in damaged.output


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    table, settings = load_table("nasbench201", None), Strategy(name="random")

    def interrupt(seed: int, evaluated: Evaluated) -> None:
        if seed == 1 and evaluated.index == 6:
            raise KeyboardInterrupt

    done = run_seeds(table, settings, 14, range(3), interrupt)
    assert done.interrupted
    assert [(run.seed, len(run.trials)) for run in done.report.runs] == [(0, 14), (1, 7)]
    path = tmp_path / "out.json"
    path.write_text(done.report.to_json())
    again = run_seeds(table, settings, 14, range(3), lambda *_: None, read_report(path, SearchReport))
    want = run_seeds(table, settings, 14, range(3), lambda *_: None)
    assert again.report == want.report


def test_a_run_that_is_cut_off_again_before_it_got_so_far_loses_nothing() -> None:
    table, settings = load_table("nasbench201", None), Strategy(name="random")

    def stop_at(index: int) -> Callable[[int, Evaluated], None]:
        def interrupt(seed: int, evaluated: Evaluated) -> None:
            if seed == 0 and evaluated.index == index:
                raise KeyboardInterrupt

        return interrupt

    first = run_seeds(table, settings, 14, range(2), stop_at(9)).report
    whole = run_seeds(table, settings, 14, range(1, 2), lambda *_: None).report
    known = first.model_copy(update={"runs": (*first.runs, *whole.runs)})
    again = run_seeds(table, settings, 14, range(2), stop_at(4), known)
    assert again.interrupted
    assert again.report == known


def test_assess_says_how_wrong_each_predictor_is_at_each_size(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = bananas("assess", "--space", "nasbench201", "--train-sizes", "20,100", "--repeats", 2, "--json", out)
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["assessments"]
    assert [(row["predictor"], row["train_size"]) for row in rows] == [
        ("bananas", 20),
        ("bananas", 100),
        ("bananasPaper", 20),
        ("bananasPaper", 100),
    ]
    assert all(len(row["mean_absolute_errors"]) == 2 for row in rows)
    assert np.mean(rows[1]["rank_correlations"]) > np.mean(rows[0]["rank_correlations"])


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_plots_are_written_in_the_format_of_their_name(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; it is the extra plots of ./predictor")
    out = tmp_path / f"out.{ending}"
    result = bananas("compare", *QUICK, "--strategies", "random,localSearch", "--plot", out)
    assert result.exit_code == 0, result.output
    if ending == "svg":
        assert ET.fromstring(out.read_text()).tag.endswith("svg")
    else:
        assert out.read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        result = bananas("compare", *QUICK, "--trials", 100_000, "--plot", tmp_path / "out.svg")
        assert result.exit_code == 1
        assert re.search(r"pip install ./core ./tables './predictor\[plots\]'", flat(result.output))
    else:
        pytest.skip("matplotlib is installed")


# --- statistics ---


def test_wilson_is_what_the_books_have() -> None:
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-3)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=1e-3)


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_paired_differences_are_found_where_they_are_and_not_where_they_are_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(100)
    assert paired_p_value(base, base + 0.05 + 0.01 * rng.standard_normal(100)) < 0.001
    assert paired_p_value(base, base + 0.01 * rng.standard_normal(100)) > 0.01
    assert paired_p_value(base, base) == 1.0


def test_an_estimate_has_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    estimate = Estimate.of(values)
    assert estimate.error == pytest.approx(0.1, abs=0.01)
    assert estimate.low < estimate.mean < estimate.high
    assert estimate.high - estimate.low == pytest.approx(4 * estimate.error, rel=0.15)
