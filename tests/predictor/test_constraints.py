"""Bounds on the size of a network hold for every proposal of every strategy, and a bound that leaves nothing ends the search."""

import asyncio
from typing import Any

import pytest
from typer.testing import CliRunner

from bananas_core.api import NASTrialSpec
from bananas_core.api.search import Constraints, Strategy, StrategyName
from bananas_core.spaces import Space
from bananas_predictor.command import app
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_predictor.spaces import SPACES
from bananas_predictor.spaces.costs import PUBLISHED, NetworkShape
from bananas_predictor.strategies import STRATEGIES
from tests.predictor.fake_cluster import FakeCluster, search_object
from tests.predictor.test_loop import Run, finished, succeed

# About a third, a tenth and a hundredth of the uniformly drawn cells.
BOUNDS: dict[Space, Constraints] = {
    "darts": Constraints(max_parameters=2_900_000, max_multiply_adds=450_000_000),
    "nasbench101": Constraints(max_parameters=2_500_000),
    "nasbench201": Constraints(max_multiply_adds=30_000_000),
}


def accuracy(proposal: Proposal) -> float:
    return int(proposal.architecture.hash()[:4], 16) / 0xFFFF


def succeeded(proposal: Proposal) -> TrialRecord:
    return TrialRecord(proposal.index, proposal.architecture, "Succeeded", accuracy(proposal), proposal.origin)


def assert_within(space: Space, bounds: Constraints, proposals: list[Proposal], shape: NetworkShape) -> None:
    costs = SPACES[space].costs(SPACES[space].pack([p.architecture for p in proposals]), shape)
    assert (costs.parameters <= (bounds.max_parameters or 10**15)).all()
    assert (costs.multiply_adds <= (bounds.max_multiply_adds or 10**15)).all()


@pytest.mark.parametrize(
    ("space", "may_repeat"), [("darts", False), ("nasbench101", False), ("nasbench201", False), ("nasbench201", True)]
)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_proposal_of_every_strategy_is_within_the_bounds(
    space: Space, name: StrategyName, may_repeat: bool
) -> None:
    bounds = BOUNDS[space]
    strategy = Strategy(name=name, initial_trials=4, candidates=40, ensemble_size=2)
    search = Search(space, strategy, 3, constraints=bounds, may_repeat=may_repeat)
    proposals: list[Proposal] = []
    while len(proposals) < 10:
        asked = search.ask(2)
        assert asked, search.why_exhausted
        search.tell(map(succeeded, asked))
        proposals += asked
    assert_within(space, bounds, proposals, PUBLISHED[space])


@pytest.mark.parametrize("name", STRATEGIES)
def test_results_of_larger_networks_are_learnt_from_and_not_followed(name: StrategyName) -> None:
    strategy = Strategy(name=name, initial_trials=4, candidates=40, ensemble_size=2)
    free = Search("nasbench201", strategy, 0, may_repeat=True)
    free.tell(map(succeeded, free.ask(4)))
    bounds = Constraints(max_parameters=200_000)
    search = Search("nasbench201", strategy, 0, free.records, may_repeat=True, constraints=bounds)
    proposals = []
    for _ in range(12):
        asked = search.ask(1)
        search.tell(map(succeeded, asked))
        proposals += asked
    assert len(proposals) == 12
    assert_within("nasbench201", bounds, proposals, PUBLISHED["nasbench201"])


