"""Numbers of about the same size, which networks need. Called by the spaces' `graph` encoding.

The scale is that of the space and not of the results: the same architecture has the same features in every search.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.spaces.space import Cells

ROWS: Final = 2000
"""Cells that the scale is taken from."""
LARGEST: Final = 4.0
"""Standard deviations; a count that random cells hardly ever have would otherwise drown all others."""

Floats = NDArray[np.float32]


class Scaled:
    """Features of a space less their mean, divided by their deviation, over cells drawn once with a fixed seed."""

    def __init__(
        self, features: Callable[[Cells], Floats], sample: Callable[[int, np.random.Generator], Cells]
    ) -> None:
        """Draws nothing yet: the first call does."""
        self._features = features
        self._sample = sample
        self._scale: tuple[Floats, Floats] | None = None

    def __call__(self, cells: Cells) -> Floats:
        """(n, d)"""
        if self._scale is None:
            drawn = self._features(self._sample(ROWS, np.random.default_rng(0)))
            deviation = drawn.std(axis=0)
            self._scale = drawn.mean(axis=0), np.where(deviation > 1e-3, deviation, np.inf).astype(np.float32)
        mean, deviation = self._scale
        scaled: Floats = np.clip((self._features(cells) - mean) / deviation, -LARGEST, LARGEST)
        return scaled
