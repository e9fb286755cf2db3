"""NAS-Bench-201 (arXiv 2001.00326): a cell is the operation codes of six edges, (n, 6), codes as in the core."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Encoding
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_predictor.spaces.costs import Costs, NetworkShape, costs_of
from bananas_predictor.spaces.nasbench201_costs import nasbench201_costs
from bananas_predictor.spaces.nasbench201_graph import PATHS, TWIN, function_keys, graph_features
from bananas_predictor.spaces.scaling import Scaled
from bananas_predictor.spaces.space import Cells, Features, Keys

EDGES: Final = 6
OPS: Final = len(OPERATIONS)
NONE: Final = OPERATIONS.index("none")
OFFSETS: Final = (0, 5, 30)
"""First bit of the paths of one, two and three edges."""
PATH_BITS: Final = 155
TRUNCATED_BITS: Final = 30
"""Paths of one and two edges: a cut between path lengths."""
ORIGINAL_CHANCE: Final = 1 / 4
"""The original changes each of the six operations with this probability."""


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
            case "graph":
                return np.concatenate([_GRAPH(cells), _paths(cells)[:, :TRUNCATED_BITS]], axis=1)

    def functions(self, cells: Cells) -> Keys:
        return function_keys(cells)

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        return costs_of(nasbench201_costs(cells, shape), len(cells))

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        return self.sample(count, rng)

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        return self.mutate(spellings, ORIGINAL_CHANCE * EDGES, rng)

    def keys_original(self, spellings: Cells) -> Keys:
        return (spellings @ OPS ** np.arange(EDGES, dtype=np.int64)).astype(np.uint64)  # the string, isomorphic or not

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        others = np.repeat(spelling, EDGES * (OPS - 1), axis=0)
        edge, step = np.divmod(np.arange(len(others)), OPS - 1)
        others[np.arange(len(others)), edge] += (step + 1).astype(np.int8)
        return rng.permutation(others % OPS).astype(np.int8)

    def settle(self, spellings: Cells) -> Cells:
        return spellings

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:  # noqa: ARG002 - nothing lies idle here
        return cells

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
_GRAPH: Final = Scaled(graph_features, NASBENCH201.sample)