def test_a_bound_that_one_in_ten_thousand_keeps_is_still_met() -> None:
    bounds = Constraints(max_parameters=300_000)
    search = Search("nasbench101", Strategy(name="random"), 0, constraints=bounds)
    proposals = search.ask(3)
    assert len(proposals) == 3
    assert_within("nasbench101", bounds, proposals, PUBLISHED["nasbench101"])


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_bound_that_leaves_a_few_ends_with_these_and_says_why(name: StrategyName) -> None:
    # Without convolutions a NAS-Bench-201 network has 73,306 parameters: 3^6 strings, 621 of them different.
    bounds = Constraints(max_parameters=73_306)
    strategy = Strategy(name=name, initial_trials=4, candidates=40, ensemble_size=2)
    everything = SPACES["nasbench201"]
    search = Search("nasbench201", strategy, 0, constraints=Constraints(max_parameters=73_305))
    assert search.ask(2) == []
    assert search.exhausted
    assert search.why_exhausted == (
        "no architecture of nasbench201 is left that was not proposed and keeps maxParameters 73,305 "
        "(the smallest seen is 73,306)"
    )
    within = Search("nasbench201", strategy, 0, constraints=bounds)
    proposals = within.ask(4)
    assert_within("nasbench201", bounds, proposals, PUBLISHED["nasbench201"])
    assert len(set(everything.keys(everything.pack([p.architecture for p in proposals])).tolist())) == 4


@pytest.mark.slow
def test_a_small_space_is_proposed_to_its_last_architecture_and_then_the_search_ends() -> None:
    bounds = Constraints(max_parameters=73_306)
    search = Search("nasbench201", Strategy(name="random"), 0, constraints=bounds)
    proposals = search.ask(1000)
    assert search.exhausted
    assert len(proposals) == len({p.architecture.hash() for p in proposals}) == 621


def test_search_says_that_a_bound_leaves_nothing_to_try() -> None:
    result = CliRunner().invoke(app, ["search", "--space", "nasbench201", "--max-parameters", "3000", "--trials", "20"])
    assert result.exit_code == 1
    assert "nothing to try: no architecture of nasbench201 is left" in result.stderr
    assert "keeps maxParameters 3,000 (the smallest seen is 73,306)" in result.stderr


async def test_a_search_on_the_cluster_keeps_its_bounds_with_the_networks_of_its_recipe() -> None:
    recipe = {"channels": 4, "layers": 3, "epochs": 7, "scoreEpochs": 2}
    spec: dict[str, Any] = {"space": "darts", "evaluator": "train", "trial": {"recipe": recipe}}
    cluster = FakeCluster(search_object(**spec, constraints={"maxParameters": 9000}, parallelism=4))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 4, "offers")
    trials = [NASTrialSpec.model_validate(raw["spec"]) for raw in cluster.by_index()]
    space, shape = SPACES["darts"], NetworkShape(4, 3, 10, 1, 8)
    costs = space.costs(space.pack([trial.architecture for trial in trials]), shape)
    assert (costs.parameters <= 9000).all()


async def test_a_bound_that_nothing_keeps_is_told_in_the_status() -> None:
    cluster = FakeCluster(search_object(constraints={"maxParameters": 1000}))
    async with Run(cluster) as run:
        await run.until(lambda: bool(cluster.statuses) and cluster.statuses[-1]["exhausted"], "exhausted")
    want = "keeps maxParameters 1,000 (the smallest seen is 73,306)"
    assert want in cluster.statuses[-1]["message"]
    assert not cluster.store


async def test_repeats_and_rounds_go_together() -> None:
    cluster = FakeCluster(
        search_object(trials=20, initial=2, parallelism=3, mode="batch", batchSize=3, trial={"repeats": 2})
    )
    seen: list[list[int]] = []

    def idle_phases() -> None:
        open_now = [
            raw["spec"]["index"] for raw in cluster.by_index() if raw.get("status", {}).get("phase") != "Succeeded"
        ]
        if open_now and (not seen or open_now[-1] != seen[-1][-1]):
            seen.append(open_now)

    async with Run(cluster) as run:
        await run.drain(lambda raw: (idle_phases(), succeed(raw))[1], finished(cluster))
    assert [len(one) for one in seen] == [4, 6, 6, 4]
    specs = [NASTrialSpec.model_validate(raw["spec"]) for raw in cluster.by_index()]
    assert [spec.seed for spec in specs] == [0, 1] * 10
    assert [a.architecture.hash() for a in specs[::2]] == [b.architecture.hash() for b in specs[1::2]]
    assert len({spec.architecture.hash() for spec in specs}) == 10
    await asyncio.sleep(0)
