"""Acquisition functions against numbers worked out by hand and by integration."""

from typing import get_args

import numpy as np
import pytest

from bananas_core.api.search import Acquisition, Strategy
from bananas_predictor.acquisition import EI_SCALE, UCB_FACTOR, acquire

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
