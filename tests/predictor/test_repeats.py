"""Several trainings of one architecture: proposed one after the other, and learnt from as a mean with a variance."""

from dataclasses import replace

import numpy as np
import pytest

from bananas_core.api.search import Strategy
from bananas_predictor.ensemble import FitJob, fit_ensembles, trust
from bananas_predictor.forecasts import score_forecasts
from bananas_predictor.repeats import rows_of
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_predictor.spaces import SPACES
from bananas_predictor.strategies import STRATEGIES

QUICK = Strategy(initial_trials=4, candidates=40, ensemble_size=2)
SPACE = SPACES["nasbench201"]


def succeeded(proposal: Proposal, noise: float = 0.02) -> TrialRecord:
    hashed = int(proposal.architecture.hash()[:4], 16) / 0xFFFF
    accuracy = 0.1 + 0.8 * hashed + noise * (proposal.repeat - 1)
    return TrialRecord(proposal.index, proposal.architecture, "Succeeded", accuracy, proposal.origin, proposal.repeat)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_every_architecture_is_proposed_three_times_in_a_row_with_its_number(name: str, at_once: int) -> None:
    search = Search("nasbench201", QUICK.model_copy(update={"name": name}), 0, repeats=3)
    proposals: list[Proposal] = []
    while len(proposals) < 24:
        asked = search.ask(at_once)
        assert asked
        search.tell(map(succeeded, asked))
        proposals += asked
    assert [p.index for p in proposals] == list(range(len(proposals)))
    assert [p.repeat for p in proposals] == [i % 3 for i in range(len(proposals))]
    hashes = [p.architecture.hash() for p in proposals[:24]]
    assert hashes[::3] == hashes[1::3] == hashes[2::3]
    assert len(set(hashes)) == 8
    if name == "bananas":
        assert [p.origin.method for p in proposals[:24:3]] == ["random"] * 4 + ["mutation"] * 4


def test_asking_for_five_is_asking_for_one_five_times() -> None:
    together, single = Search("nasbench201", QUICK, 0, repeats=2), Search("nasbench201", QUICK, 0, repeats=2)
    assert together.ask(5) == [proposal for _ in range(5) for proposal in single.ask(1)]


def test_a_cancelled_repeat_is_proposed_again_and_a_failed_one_is_not() -> None:
    search = Search("nasbench201", QUICK, 0, repeats=3)
    asked = search.ask(3)
    records = [replace(succeeded(p), phase="Pending", validation_accuracy=None) for p in asked]
    search.tell([replace(records[1], phase="Cancelled"), replace(records[2], phase="Failed")])
    (again,) = search.ask(1)
    assert (again.index, again.repeat, again.architecture) == (3, 1, asked[0].architecture)
    (other,) = search.ask(1)
    assert other.architecture != asked[0].architecture


def test_the_rows_of_a_history_are_means_whose_variance_is_pooled_and_shrinks_with_the_number_of_results() -> None:
    first, second, third = (Search("nasbench201", QUICK, seed).ask(1)[0].architecture for seed in range(3))
    accuracies = {first: [0.5, 0.6], second: [0.7, 0.8, 0.9], third: [0.4]}
    records = [
        TrialRecord(index, architecture, "Succeeded", accuracy)
        for index, (architecture, accuracy) in enumerate((a, v) for a, values in accuracies.items() for v in values)
    ]
    records.append(TrialRecord(6, third, "Running"))
    rows = rows_of(records, SPACE.keys(SPACE.pack([record.architecture for record in records])))
    noise = ((0.05**2) * 2 + (0.1**2) * 2) / 3
    assert [row.first for row in rows] == [0, 2, 5]
    assert [row.accuracy for row in rows] == pytest.approx([0.55, 0.8, 0.4])
    assert [row.variance for row in rows] == pytest.approx([noise / 2, noise / 3, noise])
    assert [row.is_open for row in rows] == [False, False, True]


def test_results_told_in_another_order_and_as_many_records_propose_the_same() -> None:
    search = Search("nasbench201", QUICK, 0, repeats=2)
    for _ in range(4):
        search.tell(map(succeeded, search.ask(3)))
    again = Search("nasbench201", QUICK, 0, reversed(search.records), repeats=2)
    assert again.ask(3) == search.ask(3)


def test_a_noisy_result_counts_less_than_a_sure_one() -> None:
    cells = SPACE.sample(40, np.random.default_rng(0))
    accuracies = np.linspace(0.5, 0.9, 40)
    variances = np.full(40, 1e-6)
    variances[0] = 1.0
    weights = trust(accuracies, variances)
    assert weights.mean() == pytest.approx(1)
    assert weights[0] < 0.1
    assert weights[1] > 1
    outlier = accuracies.copy()
    outlier[20] = 0.5
    unsure = np.full(40, 1e-6)
    unsure[20] = 1.0
    believed, doubted = (
        fit_ensembles([FitJob.of(SPACE, "graph", cells, outlier, 10, (0,), noise)])[0].predict(cells[20:21]).mean()
        for noise in (None, unsure)
    )
    assert doubted > believed + 0.02


def test_equal_variances_change_nothing() -> None:
    cells = SPACE.sample(30, np.random.default_rng(0))
    accuracies = np.linspace(0.5, 0.9, 30)
    one, other = (
        fit_ensembles([FitJob.of(SPACE, "graph", cells, accuracies, 3, (0,), noise)])[0].predict(cells)
        for noise in (None, np.full(30, 0.01))
    )
    assert np.allclose(one, other, atol=1e-4)


def test_a_forecast_of_a_repeated_architecture_is_scored_once_against_the_mean() -> None:
    search = Search("nasbench201", QUICK, 0, repeats=2)
    while len(search.records) < 20:
        search.tell(map(succeeded, search.ask(2)))
    assert score_forecasts(search.records).forecasts == 6
