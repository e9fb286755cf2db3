"""How the next architecture is chosen. Called by `Search`; a strategy knows the history and draws from the given generator.

A strategy is one class that follows `ChoosingStrategy`, and one line in `strategy_of`.
"""

from dataclasses import dataclass
from importlib import import_module
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

import numpy as np

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin
from bananas_predictor.acquisition import acquire
from bananas_predictor.candidates import draw_random, mutate_best
from bananas_predictor.history import History
from bananas_predictor.spaces import Cells

if TYPE_CHECKING:
    from bananas_predictor.ensemble import Ensemble


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
        """The next architecture, none that was proposed before; None where no more is found."""
        ...

    def batch_size(self, history: History) -> int:
        """How many to choose from one fit where all can be evaluated at once."""
        ...


StrategyName = Literal["bananas", "random"]
STRATEGIES: Final[tuple[StrategyName, ...]] = get_args(StrategyName)


def strategy_of(settings: Strategy) -> ChoosingStrategy:
    """The strategy that the settings name."""
    match settings.name:
        case "random":
            return RandomStrategy()
        case "bananas":
            return BananasStrategy(settings)


class RandomStrategy:
    """Uniform, without repetition."""

    fit: Fit | None = None

    def prepare(self) -> None:
        """Nothing."""

    def is_ready(self, history: History) -> bool:  # noqa: ARG002 - the protocol's
        """Always."""
        return True

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """An unseen architecture."""
        return _random(history, rng)

    def batch_size(self, history: History) -> int:  # noqa: ARG002 - the protocol's
        """As the paper's batches; the choice does not depend on it."""
        return 10


class BananasStrategy:
    """Bayesian optimisation with an ensemble of neural predictors (BANANAS, algorithm 1)."""

    def __init__(self, settings: Strategy) -> None:
        """With the settings of the search."""
        self.fit: Fit | None = None
        self._settings = settings
        self._enough: Final = max(2, ceil(settings.initial_trials / 2))
        self._model: Ensemble | None = None
        self._model_key: bytes = b""

    def prepare(self) -> None:
        """Imports torch, which takes two seconds; neither the random start nor the random strategy waits for it."""
        import_module("bananas_predictor.ensemble")

    def is_ready(self, history: History) -> bool:
        """Whether the start is unfinished, or there are results enough to fit, or too few can still come.

        Half of the initial trials are enough for a first fit: a free slot that waited for the slowest of them would cost
        more than a fit on a few results less. Where so many failed that not even that is in reach, further random ones
        are chosen, so a search never stands still with budget left.
        """
        missing = self._enough - history.result_count
        return history.counted < self._settings.initial_trials or missing <= 0 or history.open_count < missing

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """Random at the start, then the best candidate by the acquisition function (algorithm 1, steps i to iv)."""
        if history.counted < self._settings.initial_trials or history.result_count < self._enough:
            return _random(history, rng)
        candidates = mutate_best(history, self._settings.candidates, self._settings.mutation_rate, rng)
        if not len(candidates.cells):
            return _random(history, rng)  # every mutant of the best was tried
        forecasts = self._fitted(history).predict(candidates.cells)
        best_accuracy = float(np.nanmax(history.accuracies))
        values = acquire(self._settings.acquisition, forecasts, best_accuracy, rng)
        chosen = int(np.argmax(values))
        origin = Origin(
            method="mutation",
            parent=int(candidates.parents[chosen]),
            predicted_mean=float(np.clip(forecasts[:, chosen].mean(), 0, 1)),
            predicted_standard_deviation=float(forecasts[:, chosen].std()),
            acquisition=float(values[chosen]),
        )
        return Choice(candidates.cells[chosen : chosen + 1], origin)

    def batch_size(self, history: History) -> int:
        """Small while the predictor knows little (third in order of effect), at most the paper's 10."""
        missing = self._settings.initial_trials - history.counted
        return missing if missing > 0 else int(np.clip(history.result_count // 10, 2, 10))

    def _fitted(self, history: History) -> "Ensemble":
        """The ensemble for these results; the last one as long as they are the same."""
        from bananas_predictor.ensemble import fit_ensemble  # noqa: PLC0415 - see prepare

        known = history.has_result
        key = history.indices[known].tobytes() + history.accuracies[known].tobytes() + history.cells[known].tobytes()
        if self._model is None or key != self._model_key:
            start = perf_counter()
            self._model = fit_ensemble(
                history.space,
                self._settings.encoding,
                history.cells[known],
                history.accuracies[known],
                members=self._settings.ensemble_size,
                seed=(history.seed, history.result_count),
            )
            self._model_key = key
            self.fit = Fit(history.result_count, perf_counter() - start)
        return self._model


def _random(history: History, rng: np.random.Generator) -> Choice | None:
    cell = draw_random(history, rng)
    return None if cell is None else Choice(cell, Origin(method="random"))
