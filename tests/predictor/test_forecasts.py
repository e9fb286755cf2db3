"""Scores of forecasts, against the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin, TrialPhase
from bananas_predictor.forecasts import score_forecasts, spearman
from bananas_predictor.search import Search, TrialRecord

ARCHITECTURE = Search("nasbench201", Strategy(name="random"), 0).ask(1)[0].architecture
values = st.lists(st.integers(0, 5), min_size=3, max_size=12)


def record(index: int, mean: float | None, truth: float | None, phase: TrialPhase = "Succeeded") -> TrialRecord:
    origin = Origin(method="random") if mean is None else Origin(method="mutation", parent=0, predicted_mean=mean)
    return TrialRecord(index, ARCHITECTURE, phase, truth, origin)


def _slow_ranks(given_values: list[int]) -> list[float]:
    return [
        sum(other < value for other in given_values) + (sum(other == value for other in given_values) + 1) / 2
        for value in given_values
    ]


@given(st.integers(3, 12).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 5), min_size=n, max_size=n)] * 2)))
def test_spearman_is_the_correlation_of_ranks_with_ties_shared(pair: tuple[list[int], list[int]]) -> None:
    a, b = pair
    got = spearman(np.array(a, dtype=float), np.array(b, dtype=float))
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert got is None
    else:
        assert got == pytest.approx(np.corrcoef(_slow_ranks(a), _slow_ranks(b))[0, 1])


def test_forecasts_are_scored_from_what_trials_say() -> None:
    trials = [record(0, 0.5, 0.6), record(1, 0.6, 0.8), record(2, 0.9, 0.7), record(3, None, 0.1)]
    score = score_forecasts([*trials, record(4, 0.9, None, "Failed"), record(5, 0.9, None, "Running")])
    assert score.forecasts == 3
    assert score.rank_correlation == pytest.approx(0.5)
    assert score.mean_absolute_error == pytest.approx((0.1 + 0.2 + 0.2) / 3)


def test_fewer_than_three_forecasts_say_nothing() -> None:
    score = score_forecasts([record(0, 0.5, 0.6), record(1, 0.6, 0.8), record(2, None, 0.1)])
    assert (score.forecasts, score.rank_correlation, score.mean_absolute_error) == (2, None, None)
