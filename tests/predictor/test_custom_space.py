"""A space that lives outside the packages is searched like ours: from Python, by the loop, and with every strategy."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bananas_core.api import NASTrialSpec
from bananas_core.api.search import Constraints, Strategy, StrategyName
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_predictor.command import app
from bananas_predictor.errors import InputError
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_predictor.spaces import named_space
from bananas_predictor.spaces.custom import Adapted, load_space, space_of
from bananas_predictor.strategies import STRATEGIES
from tests.predictor.fake_cluster import FakeCluster, search_object
from tests.predictor.test_loop import Run, finished
from tests.predictor.tiny_space import TINY

EXAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "custom-space"


@pytest.fixture
def branches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's module, importable as in the image."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield importlib.import_module("branches")
    for name in ("branches", "training"):
        sys.modules.pop(name, None)


def text_accuracy(text: str) -> float:
    """Better with more units of sine: something that can be learnt."""
    units = [branch[: -len("sine")] for layer in text.split("/") for branch in layer.split("+") if "sine" in branch]
    return 0.1 + 0.008 * sum(map(int, units))


def succeeded(p: Proposal) -> TrialRecord:
    return TrialRecord(
        p.index, p.architecture, "Succeeded", text_accuracy(p.architecture.to_text()), p.origin, p.repeat
    )


def run(search: Search, count: int, at_once: int = 2) -> list[Proposal]:
    proposals: list[Proposal] = []
    while len(proposals) < count:
        asked = search.ask(at_once)
        assert asked, search.why_exhausted
        search.tell(map(succeeded, asked))
        proposals += asked
    return proposals


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_searches_a_space_from_outside(branches: Any, name: StrategyName) -> None:
    search = Search(branches.Branches(), Strategy(name=name, initial_trials=6, candidates=60, ensemble_size=2), 0)
    proposals = run(search, 20)
    assert {p.architecture.space for p in proposals} == {"custom"}
    texts = [p.architecture.to_text() for p in proposals]
    assert len(set(texts)) == len(texts)
    space = branches.Branches()
    assert [space.to_text(space.canonical(space.from_text(text))) for text in texts] == texts


def test_the_predictor_learns_a_space_from_outside(branches: Any) -> None:
    best = {
        name: max(
            text_accuracy(p.architecture.to_text())
            for p in run(Search(branches.Branches(), Strategy(name=name, candidates=200, ensemble_size=3), 0), 60, 5)
        )
        for name in ("bananas", "random")
    }
    assert best["bananas"] > best["random"] + 0.05
    assert best["bananas"] > 0.8  # 96 units of sine would be 0.868


def test_the_same_records_propose_the_same(branches: Any) -> None:
    strategy = Strategy(initial_trials=4, candidates=40, ensemble_size=2)
    search = Search(branches.Branches(), strategy, 3)
    run(search, 12, 3)
    again = Search(branches.Branches, strategy, 3, reversed(search.records))
    assert again.ask(3) == search.ask(3)


def test_constraints_hold_by_the_cost_of_the_space(branches: Any) -> None:
    space = branches.Branches()
    strategy = Strategy(initial_trials=4, candidates=40, ensemble_size=2)
    search = Search(space, strategy, 0, constraints=Constraints(max_parameters=120, max_multiply_adds=100))
    for p in run(search, 14):
        parameters, multiply_adds = space.cost(space.from_text(p.architecture.to_text()))
        assert parameters <= 120
        assert multiply_adds <= 100


def test_spellings_of_one_architecture_are_one(branches: Any) -> None:
    space = space_of(branches.Branches(), "space")
    spelled = [
        parse_architecture("custom", text)
        for text in ("4relu+8tanh/2sine+2relu/8sine+8sine", "8tanh+4relu/2relu+2sine/8sine+8sine")
    ]
    one, other = space.pack(spelled)
    assert one == other
    assert space.unpack(space.pack(spelled))[0].hash() == space.unpack(space.pack(spelled))[1].hash()
    assert spelled[0].hash() != spelled[1].hash()  # without the space nobody knows


def test_an_architecture_that_is_not_of_the_space_is_refused_by_name(branches: Any) -> None:
    search = Search(branches.Branches(), Strategy(), 0)
    text = "4relu+8tanh/2sine"
    with pytest.raises(
        InputError, match=r"trial 3: architecture: '4relu\+8tanh/2sine' is no architecture .* want 3 lay"
    ):
        search.tell([TrialRecord(3, parse_architecture("custom", text))])


# --- the object that is given ---


class Mistaken:
    """A space of the numbers 0 to 99; each test breaks one method."""

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(100))

    def mutate(self, number: int, rng: np.random.Generator) -> int:
        return (number + int(rng.integers(1, 5))) % 100

    def neighbours(self, number: int) -> list[int]:
        return [number - 1, number + 1]

    def canonical(self, number: int) -> int:
        return number

    def features(self, number: int) -> list[float]:
        return [number, number % 2]

    def to_text(self, number: int) -> str:
        return str(number)

    def from_text(self, text: str) -> int:
        return int(text)


@pytest.mark.parametrize(
    ("method", "replacement", "want"),
    [
        ("to_text", lambda self, n: f"{n}\n", "to_text gave"),
        ("from_text", lambda self, text: 5, "reads as '5'; want what to_text wrote"),
        ("canonical", lambda self, n: (n + 1) % 100, "want that a canonical form stays what it is"),
        ("features", lambda self, n: [0.0] * (1 + n % 2), "features are [1, 2] long"),
        ("features", lambda self, n: [], "features are [0] long"),
        ("features", lambda self, n: [float("nan")], "not all finite"),
        ("neighbours", None, "method neighbours is missing; a space has sample, mutate"),
    ],
)
def test_a_space_that_does_not_do_what_it_should_is_refused_by_method(
    monkeypatch: pytest.MonkeyPatch, method: str, replacement: Any, want: str
) -> None:
    monkeypatch.setattr(Mistaken, method, replacement)
    with pytest.raises(InputError) as caught:
        Search(Mistaken(), Strategy(), 0)
    assert want in str(caught.value)


def test_constraints_on_a_space_without_costs_are_refused_by_method() -> None:
    with pytest.raises(InputError, match="Mistaken has no method cost"):
        Search(Mistaken(), Strategy(), 0, constraints=Constraints(max_parameters=5))


def test_a_small_space_of_ones_own_is_used_up() -> None:
    search = Search(Mistaken(), Strategy(initial_trials=4, candidates=20, ensemble_size=2), 0)
    strategy_asked = search.ask(4)
    search.tell([TrialRecord(p.index, p.architecture, "Succeeded", 0.5, p.origin) for p in strategy_asked])
    proposals = [*strategy_asked, *search.ask(200)]
    assert search.exhausted
    assert {p.architecture.to_text() for p in proposals} == set(map(str, range(100)))


@pytest.mark.parametrize(
    ("entry_point", "want"),
    [
        ("nowhere.at:All", "cannot import nowhere.at: No module named 'nowhere'"),
        ("branches:Twigs", "module branches has no Twigs"),
        ("branches:UNITS", "method sample, mutate, neighbours, canonical, features, to_text, from_text is missing"),
        ("branches", "want package.module:Name"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(branches: Any, entry_point: str, want: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space(entry_point, "--space-entry-point")
    assert str(caught.value).startswith("--space-entry-point")
    assert want in str(caught.value)


def test_a_space_that_works_on_batches_itself_is_taken_as_it_is(branches: Any) -> None:
    batches = Adapted(branches.Branches())
    assert space_of(batches, "space") is batches
    with pytest.raises(InputError, match="its name is 'nasbench201'; want 'custom'"):
        space_of(TINY, "space")
    with pytest.raises(InputError, match="give an object"):
        named_space("custom")


def test_a_custom_architecture_is_one_line_and_draws_as_it_is() -> None:
    architecture = parse_architecture("custom", '{"layers": [3, 4]}')
    assert Architecture.model_validate_json(architecture.canonical_json()) == architecture
    for text in ("", "a\nb", "x" * 5000):
        with pytest.raises(ArchitectureError, match="want one printable line"):
            parse_architecture("custom", text)


# --- the loop ---


def custom_search(entry_point: str = "branches:Branches", **spec: Any) -> Any:
    return search_object(
        space="custom",
        customSpace={"entryPoint": entry_point},
        evaluator="train",
        predictor={"image": "mine"},
        **{"trial": {"template": {"image": "mine"}}, **spec},
    )


def succeed(raw: Any) -> dict[str, Any]:
    text = NASTrialSpec.model_validate(raw["spec"]).architecture.to_text()
    return {"phase": "Succeeded", "validationAccuracy": text_accuracy(text)}


async def test_the_loop_searches_what_the_entry_point_names(branches: Any) -> None:
    cluster = FakeCluster(custom_search(constraints={"maxParameters": 300}))
    async with Run(cluster) as running:
        await running.drain(succeed, finished(cluster))
    specs = [NASTrialSpec.model_validate(raw["spec"]) for raw in cluster.by_index()]
    assert len({spec.architecture.hash() for spec in specs}) == 12
    space = branches.Branches()
    assert all(space.cost(space.from_text(spec.architecture.to_text()))[0] <= 300 for spec in specs)
    labels = [raw["metadata"]["labels"]["nas.bananas.dev/architecture"] for raw in cluster.by_index()]
    assert labels == [spec.architecture.hash() for spec in specs]


@pytest.mark.parametrize("entry_point", ["nowhere:All", "branches:Twigs"])
async def test_a_space_that_cannot_be_loaded_is_told_in_the_status_and_nothing_is_proposed(
    branches: Any, entry_point: str
) -> None:
    cluster = FakeCluster(custom_search(entry_point))
    async with Run(cluster) as running:
        await running.until(lambda: bool(cluster.statuses), "a status")
    assert cluster.statuses[-1]["reason"] == "CustomSpaceInvalid"
    assert cluster.statuses[-1]["message"].startswith(f"spec.customSpace.entryPoint {entry_point}: ")
    assert not cluster.store


# --- the commands ---


def bananas(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


OPTIONS = ("--space", "custom", "--space-entry-point", "branches:Branches")
FUNCTION = """
from pathlib import Path
calls = Path(__file__).with_name("calls")

