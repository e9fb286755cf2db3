"""What was done is never lost: `--resume` with other seeds and strategies, code of a person's that raises, Ctrl-C in `assess`."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bananas_core.api.search import Strategy
from bananas_core.spaces import Architecture
from bananas_predictor import assessment
from bananas_predictor.command import app
from bananas_predictor.report import AssessReport, SearchReport
from bananas_predictor.runs import run_seeds
from bananas_predictor.spaces import SPACES
from bananas_tables import load_table

RUNNER = CliRunner()
RANDOM = ("search", "--space", "nasbench201", "--strategy", "random", "--trials", 12)
COMPARE = ("compare", "--space", "nasbench201", "--trials", 12, "--seeds", 2)

RAISING = """
calls = 0

def accuracy(architecture):
    global calls
    calls += 1
    if calls == 15:
        raise RuntimeError("out of lemons")
    return calls / 1000

def leaves(architecture):
    raise SystemExit(3)
"""
LEMONS = """
class Space:
    def __init__(self):
        self.drawn = 0

    def sample(self, rng):
        self.drawn += 1
        if self.drawn > 60:
            raise RuntimeError("no more lemons")
        return int(rng.integers(100_000))

    mutate = lambda self, architecture, rng: int(rng.integers(100_000))
    neighbours = lambda self, architecture: [architecture + 1]
    canonical = lambda self, architecture: architecture
    features = lambda self, architecture: [architecture / 100_000, 1.0]
    to_text = lambda self, architecture: str(architecture)
    from_text = lambda self, text: int(text)

def accuracy(architecture):
    return architecture / 100_000

def always(architecture):
    return 0.5
"""


LEAVING = """
calls = 0

def leave(architecture):
    global calls
    calls += 1
    if calls > 45:
        raise SystemExit(0)
    return [architecture / 100_000, 1.0]
"""


def space_at(name: str) -> tuple[str, ...]:
    return ("--space", "custom", "--space-entry-point", f"{name}:Space")


def bananas(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments])


def table_of(output: str) -> str:
    return flat(output[output.index("random on nasbench201") :])


def cut_to(report: SearchReport, trials: int) -> SearchReport:
    runs = tuple(run.model_copy(update={"trials": run.trials[:trials]}) for run in report.runs)
    return report.model_copy(update={"runs": runs})


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes a module of a person's importable, and says its name."""
    made: list[str] = []

    def write(text: str) -> str:
        name = f"lemons_{tmp_path.name.replace('-', '_')}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in made:
        sys.modules.pop(name, None)


# --- what a person's code raises ---


def test_an_evaluator_that_raises_is_named_and_what_was_done_goes_on_by_resume(
    tmp_path: Path, module: Callable[[str], str]
) -> None:
    out, name = tmp_path / "out.json", module(RAISING)
    again = (*RANDOM, "--seeds", 2, "--evaluator", f"{name}:accuracy", "--json", out)
    result = bananas(*again)
    assert result.exit_code == 1
    assert f"--evaluator {name}:accuracy: RuntimeError: out of lemons" in flat(result.output)
    assert f"{name}.py, line 8) for |" in flat(result.output)
    assert "--resume goes on from it" in flat(result.output)
    assert [len(run["trials"]) for run in read(out)["runs"]] == [12, 2]
    first = read(out)["runs"][0]
    assert bananas(*again, "--resume").exit_code == 0
    assert [len(run["trials"]) for run in read(out)["runs"]] == [12, 12]
    assert read(out)["runs"][0] == first


def test_an_evaluator_that_leaves_does_not_end_the_command_in_silence(module: Callable[[str], str]) -> None:
    result = bananas(*RANDOM, "--evaluator", f"{module(RAISING)}:leaves")
    assert result.exit_code == 1
    assert "SystemExit: 3" in flat(result.output)


