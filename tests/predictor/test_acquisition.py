"""Acquisition functions against numbers worked out by hand and by integration."""

from typing import Any, get_args

import numpy as np
import pytest

from bananas_core.api.search import Acquisition, Strategy
from bananas_predictor.acquisition import EI_SCALE, UCB_FACTOR, acquire, penalise
from bananas_predictor.search import Search, TrialRecord

FORECASTS = np.array([[0.80, 0.90, 0.90, 0.60], [0.84, 0.90, 0.98, 0.60]])  # (m, c)
MEAN = np.array([0.82, 0.90, 0.94, 0.60])
DEVIATION = np.array([0.02, 0.0, 0.04, 0.0])


def _acquire(acquisition: Acquisition, best: float = 0.9, seed: int = 0) -> np.ndarray:
    return acquire(acquisition, FORECASTS, best, np.random.default_rng(seed))


@pytest.mark.parametrize("acquisition", get_args(Acquisition))
def test_every_acquisition_of_the_api_is_there_and_prefers_the_best_candidate(acquisition: Acquisition) -> None:
    assert Strategy(acquisition=acquisition).acquisition == acquisition
    votes = [int(np.argmax(_acquire(acquisition, seed=seed))) for seed in range(200)]
    assert np.bincount(votes, minlength=4).argmax() == 2


def test_mean_and_ucb_are_what_the_original_has() -> None:
    assert _acquire("mean") == pytest.approx(MEAN)
    assert _acquire("ucb") == pytest.approx(MEAN + UCB_FACTOR * DEVIATION)


def test_pi_is_the_probability_to_beat_the_best() -> None:
    want = [
        np.mean(np.random.default_rng(1).normal(m, s, 200_000) > 0.85) for m, s in zip(MEAN, DEVIATION, strict=True)
    ]
    assert _acquire("pi", best=0.85) == pytest.approx(want, abs=0.005)


def test_ei_is_the_mean_gain_over_the_best() -> None:
    draws = np.random.default_rng(1).normal(MEAN, EI_SCALE * DEVIATION, (200_000, 4))
    want = np.maximum(draws - 0.935, 0).mean(axis=0)
    assert _acquire("ei", best=0.935) == pytest.approx(want, abs=5e-5)


def test_its_draws_every_candidate_independently() -> None:
    draws = np.array([_acquire("its", seed=seed) for seed in range(4000)])
    assert draws.mean(axis=0) == pytest.approx(MEAN, abs=0.003)
    assert draws.std(axis=0) == pytest.approx(DEVIATION, abs=0.003)
    assert abs(np.corrcoef(draws[:, 0], draws[:, 2])[0, 1]) < 0.06


def test_ts_is_one_member() -> None:
    for seed in range(10):
        assert any((_acquire("ts", seed=seed) == member).all() for member in FORECASTS)


def test_what_is_like_one_in_flight_is_lowered_by_as_much_as_its_forecasts_agree_with_it() -> None:
    shape = np.array([-1.0, 1.0, -1.0, 1.0])  # of the members' opinions
    other = np.array([-1.0, -1.0, 1.0, 1.0])
    forecasts = 0.9 + 0.01 * np.stack([shape, other, -shape, 0 * shape, shape + other], axis=1)
    lowered = penalise(forecasts, np.stack([0.8 + 0.02 * shape], axis=1))
    want = [0.01, 0, 0, 0, 0.01 * 2**0.5 * 2**-0.5]
    assert (forecasts - lowered).mean(axis=0) == pytest.approx(want, abs=1e-12)
    assert lowered.std(axis=0) == pytest.approx(forecasts.std(axis=0))
    assert penalise(forecasts, np.zeros((4, 0))) is forecasts


@pytest.mark.parametrize("acquisition", ["ucb", "ei", "pi"])
def test_what_is_in_flight_counts_where_an_acquisition_weighs_what_is_not_known(acquisition: Any) -> None:
    settings = Strategy(acquisition=acquisition, candidates=200)
    search = Search("nasbench101", settings, 0)
    search.tell(
        TrialRecord(p.index, p.architecture, "Succeeded", 0.5 + int(p.architecture.hash()[:4], 16) / 2**18, p.origin)
        for p in search.ask(10)
    )
    asked = search.ask(8)
    alone = Search("nasbench101", settings, 0, search.records[:10])
    ranking = [alone.ask(1)[0]]
    for _ in range(7):  # what was proposed is said to have failed: tried, and not in flight
        alone.tell([TrialRecord(ranking[-1].index, ranking[-1].architecture, "Failed", None, ranking[-1].origin)])
        ranking += alone.ask(1)
    assert ranking[0] == asked[0]
    assert [p.architecture for p in ranking] != [p.architecture for p in asked]
    values = [p.origin.acquisition or 0.0 for p in ranking]
    assert values == sorted(values, reverse=True)  # down one ranking


@pytest.mark.parametrize("acquisition", ["its", "ts", "mean"])
def test_what_is_in_flight_is_only_left_out_where_an_acquisition_draws_or_asks_for_the_mean(
    acquisition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("bananas_predictor.strategies.bananas.penalise", never)
    search = Search("nasbench201", Strategy(acquisition=acquisition, candidates=100, initial_trials=4), 0)
    search.tell(TrialRecord(p.index, p.architecture, "Succeeded", 0.5, p.origin) for p in search.ask(4))
    assert len(search.ask(5)) == 5
