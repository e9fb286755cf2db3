"""A search space of five cells, from outside the predictor: NAS-Bench-201 with all edges but the last fixed."""

from typing import Final, Literal

import numpy as np

from bananas_predictor.spaces import Cells
from bananas_predictor.spaces.nasbench201 import NASBENCH201


class _Tiny(type(NASBENCH201)):  # type: ignore[misc]
    name: Final[Literal["nasbench201"]] = "nasbench201"
    size: Final = 5

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        cells = np.full((count, 6), 2, dtype=np.int8)
        cells[:, 5] = rng.integers(0, 5, count)
        return cells

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        mutants = cells.copy()
        mutants[:, 5] = rng.integers(0, 5, len(cells))
        return mutants


TINY: Final = _Tiny()