def test_a_space_of_ones_own_that_raises_is_named_and_what_was_done_is_kept(
    tmp_path: Path, module: Callable[[str], str]
) -> None:
    out, name = tmp_path / "out.json", module(LEMONS)
    space = ("--space", "custom", "--space-entry-point", f"{name}:Space", "--evaluator", f"{name}:accuracy")
    result = bananas("search", *space, "--strategy", "random", "--trials", 100, "--json", out)
    assert result.exit_code == 1
    assert "--space custom: RuntimeError: no more lemons" in flat(result.output)
    assert read(out)["runs"][0]["trials"]


def test_a_space_of_ones_own_that_leaves_does_not_end_a_command_in_silence_and_what_was_done_is_kept(
    tmp_path: Path, module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "TEST_ROWS", 10)
    leaving = LEMONS.replace('RuntimeError("no more lemons")', "SystemExit(0)")
    out, name, table = tmp_path / "out.json", module(leaving), tmp_path / "t.csv"
    table.write_text("\n".join(["arch,validation_accuracy", *(f"{number},0.5" for number in range(40))]) + "\n")
    space = ("--space", "custom", "--space-entry-point", f"{name}:Space")
    result = bananas(
        *("search", *space, "--evaluator", f"{name}:accuracy", "--strategy", "random", "--trials", 100, "--json", out)
    )
    assert result.exit_code == 1
    assert f"--space custom: SystemExit: 0 ({tmp_path / name}.py, line 9)".replace(" ", "") in "".join(
        result.output.split()
    )
    assert len(read(out)["runs"][0]["trials"]) >= 10
    proposing = ("--strategy", "random", "--count", 100)
    assessing = ("--table", table, "--train-sizes", 20, "--repeats", 1)
    leaves_in_features = leaving.replace("[architecture / 100_000, 1.0]", "leave(architecture)") + LEAVING
    for arguments in (("propose", *space, *proposing), ("assess", *space_at(module(leaves_in_features)), *assessing)):
        result = bananas(*arguments)
        assert result.exit_code == 1, result.output
        assert "--space custom: SystemExit: 0 (" in flat(result.output)


# --- resume ---


def test_resume_with_other_seeds_keeps_the_runs_that_are_known(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert bananas(*RANDOM, "--seeds", 3, "--json", out).exit_code == 0
    known = read(out)["runs"]
    assert bananas(*RANDOM, "--seeds", 2, "--seed", 7, "--json", out, "--resume").exit_code == 0
    assert [run["seed"] for run in read(out)["runs"]] == [0, 1, 2, 7, 8]
    assert read(out)["runs"][:3] == known
    shown = bananas(*RANDOM, "--seeds", 2, "--seed", 7, "--json", out, "--resume").output
    assert table_of(shown) == table_of(bananas(*RANDOM, "--seeds", 2, "--seed", 7).output)
    assert "2 seed(s)" in flat(shown)


def test_the_curves_of_compare_are_of_the_seeds_that_are_asked_for_and_none_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str, Any]] = []
    monkeypatch.setattr("bananas_predictor.options.check_plot", lambda _: None)
    monkeypatch.setattr("bananas_predictor.plots.trajectories", lambda *given: drawn.append(given[-1]))
    out, plot = tmp_path / "out.json", tmp_path / "out.svg"
    given = (*COMPARE, "--strategies", "random", "--json", out, "--plot", plot)
    assert bananas(*given).exit_code == 0
    assert bananas(*given, "--seed", 7, "--resume").exit_code == 0
    assert bananas(*COMPARE, "--strategies", "random", "--seed", 7, "--plot", plot).exit_code == 0
    assert drawn[1]["random"].tolist() == drawn[2]["random"].tolist()
    cut = read(out)
    assert [run["seed"] for run in cut["reports"][0]["runs"]] == [0, 1, 7, 8]
    for run in cut["reports"][0]["runs"][:2]:
        del run["trials"][5:]
    out.write_text(json.dumps(cut))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bananas_tables.toy.ToyNasbench201.look_up", interrupt)
        result = bananas(*given, "--seeds", 8, "--resume")  # 0 to 7, of which 7 alone is whole
    assert result.exit_code == 130
    assert drawn[3]["random"].tolist() == drawn[2]["random"].tolist()[:1]
    assert "1 seed(s)" in flat(result.output)
    assert [len(run["trials"]) for run in read(out)["reports"][0]["runs"]] == [5, 5, 12, 12]


