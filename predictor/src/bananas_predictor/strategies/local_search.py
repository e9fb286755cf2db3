"""Local search (arXiv 2005.02960) as in naszilla's `local_search`: first improvement, and a new start at a minimum.

Where it stands follows from the trials: random ones come in groups, the best of a group is where a climb begins, and a
mutant that is better than its parent is where it goes on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin
from bananas_predictor.candidates import Spellings
from bananas_predictor.history import History
from bananas_predictor.spaces import Cells
from bananas_predictor.strategies.choosing import Choice, Fit
from bananas_predictor.strategies.random_search import choose_original


@dataclass(frozen=True)
class _Place:
    """Where the search stands."""

    current: int | None
    """Row of the architecture whose neighbours are tried; None while a start is made."""
    missing: int
    """Random architectures that the start still lacks."""


class LocalSearchStrategy:
    """Climbs, and starts anew."""

    fit: Fit | None = None

    def __init__(self, settings: Strategy, spellings: Spellings | None = None) -> None:
        """With the settings of the search."""
        self._initial: Final = settings.initial_trials
        self._spellings: Final = spellings or Spellings()
        self._neighbours: Cells | None = None
        self._around: tuple[int, bytes] | None = None

    def prepare(self) -> None:
        """Nothing."""

    def is_ready(self, history: History) -> bool:
        """Whether the start is unfinished or ended, or there is somewhere to climb from."""
        place = self._place(history)
        return place.missing > 0 or place.current is not None or history.open_count == 0

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """The next neighbour; a random architecture for a start."""
        current = self._place(history).current
        if current is not None:
            seen = set(history.space.keys_original(history.cells).tolist())
            neighbours = self._around_row(history, current)
            keys = history.space.keys_original(neighbours).tolist()
            for row, key in enumerate(keys):
                if key in seen:
                    continue
                neighbour = history.space.settle(neighbours[row : row + 1])
                if history.may_repeat or history.is_new(neighbour)[0]:
                    self._spellings.note(history.next_index, neighbours[row : row + 1])
                    return Choice(neighbour, Origin(method="mutation", parent=int(history.indices[current])))
        return choose_original(history, rng, self._spellings)

    def batch_size(self, history: History) -> int:
        """One after the other, but for the start."""
        return max(1, self._place(history).missing)

    def _place(self, history: History) -> _Place:
        """Goes through the trials in their order."""
        better: NDArray[np.float64] = history.accuracies
        current: int | None = None
        group: list[int] = []
        for row, parent in enumerate(history.parents.tolist()):
            if parent < 0:
                group = [row] if len(group) in (0, self._initial) else [*group, row]
                current = None
            elif current is not None and history.indices[current] == parent and better[row] > better[current]:
                current = row
            if current is None and len(group) == self._initial:
                current = self._best(history, group)
        return _Place(current, self._initial - len(group) if current is None else 0)

    def _best(self, history: History, group: list[int]) -> int | None:
        """The best of a start, once all that can come is there."""
        values = history.accuracies[group]
        waits = history.is_open[group].any() or np.isnan(values).all()
        return None if waits else group[int(np.nanargmax(values))]

    def _around_row(self, history: History, row: int) -> Cells:
        """Neighbours of a trial, in an order of its own."""
        around = int(history.indices[row]), history.cells[row].tobytes()
        if self._around != around or self._neighbours is None:
            rng = np.random.default_rng(np.random.SeedSequence([history.seed, around[0], 1]))
            self._neighbours = history.space.neighbours(self._spellings.of(history, row), rng)
            self._around = around
        return self._neighbours
