"""A predictor that is no better than chance is told from a useful one, and evolution takes over where that is wished."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bananas_core.api import NASTrialSpec
from bananas_core.api.search import Strategy, StrategyName
from bananas_predictor.forecasts import ForecastScore
from bananas_predictor.health import is_no_better_than_chance
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_tables import load_table
from tests.predictor.fake_cluster import FakeCluster, search_object
from tests.predictor.test_loop import Run, finished

TABLE = load_table("nasbench201", None)


def chance(proposal: Proposal) -> float:
    """Says nothing about the architecture."""
    return float(np.random.default_rng(proposal.index).uniform(0.2, 0.9))


def real(proposal: Proposal) -> float:
    return TABLE.look_up(proposal.architecture).validation_accuracy


def run(search: Search, count: int, accuracy: Any) -> list[Proposal]:
    proposals: list[Proposal] = []
    while len(proposals) < count:
        asked = search.ask(5)
        search.tell(TrialRecord(p.index, p.architecture, "Succeeded", accuracy(p), p.origin) for p in asked)
        proposals += asked
    return proposals


def strategy(name: StrategyName = "bananas", fallback: Any = "evolution") -> Strategy:
    return Strategy(name=name, initial_trials=5, candidates=40, ensemble_size=2, fallback=fallback)


@pytest.mark.parametrize(
    ("forecasts", "correlation", "want"),
    [
        (39, -0.9, False),  # too few
        (40, 0.26, True),
        (40, 0.27, False),
        (40, None, True),  # all forecasts or results are equal
        (400, 0.08, True),
        (400, 0.09, False),
    ],
)
def test_the_bound_is_that_of_a_one_sided_test_at_5_percent(
    forecasts: int, correlation: float | None, want: bool
) -> None:
    assert is_no_better_than_chance(ForecastScore(forecasts, correlation, 0.1)) == want


def test_a_predictor_that_says_nothing_is_caught_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    from bananas_predictor.forecasts import spearman

    caught = [
        is_no_better_than_chance(ForecastScore(40, spearman(rng.random(40), rng.random(40)), 0.1)) for _ in range(2000)
    ]
    assert 0.935 < np.mean(caught) < 0.965


@pytest.mark.parametrize("name", ["bananas", "bananasPaper"])
def test_evolution_takes_over_from_a_predictor_that_says_nothing_and_stays(name: StrategyName) -> None:
    search = Search("nasbench201", strategy(name), 0)
    proposals = run(search, 90, chance)
    assert search.no_better_than_chance
    has_forecast = [p.origin.predicted_mean is not None for p in proposals if p.origin.method == "mutation"]
    assert sum(has_forecast) >= 40
    first = has_forecast.index(False)
    assert not any(has_forecast[first:]), "from then on"
    assert len({p.architecture.hash() for p in proposals}) == 90


def test_a_search_built_again_after_the_fallback_proposes_the_same() -> None:
    search = Search("nasbench201", strategy(), 0)
    run(search, 60, chance)
    assert search.no_better_than_chance
    again = Search("nasbench201", strategy(), 0, reversed(search.records))
    assert again.ask(5) == search.ask(5)


def test_without_the_wish_the_predictor_goes_on_and_is_told_of() -> None:
    search = Search("nasbench201", strategy(fallback="none"), 0)
    proposals = run(search, 60, chance)
    assert search.no_better_than_chance
    assert all(p.origin.predicted_mean is not None for p in proposals if p.origin.method == "mutation")


def test_a_wish_that_comes_while_the_search_runs_is_heard() -> None:
    before = Search("nasbench201", strategy(fallback="none"), 0)
    run(before, 60, chance)
    after = Search.of(replace(before.asked, strategy=strategy(fallback="evolution")))
    after.replace(before.records)
    assert [(p.origin.method, p.origin.predicted_mean) for p in after.ask(3)] == [("mutation", None)] * 3


def test_a_useful_predictor_is_left_in_peace() -> None:
    search = Search("nasbench201", Strategy(candidates=200, ensemble_size=3, fallback="evolution"), 0)
    proposals = run(search, 80, real)
    assert not search.no_better_than_chance
    assert all(p.origin.predicted_mean is not None for p in proposals if p.origin.method == "mutation")


async def test_the_status_says_so() -> None:
    asked = {"initialTrials": 4, "candidates": 40, "ensembleSize": 2, "fallback": "evolution"}
    cluster = FakeCluster(search_object(trials=60, parallelism=5, strategy=asked))

    def succeed(raw: Any) -> dict[str, Any]:
        index = NASTrialSpec.model_validate(raw["spec"]).index
        return {"phase": "Succeeded", "validationAccuracy": float(np.random.default_rng(index).uniform(0.2, 0.9))}

    async with Run(cluster) as running:
        await running.drain(succeed, finished(cluster))
        await running.until(lambda: cluster.statuses[-1]["noBetterThanChance"], "told")
    assert cluster.statuses[-1]["forecasts"] >= 40
    methods = [NASTrialSpec.model_validate(raw["spec"]).origin for raw in cluster.by_index()]
    assert any(origin.method == "mutation" and origin.predicted_mean is None for origin in methods)