def test_where_every_run_was_cut_off_the_one_that_got_farthest_is_shown() -> None:
    table, settings = load_table("nasbench201", None), Strategy(name="random")

    def interrupt(seed: int, evaluated: Any) -> None:
        if evaluated.index == 4:
            raise KeyboardInterrupt

    done = run_seeds(table, settings, 12, [3], interrupt)
    assert done.whole.runs == ()
    assert [(run.seed, len(run.trials)) for run in done.shown.runs] == [(3, 5)]


def test_a_run_that_used_the_space_up_is_whole_and_one_that_was_cut_off_is_not() -> None:
    done = run_seeds(load_table("nasbench201", None), Strategy(name="random"), 12, [0], lambda *_: None)
    short = replace(done, report=cut_to(done.report, 5))
    assert [len(run.trials) for run in replace(short, exhausted=(0,)).whole.runs] == [5]
    assert short.whole.runs == ()


def test_compare_that_is_cut_off_keeps_the_strategies_that_it_had_not_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    assert bananas(*COMPARE, "--strategies", "random,evolution,localSearch", "--json", out).exit_code == 0
    known = {report["strategy"]: report for report in read(out)["reports"]}
    cut = read(out)
    cut["reports"][0]["runs"].pop()  # of random
    out.write_text(json.dumps(cut))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bananas_tables.toy.ToyNasbench201.look_up", interrupt)
        result = bananas(*COMPARE, "--strategies", "random,evolution", "--json", out, "--resume")
    assert result.exit_code == 130
    found = {report["strategy"]: report for report in read(out)["reports"]}
    assert found["evolution"] == known["evolution"]
    assert found["localSearch"] == known["localSearch"]
    assert len(found["random"]["runs"]) == 1
    assert bananas(*COMPARE, "--strategies", "random,evolution", "--json", out, "--resume").exit_code == 0
    assert {report["strategy"]: report for report in read(out)["reports"]} == known


