"""How well the predictor foretold what came true. Pure; from the trials alone, so it survives a restart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces import Architecture
from bananas_predictor.records import TrialRecord

ENOUGH: Final = 3
"""Forecasts below which a correlation says nothing."""


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """Forecasts against results."""

    forecasts: int
    rank_correlation: float | None
    mean_absolute_error: float | None


def score_forecasts(trials: Iterable[TrialRecord]) -> ForecastScore:
    """Of the architectures that were chosen by the predictor: its mean then against the mean of the results now."""
    results: dict[tuple[Architecture, float], list[float]] = {}
    for trial in trials:
        forecast = trial.origin.predicted_mean if trial.origin is not None else None
        if trial.phase == "Succeeded" and forecast is not None and trial.validation_accuracy is not None:
            results.setdefault((trial.architecture, forecast), []).append(trial.validation_accuracy)
    pairs = [(forecast, float(np.mean(accuracies))) for (_, forecast), accuracies in results.items()]
    if len(pairs) < ENOUGH:
        return ForecastScore(len(pairs), None, None)
    forecasts, truth = np.array(pairs, dtype=np.float64).T
    return ForecastScore(len(pairs), spearman(forecasts, truth), float(np.abs(forecasts - truth).mean()))


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Rank correlation, ties with their mean rank; None where either has one value only."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    if ranks_a.std() == 0 or ranks_b.std() == 0:
        return None
    return float(np.clip(np.corrcoef(ranks_a, ranks_b)[0, 1], -1, 1))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return ranks
