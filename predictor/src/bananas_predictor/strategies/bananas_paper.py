"""BANANAS to the letter (arXiv 1910.11858, algorithm 1; naszilla's `bananas`, commit 7e65491).

Ten random architectures; then five networks on all results, about a hundred mutants of the best, and the ten that come out
on top in one draw of independent Thompson sampling. Its blind spots are kept: duplicates by the set of paths, 30 or 40 bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Encoding, Strategy
from bananas_core.api.trial import Origin
from bananas_predictor.acquisition import acquire
from bananas_predictor.candidates import Candidates, Spellings, mutate_as_published
from bananas_predictor.history import History
from bananas_predictor.strategies.choosing import Choice, Fit, fit_key
from bananas_predictor.strategies.random_search import choose_original

if TYPE_CHECKING:
    from bananas_predictor.paper_network import PaperJob

BATCH: Final = 10
MEMBERS: Final = 5


@dataclass(frozen=True)
class _Scored:
    """Candidates after a fit."""

    candidates: Candidates
    forecasts: NDArray[np.float64]
    """(m, c)"""
    values: NDArray[np.float64]
    """(c,)"""
    order: NDArray[np.intp]
    """(c,) best first."""


class BananasPaperStrategy:
    """The published recipe."""

    def __init__(self, settings: Strategy, spellings: Spellings | None = None) -> None:
        """With the settings of the search; encoding and number of candidates are the paper's own."""
        self.fit: Fit | None = None
        self._settings = settings
        self._enough: Final = max(2, ceil(settings.initial_trials / 2))
        self._spellings: Final = spellings or Spellings()
        self._scored: _Scored | None = None
        self._key: bytes = b""

    def prepare(self) -> None:
        """Imports torch, which takes two seconds."""
        import_module("bananas_predictor.paper_network")

    def is_ready(self, history: History) -> bool:
        """As `bananas`: whether the start is unfinished, or results suffice, or too few can still come."""
        missing = self._enough - history.result_count
        return history.counted < self._settings.initial_trials or missing <= 0 or history.open_count < missing

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """Random at the start, then the best candidate that is left of the last fit's."""
        if not self._fits(history):
            return choose_original(history, rng, self._spellings)
        self.fit_together([self], [history])
        scored = self._scored
        assert scored is not None  # fit_together has seen to it
        seen = set(history.space.keys_original(history.cells).tolist())
        keys = scored.candidates.keys.tolist()
        for row in scored.order.tolist():
            if keys[row] in seen:
                continue
            spelling = scored.candidates.cells[row : row + 1]
            cell = history.space.settle(spelling)
            if history.may_repeat or history.is_new(cell)[0]:
                self._spellings.note(history.next_index, spelling)
                return Choice(cell, _origin(scored, row))
        return choose_original(history, rng, self._spellings)

    def batch_size(self, history: History) -> int:
        """Ten."""
        missing = self._settings.initial_trials - history.counted
        return missing if missing > 0 else BATCH

    @classmethod
    def fit_together(cls, strategies: Sequence["BananasPaperStrategy"], histories: Sequence[History]) -> None:
        """Fits and scores what has changed since the last time."""
        from bananas_predictor.paper_network import forecast  # noqa: PLC0415 - see prepare

        stale = [
            (strategy, history, key)
            for strategy, history in zip(strategies, histories, strict=True)
            if strategy._fits(history) and (key := fit_key(history)) != strategy._key
        ]
        start = perf_counter()
        drawn = [(history, strategy._candidates(history)) for strategy, history, _ in stale]
        jobs = [strategy._job(history, found) for (strategy, _, _), (history, found) in zip(stale, drawn, strict=True)]
        for (strategy, history, key), (_, found), forecasts in zip(stale, drawn, forecast(jobs), strict=True):
            best = float(np.nanmax(history.accuracies))
            values = acquire(strategy._settings.acquisition, forecasts, best, _rng(history, 3))
            strategy._scored = _Scored(found, forecasts, values, np.argsort(-values, kind="stable"))
            strategy._key = key
            strategy.fit = Fit(history.result_count, (perf_counter() - start) / len(stale))

    def _fits(self, history: History) -> bool:
        return history.counted >= self._settings.initial_trials and history.result_count >= self._enough

    def _candidates(self, history: History) -> Candidates:
        return mutate_as_published(history, self._spellings, _rng(history, 2))

    def _job(self, history: History, found: Candidates) -> "PaperJob":
        from bananas_predictor.paper_network import PaperJob  # noqa: PLC0415 - see prepare

        known = history.has_result
        # On DARTS, where the original's cut keeps one of four blocks, the paths are whole.
        encoding: Encoding = "path" if history.space.name == "darts" else "truncatedPath"
        return PaperJob(
            history.space.encode(history.cells[known], encoding),
            history.accuracies[known],
            history.space.encode(history.space.settle(found.cells), encoding),
            self._settings.ensemble_size or MEMBERS,
            (history.seed, history.result_count, 4),
        )


def _rng(history: History, purpose: int) -> np.random.Generator:
    """The same for all proposals of one fit: they are ranks of one draw."""
    return np.random.default_rng(np.random.SeedSequence([history.seed, history.result_count, purpose]))


def _origin(scored: _Scored, row: int) -> Origin:
    return Origin(
        method="mutation",
        parent=int(scored.candidates.parents[row]),
        predicted_mean=float(np.clip(scored.forecasts[:, row].mean(), 0, 1)),
        predicted_standard_deviation=float(scored.forecasts[:, row].std()),
        acquisition=float(scored.values[row]),
    )
