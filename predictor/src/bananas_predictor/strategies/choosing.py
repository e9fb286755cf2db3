"""What every strategy is. Implemented by the modules beside this one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bananas_core.api.trial import Origin
from bananas_predictor.history import History
from bananas_predictor.spaces import Cells


@dataclass(frozen=True)
class Choice:
    """A chosen cell, (1, ...), and why."""

    cell: Cells
    origin: Origin


@dataclass(frozen=True)
class Fit:
    """What is told of a fit."""

    results: int
    seconds: float


class ChoosingStrategy(Protocol):
    """A strategy."""

    @property
    def fit(self) -> Fit | None:
        """Its last fit, if it fits anything."""
        ...

    def prepare(self) -> None:
        """Does at once what the first fit would have to wait for."""
        ...

    def is_ready(self, history: History) -> bool:
        """Whether to choose now; False is to wait for what is in flight, and never said while nothing is."""
        ...

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """The next architecture, none that was proposed before unless the history allows it; None where no more is found."""
        ...

    def batch_size(self, history: History) -> int:
        """How many to choose at once where all can be evaluated at once."""
        ...


class FittingStrategy(ChoosingStrategy, Protocol):
    """A strategy that fits a model; many searches can be fitted in one program."""

    @classmethod
    def fit_together(cls, strategies: Sequence["FittingStrategy"], histories: Sequence[History]) -> None:
        """Makes the fits that `choose` would make one by one."""
        ...


def fit_key(history: History) -> bytes:
    """Equal where a fit would be the same: what has a result, in the order of the trials."""
    known = history.has_result
    noise = b"" if history.variances is None else history.variances[known].tobytes()
    accuracies, cells = history.accuracies[known].tobytes(), history.cells[known].tobytes()
    return history.indices[known].tobytes() + accuracies + cells + noise
