"""Random search, as the original draws: on NASBench-101 its sampler favours small cells."""

import numpy as np

from bananas_core.api.trial import Origin
from bananas_predictor.candidates import Spellings, draw_original
from bananas_predictor.history import History
from bananas_predictor.strategies.choosing import Choice, Fit


class RandomStrategy:
    """The original's sampler, without repetition of what it takes for the same."""

    fit: Fit | None = None

    def prepare(self) -> None:
        """Nothing."""

    def is_ready(self, history: History) -> bool:  # noqa: ARG002 - the protocol's
        """Always."""
        return True

    def choose(self, history: History, rng: np.random.Generator) -> Choice | None:
        """An unseen architecture."""
        return choose_original(history, rng)

    def batch_size(self, history: History) -> int:  # noqa: ARG002 - the protocol's
        """As the paper's batches; the choice does not depend on it."""
        return 10


def choose_original(history: History, rng: np.random.Generator, spellings: Spellings | None = None) -> Choice | None:
    """A random architecture from the original's sampler, of which it has seen none that it takes for the same."""
    spelling = draw_original(history, rng)
    if spelling is None:
        return None
    if spellings is not None:
        spellings.note(history.next_index, spelling)
    return Choice(history.space.settle(spelling), Origin(method="random"))
