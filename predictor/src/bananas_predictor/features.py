"""What the networks see of an encoding: the columns that say something about these results. Called by `ensemble`.

Notation: n results, d columns kept. Of the 18,724 path bits of DARTS a hundred results show some two thousand, most of them
once: a column that one result has, or all have, teaches nothing that carries over to another architecture.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.spaces import Cells, Encoding, SearchSpace

MAX_COLUMNS: Final = 512
"""Columns kept, those that split the results most evenly: bounds the time of a fit, whatever the encoding."""
ROWS: Final = 1024
"""Cells encoded at once: 19 MB of DARTS paths."""


@dataclass(frozen=True)
class FeatureMap:
    """The columns of an encoding that the networks see."""

    space: SearchSpace
    encoding: Encoding
    columns: NDArray[np.intp]
    """(d,)"""

    @classmethod
    def learn(cls, space: SearchSpace, encoding: Encoding, cells: Cells) -> "FeatureMap":
        """Chooses the columns by the cells that have results."""
        total: NDArray[np.float64] = np.zeros(0)
        squares: NDArray[np.float64] = np.zeros(0)
        for start in range(0, len(cells), ROWS):
            block = space.encode(cells[start : start + ROWS], encoding).astype(np.float32)
            sums = block.sum(axis=0, dtype=np.float64)
            powers = (block**2).sum(axis=0, dtype=np.float64)
            total, squares = (total + sums, squares + powers) if len(total) else (sums, powers)
        spread = squares / len(cells) - (total / len(cells)) ** 2
        if encoding == "graph" and len(total) <= MAX_COLUMNS:
            return cls(space, encoding, np.arange(len(total)))  # scaled and few: nothing to choose
        shared = (spread > 1e-9) & (squares >= 2)
        telling = np.flatnonzero(shared if shared.any() else spread > 1e-9)
        best = telling[np.argsort(-spread[telling], kind="stable")][:MAX_COLUMNS]
        return cls(space, encoding, np.sort(best) if len(best) else np.zeros(1, dtype=np.intp))

    def of(self, cells: Cells) -> NDArray[np.float32]:
        """(n, d)"""
        blocks = [
            self.space.encode(cells[start : start + ROWS], self.encoding)[:, self.columns].astype(np.float32)
            for start in range(0, len(cells), ROWS)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.columns)), dtype=np.float32)
