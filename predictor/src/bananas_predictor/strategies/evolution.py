"""Regularised evolution (arXiv 1802.01548) as in naszilla's `evolution_search`.

The population is the newest results: it dies of age. The original counts a mutant that was evaluated before as a query and
lets it in again; where that cannot be (`History.may_repeat`), the mutant is drawn anew.
"""

from typing import Final

import numpy as np

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin
from bananas_predictor.candidates import Spellings
from bananas_predictor.history import History
from bananas_predictor.strategies.choosing import Choice, Fit
from bananas_predictor.strategies.random_search import choose_original

POPULATION: Final = 30
"""The original removes the oldest as soon as there are so many, so 29 are drawn from."""
TOURNAMENT: Final = 10
TRIES: Final = 200
"""Mutants drawn before a random architecture is taken, where repetitions cannot be."""


class EvolutionStrategy:
    """The best of a tournament is mutated."""

    fit: Fit | None = None

    def __init__(self, settings: Strategy, spellings: Spellings | None = None) -> None:
        """With the settings of the search."""
        self._initial: Final = settings.initial_trials
        self._spellings: Final = spellings or Spellings()

    def prepare(self) -> None:
        """Nothing."""

    def is_ready(self, history: History) -> bool:
        """Whether the start is unfinished, or there is a result to mutate, or none can come any more."""
        return history.counted < self._initial or history.result_count > 0 or history.open_count == 0

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """Random at the start, then a mutant."""
        alive = np.flatnonzero(history.has_result)
        if history.counted < self._initial or not len(alive):
            return choose_original(history, rng, self._spellings)
        population = alive[-(POPULATION - 1) :]
        for _ in range(TRIES):
            drawn = rng.choice(population, TOURNAMENT)  # with replacement
            parent = int(drawn[np.argmax(history.accuracies[drawn])])
            spelling = history.space.mutate_original(self._spellings.of(history, parent), rng)
            mutant = history.space.settle(spelling)
            if history.may_repeat or history.is_new(mutant)[0]:
                self._spellings.note(history.next_index, spelling)
                return Choice(mutant, Origin(method="mutation", parent=int(history.indices[parent])))
        return choose_original(history, rng, self._spellings)

    def batch_size(self, history: History) -> int:
        """One after the other, once there is a start."""
        return max(1, self._initial - history.counted)
