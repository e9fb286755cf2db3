"""The strategies with a model where only the cells of a pool can be asked for: they score all of them. Called by `bench.search`.

Only one mutant in twenty of a cell is in the pool, so mutants would measure how hard each strategy looks for them. Everything else
of a strategy is as it is.
"""

import numpy as np

from bananas_predictor.candidates import Candidates, best_first
from bananas_predictor.history import History
from bananas_predictor.strategies.bananas import BananasStrategy
from bananas_predictor.strategies.bananas_paper import BananasPaperStrategy
from bench.tables import PoolSpace


class PooledBananas(BananasStrategy):
    """Ours."""

    def _candidates(self, history: History) -> Candidates:
        space = _pool(history)
        return Candidates(space.everything, _parents(history), self._tried(history, space.everything))


class PooledPaper(BananasPaperStrategy):
    """The recipe, blind as ever to what shares its paths with a result."""

    def _candidates(self, history: History) -> Candidates:
        space = _pool(history)
        return Candidates(space.everything, _parents(history), space.keys_original(space.everything))


def _pool(history: History) -> PoolSpace:
    assert isinstance(history.space, PoolSpace)
    return history.space


def _parents(history: History) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Nobody's child: the best stands in for all."""
    count = len(_pool(history).everything)
    return np.full(count, history.indices[best_first(history)[0]], dtype=np.int64)
