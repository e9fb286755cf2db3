"""NAS-Bench-201 (arXiv 2001.00326): a cell is the operation codes of six edges, (n, 6), codes as in the core."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_predictor.spaces.space import Cells, Encoding, Features, Keys

EDGES: Final = 6
OPS: Final = len(OPERATIONS)
NONE: Final = OPERATIONS.index("none")
PATHS: Final = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Edges of every path from input to output."""
OFFSETS: Final = (0, 5, 30)
"""First bit of the paths of one, two and three edges."""
PATH_BITS: Final = 155
TRUNCATED_BITS: Final = 30
"""Paths of one and two edges: a cut between path lengths."""
TWIN: Final = [1, 0, 2, 3, 5, 4]
"""Edges after nodes 1 and 2 have changed places."""


class _Nasbench201:
    name: Final[Literal["nasbench201"]] = "nasbench201"

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        return rng.integers(0, OPS, (count, EDGES), dtype=np.int8)

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        edited = rng.random(cells.shape) < min(1.0, rate / EDGES)
        step = rng.integers(1, OPS, cells.shape, dtype=np.int8)  # never 0: an edit changes the operation
        return np.where(edited, (cells + step) % OPS, cells).astype(np.int8)

    def keys(self, cells: Cells) -> Keys:
        weights = OPS ** np.arange(EDGES, dtype=np.int64)
        own, twin = cells @ weights, cells[:, TWIN] @ weights
        # Only without an edge between them may nodes 1 and 2 change places.
        return np.where(cells[:, 2] == NONE, np.minimum(own, twin), own).astype(np.uint64)

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        match encoding:
            case "path":
                return _paths(cells)
            case "truncatedPath":
                return _paths(cells)[:, :TRUNCATED_BITS]
            case "adjacency":
                return np.eye(OPS, dtype=np.uint8)[cells].reshape(len(cells), EDGES * OPS)

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        cells = [a.nasbench201.ops for a in architectures if a.nasbench201]
        return np.array([[OPERATIONS.index(op) for op in ops] for ops in cells], dtype=np.int8).reshape(-1, EDGES)

    def unpack(self, cells: Cells) -> list[Architecture]:
        return [Architecture.of(Nasbench201Architecture(ops=tuple(OPERATIONS[op] for op in row))) for row in cells]


def _paths(cells: Cells) -> NDArray[np.uint8]:
    """(n, 155): one bit for each sequence of operations on a path from input to output (BANANAS, section 3)."""
    bits = np.zeros((len(cells), PATH_BITS), dtype=np.uint8)
    rows = np.arange(len(cells))
    for path in PATHS:
        codes = cells[:, path].astype(np.int64) @ (OPS ** np.arange(len(path)))
        bits[rows, OFFSETS[len(path) - 1] + codes] = 1
    return bits


NASBENCH201: Final = _Nasbench201()
