"""Our best: BANANAS (arXiv 1910.11858, algorithm 1) with what the benchmarks found to help (docs/search.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin
from bananas_predictor.acquisition import PENALISED, acquire, penalise
from bananas_predictor.candidates import Candidates, KeyMemory, KeysOf, draw_far, draw_random, mutate_best
from bananas_predictor.history import History
from bananas_predictor.spaces import Cells, Keys
from bananas_predictor.strategies.choosing import Choice, Fit, fit_key

if TYPE_CHECKING:
    from bananas_predictor.ensemble import EnsembleSettings


@dataclass(frozen=True)
class Tuning:
    """What is no setting of a search, with the values that the benchmarks chose; they are one for all spaces."""

    parents: int = 20
    """Best architectures that are mutated. The paper takes one."""
    its_scale: float = 1.0
    """Factor on the standard deviation in its."""
    start_tries: int = 30
    """Random cells of which the farthest from all before is taken, at the start. 1: just random."""
    members: int = 10
    """Networks in the ensemble where the search does not say."""
    duplicates: Literal["functions", "keys"] = "functions"
    """What counts as tried already: architectures that compute the same, or isomorphic ones."""
    smallest_batch: int = 2
    largest_batch: int = 10
    results_per_batch: int = 10
    """A batch is as large as the results so far divided by this."""
    ensemble: "EnsembleSettings | None" = None


TUNING: Final = Tuning()


@dataclass(frozen=True)
class _Scored:
    """Candidates after a fit."""

    candidates: Candidates
    forecasts: NDArray[np.float64]
    """(m, c)"""
    predict: Callable[[Cells], NDArray[np.float64]]
    """(m, n) forecasts of other cells."""


class BananasStrategy:
    """Bayesian optimisation with an ensemble of neural predictors."""

    def __init__(self, settings: Strategy, tuning: Tuning = TUNING) -> None:
        """With the settings of the search."""
        self.fit: Fit | None = None
        self._settings = settings
        self._tuning = tuning
        self._enough: Final = max(2, ceil(settings.initial_trials / 2))
        self._memory: KeyMemory | None = None
        self._scored: _Scored | None = None
        self._key: bytes = b""

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
        if not self._fits(history):
            return self._random(history, rng)
        if self._scored is None or not history.is_urgent:
            self.fit_together([self], [history])
        scored = self._scored
        assert scored is not None  # fit_together has seen to it
        # The candidates are those of the fit; what was proposed since is left out here.
        left = np.flatnonzero(~np.isin(scored.candidates.keys, self._tried(history, history.cells)))
        if not len(left):
            return self._random(history, rng)  # every mutant of the best was tried
        forecasts = scored.forecasts[:, left]
        best_accuracy = float(np.nanmax(history.accuracies))
        judged = forecasts
        if self._settings.acquisition in PENALISED and history.open_count:
            judged = penalise(forecasts, scored.predict(history.cells[history.is_open]))
        values = acquire(self._settings.acquisition, judged, best_accuracy, rng, self._tuning.its_scale)
        chosen = int(np.argmax(values))
        row = int(left[chosen])
        origin = Origin(
            method="mutation",
            parent=int(scored.candidates.parents[row]),
            predicted_mean=float(np.clip(forecasts[:, chosen].mean(), 0, 1)),
            predicted_standard_deviation=float(forecasts[:, chosen].std()),
            acquisition=float(values[chosen]),
        )
        return Choice(scored.candidates.cells[row : row + 1], origin)

    def batch_size(self, history: History) -> int:
        """Small while the predictor knows little, at most the paper's 10."""
        missing = self._settings.initial_trials - history.counted
        tuning = self._tuning
        batch = np.clip(history.result_count // tuning.results_per_batch, tuning.smallest_batch, tuning.largest_batch)
        return missing if missing > 0 else int(batch)

    @classmethod
    def fit_together(cls, strategies: Sequence["BananasStrategy"], histories: Sequence[History]) -> None:
        """Fits and scores what has changed since the last time."""
        from bananas_predictor.ensemble import DEFAULT, FitJob, fit_ensembles  # noqa: PLC0415 - see prepare

        stale = [
            (strategy, history, key)
            for strategy, history in zip(strategies, histories, strict=True)
            if strategy._fits(history) and (key := fit_key(history)) != strategy._key
        ]
        if not stale:
            return
        start = perf_counter()
        jobs = [
            FitJob.of(
                history.space,
                strategy._settings.encoding,
                history.cells[history.has_result],
                history.accuracies[history.has_result],
                strategy._settings.ensemble_size or strategy._tuning.members,
                (history.seed, history.result_count),
                None if history.variances is None else history.variances[history.has_result],
            )
            for strategy, history, _ in stale
        ]
        fitted = fit_ensembles(jobs, stale[0][0]._tuning.ensemble or DEFAULT)
        for (strategy, history, key), ensemble in zip(stale, fitted, strict=True):
            found = strategy._candidates(history)
            strategy._scored = _Scored(found, ensemble.predict(found.cells), ensemble.predict)
            strategy._key = key
            strategy.fit = Fit(history.result_count, (perf_counter() - start) / len(stale))

    def _fits(self, history: History) -> bool:
        return history.counted >= self._settings.initial_trials and history.result_count >= self._enough

    def _keys(self, history: History) -> KeysOf:
        return history.space.functions if self._tuning.duplicates == "functions" else history.space.keys

    def _candidates(self, history: History) -> Candidates:
        settings = self._settings
        rng = np.random.default_rng(np.random.SeedSequence([history.seed, history.result_count, 2]))
        tried = self._tried(history, history.cells[history.has_result])
        return mutate_best(
            history, settings.candidates, self._tuning.parents, settings.mutation_rate, self._keys(history), tried, rng
        )

    def _tried(self, history: History, cells: Cells) -> Keys:
        if self._memory is None:
            self._memory = KeyMemory(self._keys(history))
        return self._memory(cells)

    def _random(self, history: History, rng: np.random.Generator) -> Choice | None:
        tries = self._tuning.start_tries
        cell = draw_random(history, rng) if tries == 1 else draw_far(history, tries, rng)
        return None if cell is None else Choice(cell, Origin(method="random"))