def test_resume_of_compare_refuses_the_file_of_another_search_before_it_runs_anything(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert bananas(*COMPARE, "--strategies", "evolution", "--json", out).exit_code == 0
    result = bananas(
        *COMPARE, "--strategies", "random,evolution", "--set", "initialTrials=5", "--json", out, "--resume"
    )
    assert result.exit_code == 1
    assert "settings of the file is" in flat(result.output)
    assert [report["strategy"] for report in read(out)["reports"]] == ["evolution"]


def test_resume_refuses_another_table_of_the_same_name(tmp_path: Path) -> None:
    for folder, accuracy in (("a", 0.5), ("b", 0.6)):
        (tmp_path / folder).mkdir()
        cells = SPACES["nasbench201"].sample(4, np.random.default_rng(0))
        rows = [f"{one.to_text()},{accuracy}" for one in SPACES["nasbench201"].unpack(cells)]
        (tmp_path / folder / "t.csv").write_text("\n".join(["arch,validation_accuracy", *rows]) + "\n")
    found = [load_table("nasbench201", tmp_path / folder / "t.csv") for folder in ("a", "b")]
    assert found[0].source == found[1].source
    reports = [run_seeds(table, Strategy(name="random"), 3, [], lambda *_: None).report for table in found]
    with pytest.raises(ValueError, match=r"settings of the file is .*tableDigest"):
        reports[0].check_same(reports[1])


def test_resume_refuses_a_file_that_does_not_say_which_table_it_is_of(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert bananas(*RANDOM, "--json", out).exit_code == 0
    old = read(out)
    del old["settings"]["tableDigest"]
    out.write_text(json.dumps(old))
    result = bananas(*RANDOM, "--json", out, "--resume")
    assert result.exit_code == 1
    assert "does not say which table it is of (settings.tableDigest)" in flat(result.output)


def test_resume_refuses_a_file_of_a_function_that_an_earlier_version_wrote(
    tmp_path: Path, module: Callable[[str], str]
) -> None:
    out = tmp_path / "out.json"
    again = (*RANDOM, "--evaluator", f"{module(LEMONS)}:always", "--json", out)
    report = run_seeds(load_table("nasbench201", None), Strategy(name="random"), 12, [0], lambda *_: None).report
    old = json.loads(report.to_json())
    old["settings"] = {**Strategy(name="random").to_kubernetes(), "trials": 12}
    old["table"] = again[-3]
    del old["versions"]["bananas-core"], old["versions"]["python"]
    out.write_text(json.dumps(old))
    before = out.read_text()
    result = bananas(*again, "--resume")
    assert result.exit_code == 1
    want = "--resume: the file does not say which settings took effect (versions.bananas-core): an earlier version of Bananas"
    assert want in flat(result.output)
    assert "{" not in result.output
    assert out.read_text() == before


# --- what a report says ---


@pytest.mark.parametrize(
    ("strategy", "want"),
    [
        (
            "bananas",
            {
                "name": "bananas",
                "initialTrials": 10,
                "ensembleSize": 10,
                "encoding": "graph",
                "acquisition": "its",
                "candidates": 1000,
                "mutationRate": 1.0,
                "fallback": "none",
            },
        ),
        (
            "bananasPaper",
            {
                "name": "bananasPaper",
                "initialTrials": 10,
                "ensembleSize": 5,
                "acquisition": "its",
                "fallback": "none",
            },
        ),
        ("evolution", {"name": "evolution", "initialTrials": 10}),
        ("localSearch", {"name": "localSearch", "initialTrials": 10}),
        ("random", {"name": "random"}),
    ],
)
def test_a_report_has_the_settings_that_took_effect_the_table_and_the_versions(
    strategy: Any, want: dict[str, Any]
) -> None:
    table = load_table("nasbench201", None)
    report: SearchReport = run_seeds(table, Strategy(name=strategy), 3, [], lambda *_: None).report
    assert report.settings == {**want, "trials": 3, "tableDigest": f"sha256:{table.digest}"}
    assert report.versions.keys() == {
        *("python", "bananas-core", "bananas-predictor", "bananas-tables", "numpy", "torch")
    }


def test_an_assessment_says_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ("--train-sizes", "20,30", "--repeats", 1, "--json", out)
    assert bananas("assess", "--space", "nasbench201", *arguments).exit_code == 0
    assert read(out)["settings"] == {
        "trainSizes": [20, 30],
        "repeats": 1,
        "testRows": 1000,
        "members": {"bananas": 5, "bananasPaper": 1},
        "tableDigest": f"sha256:{load_table('nasbench201', None).digest}",
    }


# --- assess ---


def test_ctrl_c_in_assess_keeps_every_fit_that_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fits = assessment.fit_ensembles, []

    def interrupted(jobs: Any) -> Any:
        fits.append(jobs)
        if len(fits) == 6:
            raise KeyboardInterrupt
        return real(jobs)

    monkeypatch.setattr(assessment, "fit_ensembles", interrupted)
    out = tmp_path / "out.json"
    result = bananas(
        "assess", "--space", "nasbench201", "--train-sizes", "20,30", "--repeats", 3, "--json", out
    )  # fmt: skip
    assert result.exit_code == 130
    assert "interrupted; what was done is in" in flat(result.output)
    found = AssessReport.model_validate_json(out.read_text()).assessments
    assert [(one.predictor, one.train_size, len(one.rank_correlations)) for one in found] == [
        ("bananas", 20, 3),
        ("bananas", 30, 2),
    ]


def test_the_networks_of_the_paper_of_all_repeats_train_together_and_ctrl_c_keeps_the_sizes_that_were_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, jobs = assessment.forecast, []

    def interrupted(given: Any) -> Any:
        jobs.append(len(given))
        if len(jobs) == 2:
            raise KeyboardInterrupt
        return real(given)

    monkeypatch.setattr(assessment, "forecast", interrupted)
    done = assessment.assess(SPACES["nasbench201"], load_table("nasbench201", None), [5, 8, 9], 3, 0, lambda: None)
    assert done.interrupted
    assert jobs == [3, 3]
    assert [(one.predictor, one.train_size, len(one.errors)) for one in done.found] == [
        *(("bananas", size, 3) for size in (5, 8, 9)),
        ("bananasPaper", 5, 3),
    ]


def test_the_bar_of_assess_moves_with_every_fit() -> None:
    table, told = load_table("nasbench201", None), []
    done = assessment.assess(SPACES["nasbench201"], table, [5], 3, 0, lambda: told.append(1))
    assert len(told) == 2 * 3
    assert not done.interrupted


def test_assess_and_compare_take_a_space_of_ones_own(
    tmp_path: Path, module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "TEST_ROWS", 100)
    name, table, out = module(LEMONS.replace("> 60", "> 10**9")), tmp_path / "t.csv", tmp_path / "out.json"
    rows = [f"{number},{number / 100_000}" for number in range(0, 100_000, 500)]
    table.write_text("\n".join(["arch,validation_accuracy", *rows]) + "\n")
    space = ("--space", "custom", "--space-entry-point", f"{name}:Space")
    arguments = ("--table", table, "--train-sizes", 90, "--repeats", 2, "--json", out)
    result = bananas("assess", *space, *arguments)
    assert result.exit_code == 0, result.output
    correlations = {row["predictor"]: row["rank_correlations"] for row in read(out)["assessments"]}
    # The features are fractions: cut to whole numbers they would tell no more than four groups apart (.90).
    assert min(correlations["bananas"]) > 0.99
    assert min(correlations["bananasPaper"]) > 0.99
    compared = ("--evaluator", f"{name}:accuracy", "--trials", 14, "--seeds", 1, "--json", out)
    result = bananas("compare", *space, *compared, "--strategies", "bananas,bananasPaper,evolution,localSearch,random")
    assert result.exit_code == 0, result.output
    assert [len(report["runs"][0]["trials"]) for report in read(out)["reports"]] == [14] * 5


# --- --set ---


@pytest.mark.parametrize("command", ["search", "compare", "propose"])
def test_settings_of_the_strategy_are_set_one_by_one(tmp_path: Path, command: str) -> None:
    out = tmp_path / "out.json"
    chosen = (
        "--set",
        "acquisition=ei",
        "--set",
        "candidates=40",
        "--set",
        "ensemble_size=3",
        "--set",
        "initialTrials=4",
    )
    if command == "propose":
        result = bananas("propose", "--space", "nasbench201", *chosen, "--count", 9)
        assert len(result.stdout.splitlines()) == 4  # the initial trials, and none without results
        return
    names = ("--strategies", "bananas,random") if command == "compare" else ()
    result = bananas(command, "--space", "nasbench201", *names, *chosen, "--trials", 6, "--seeds", 1, "--json", out)
    assert result.exit_code == 0, result.output
    settings = (read(out)["reports"][0] if command == "compare" else read(out))["settings"]
    assert (settings["acquisition"], settings["candidates"]) == ("ei", 40)
    assert (settings["ensembleSize"], settings["initialTrials"]) == (3, 4)


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (("--set", "flavour=sour"), "flavour: no such setting; bananas has initialTrials, ensembleSize, encoding"),
        (("--set", "acquisition=best"), "acquisition: 'best': Input should be 'its', 'ucb'"),
        (("--set", "candidates=few"), "candidates: 'few': Input should be a valid integer"),
        (("--set", "candidates"), "want FIELD=VALUE"),
        (("--strategy", "random", "--set", "candidates=50"), "candidates: no such setting; random has no settings"),
        (("--set", "name=random"), "name: no such setting"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_name(arguments: tuple[str, ...], want: str) -> None:
    result = bananas("search", "--space", "nasbench201", *arguments)
    assert result.exit_code == 2
    assert want in flat(result.output)


def test_the_architectures_of_a_space_are_handed_to_an_evaluator_as_they_are(module: Callable[[str], str]) -> None:
    name = module("seen = []\ndef accuracy(architecture):\n    seen.append(architecture)\n    return 0.5\n")
    assert bananas(*RANDOM, "--evaluator", f"{name}:accuracy").exit_code == 0
    assert all(isinstance(one, Architecture) for one in sys.modules[name].seen)
