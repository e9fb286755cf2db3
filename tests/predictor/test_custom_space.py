"""A space that lives outside the packages is searched like ours: from Python, by the loop, and with every strategy."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bananas_core.api import NASTrialSpec
from bananas_core.api.search import Constraints, Strategy, StrategyName
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
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
