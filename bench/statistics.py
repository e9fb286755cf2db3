"""What may be said of paired runs: means with their errors, intervals, and which differences are more than luck. Pure.

Notation: n seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error and a 95 % bootstrap interval."""

    mean: float
    error: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> "Estimate":
        """Of n values; no seed is ever left out."""
        rng = np.random.default_rng(0)
        means = np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES // 5)])
        low, high = np.quantile(means, [0.025, 0.975])
        error = float(values.std(ddof=1) / sqrt(len(values))) if len(values) > 1 else float("nan")
        return cls(float(values.mean()), error, float(low), float(high))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z = 1.959964
    middle = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * sqrt(hits * (n - hits) / n + z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_p_value(one: Floats, other: Floats) -> float:
    """Two-sided, by flipping the signs of the differences of paired seeds: no assumption about their distribution."""
    differences = one - other
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (RESAMPLES, len(differences)))
    flipped = np.abs((signs * differences).mean(axis=1))
    return float((1 + (flipped >= abs(differences.mean()) - 1e-15).sum()) / (1 + RESAMPLES))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: the chance of any false alarm among them stays below the corrected value."""
    corrected: dict[str, float] = {}
    highest = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for place, (name, p) in enumerate(ordered):
        highest = max(highest, min(1.0, p * (len(ordered) - place)))
        corrected[name] = highest
    return corrected