def accuracy(network):
    number = len(calls.read_text()) if calls.exists() else 0
    calls.write_text("." * (number + 1))
    if number == LIMIT:
        raise KeyboardInterrupt
    return sum(units for layer in network for units, kind in layer if kind == "sine") / 100
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the space and a function, in which the command is called."""
    (tmp_path / "branches.py").write_text((EXAMPLE / "branches.py").read_text())
    (tmp_path / "mine.py").write_text(FUNCTION.replace("LIMIT", "-1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in ("branches", "mine"):
        sys.modules.pop(name, None)


def test_search_asks_a_function_of_ones_own(beside: Path) -> None:
    out = beside / "out.json"
    done = bananas(
        "search",
        *OPTIONS,
        "--evaluator",
        "mine:accuracy",
        "--trials",
        12,
        "--max-parameters",
        400,
        "--json",
        out,
    )
    assert done.exit_code == 0, done.stderr
    report = json.loads(out.read_text())
    assert (report["space"], report["table"]) == ("custom", "mine:accuracy")
    assert report["settings"]["spaceEntryPoint"] == "branches:Branches"
    assert report["settings"]["constraints"] == {"maxParameters": 400}
    assert len(report["runs"][0]["trials"]) == 12


def test_an_interrupted_search_keeps_what_was_done_and_resume_asks_nothing_twice(beside: Path) -> None:
    search = ("search", *OPTIONS, "--evaluator", "mine:accuracy", "--trials", 10, "--json", "out.json")
    (beside / "mine.py").write_text(FUNCTION.replace("LIMIT", "6"))
    done = bananas(*search)
    assert done.exit_code == 130, done.stderr
    assert "what was done is in out.json, and --resume goes on from it" in done.stderr
    kept = json.loads((beside / "out.json").read_text())["runs"][0]["trials"]
    assert len(kept) == 6
    (beside / "mine.py").write_text(FUNCTION.replace("LIMIT", "-1"))
    (beside / "calls").unlink()
    del sys.modules["mine"]
    again = bananas(*search, "--resume")
    assert again.exit_code == 0, again.stderr
    trials = json.loads((beside / "out.json").read_text())["runs"][0]["trials"]
    assert trials[:6] == kept
    assert len(trials) == 10
    assert len((beside / "calls").read_text()) == 4


def test_a_function_that_says_no_fraction_is_named_and_what_was_done_is_kept(beside: Path) -> None:
    (beside / "mine.py").write_text(
        "import itertools\nn = itertools.count()\ndef accuracy(_): return 0.5 if next(n) < 3 else 93.1\n"
    )
    done = bananas("search", *OPTIONS, "--evaluator", "mine:accuracy", "--trials", 10, "--json", "out.json")
    assert done.exit_code == 1
    assert "--evaluator mine:accuracy: 93.1 for" in done.stderr
    assert "want a fraction from 0 to 1" in done.stderr
    assert len(json.loads((beside / "out.json").read_text())["runs"][0]["trials"]) == 3


def test_propose_proposes_from_a_space_of_ones_own(beside: Path) -> None:
    done = bananas("propose", *OPTIONS, "--count", 4, "--repeats", 2, "--max-multiply-adds", 200)
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("repeat", 0) for line in lines] == [0, 1, 0, 1]
    told = "\n".join(json.dumps({**line, "validation_accuracy": 0.5}) for line in lines)
    again = bananas("propose", *OPTIONS, "--repeats", 2, "--trials", "-", stdin=told)
    assert json.loads(again.stdout)["index"] == 4, again.stderr


TABLE = "arch,validation_accuracy\n2relu+2relu/2relu+2relu/2relu+2relu,0.5\n"


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ("", "no row for"),
        (
            "4relu+2relu/2relu+2relu/2relu+2relu,0.5",
            "line 3, arch: '4relu+2relu/2relu+2relu/2relu+2relu' is not in canonical",
        ),
        (
            "3relu+2relu/2relu+2relu/2relu+2relu,0.5",
            "line 3, arch: '3relu+2relu/2relu+2relu/2relu+2relu' is no architecture",
        ),
        ("2relu+4relu/2relu+2relu/2relu+2relu,93", "line 3, validation_accuracy: '93'; want a fraction"),
        (
            "2relu+2relu/2relu+2relu/2relu+2relu,0.5",
            "line 3, arch: '2relu+2relu/2relu+2relu/2relu+2relu'; want each arch",
        ),
    ],
)
def test_a_table_of_ones_own_is_checked_by_line_and_column(beside: Path, rows: str, want: str) -> None:
    (beside / "table.csv").write_text(TABLE + rows)
    done = bananas("search", *OPTIONS, "--table", "table.csv", "--trials", 5)
    assert done.exit_code == 1
    assert "table.csv" in done.stderr
    assert want in done.stderr


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (("--space", "custom"), "--space custom needs --space-entry-point"),
        (OPTIONS, "--space custom has no toy table"),
        ((*OPTIONS, "--table", "x.csv", "--evaluator", "mine:accuracy"), "want one of them"),
        (("--space", "darts", "--space-entry-point", "a:B"), "--space-entry-point is for --space custom"),
        ((*OPTIONS, "--evaluator", "mine:nothing"), "module mine has no nothing"),
        ((*OPTIONS, "--evaluator", "mine:calls"), "is no function"),
    ],
)
def test_options_that_do_not_go_together_are_named(beside: Path, arguments: tuple[str, ...], want: str) -> None:
    done = bananas("search", *arguments)
    assert done.exit_code == 1
    assert want in done.stderr


def test_the_example_is_trained(branches: Any) -> None:
    training = importlib.import_module("training")
    network = branches.Branches().from_text("8tanh+16tanh/4relu+8relu/2relu+4relu")
    one, again, other = (training.accuracy(network, seed) for seed in (0, 0, 1))
    assert 0.6 < one <= 1
    assert one == again
    assert 0.5 < other <= 1
