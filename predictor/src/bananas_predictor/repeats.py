"""Several results of one architecture as one row of the history: their mean, and the variance of it. Pure; called by `Search`.

The spread of the results of one architecture is the noise of a training. It is estimated over all architectures that have
several, because two or three results of one say little; so a mean of three has a third of the variance of a single result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bananas_predictor.records import TrialRecord
from bananas_predictor.spaces import Keys

OPEN = ("Pending", "Queued", "Running")


@dataclass(frozen=True)
class Row:
    """An architecture and all its trials."""

    first: int
    """Which of the records was the first of this architecture."""
    accuracy: float
    """Mean of its results; NaN where there is none."""
    results: int
    variance: float
    """Of that mean; 0 while no architecture has two results."""
    is_open: bool
    """Whether a trial of it is proposed and has not ended."""
    repeats: frozenset[int]
    """Numbers of its trials, those left out that were cancelled."""


def row_of_result(accuracy: float) -> Row:
    """An architecture whose result was known before the search; it lacks no repeat."""
    return Row(first=-1, accuracy=accuracy, results=1, variance=0.0, is_open=False, repeats=frozenset((0,)))


def rows_of(records: Sequence[TrialRecord], keys: Keys) -> list[Row]:
    """A row for each (n,) key, in the order in which they come first."""
    members: dict[int, list[int]] = {}
    for number, key in enumerate(keys.tolist()):
        members.setdefault(key, []).append(number)
    results = [
        [
            r.validation_accuracy
            for n in group
            if (r := records[n]).phase == "Succeeded" and r.validation_accuracy is not None
        ]
        for group in members.values()
    ]
    noise = _noise(results)
    return [
        Row(
            first=group[0],
            accuracy=float(np.mean(accuracies)) if accuracies else float("nan"),
            results=len(accuracies),
            variance=noise / len(accuracies) if accuracies else 0.0,
            is_open=any(records[n].phase in OPEN for n in group),
            repeats=frozenset(records[n].repeat for n in group if records[n].phase != "Cancelled"),
        )
        for group, accuracies in zip(members.values(), results, strict=True)
    ]


def _noise(results: list[list[float]]) -> float:
    """Variance of a single result, pooled over the architectures that have several; 0 where none has."""
    several = [np.array(accuracies) for accuracies in results if len(accuracies) > 1]
    freedom = sum(len(accuracies) - 1 for accuracies in several)
    squares = sum(float(((accuracies - accuracies.mean()) ** 2).sum()) for accuracies in several)
    return squares / freedom if freedom else 0.0
