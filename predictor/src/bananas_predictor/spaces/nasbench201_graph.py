"""The `graph` features of NAS-Bench-201, and what a cell computes. Called by `nasbench201`.

Notation: n cells; a cell is its operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3. An edge is live if it lies on a path
from input to output that no `none` interrupts; `skip_connect` on a path hands its input on, so it is left out of the path.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.nasbench201 import EDGES, OPERATIONS
from bananas_predictor.spaces.hashing import ROLE_IN, ROLE_SELF, Words, mix
from bananas_predictor.spaces.space import Cells, Keys

Floats = NDArray[np.float32]

OPS: Final = len(OPERATIONS)
POOL, CONV1, CONV3, NONE, SKIP = range(OPS)
PATHS: Final = ((3,), (0, 4), (1, 5), (0, 2, 5))
TWIN: Final = [1, 0, 2, 3, 5, 4]
"""Edges after nodes 1 and 2 have changed places."""
KERNEL: Final = np.array([0, 1, 9, 0, 0], dtype=np.float32)
"""Weights of an operation, in units of a 1x1 convolution."""
_DIGIT: Final = np.array([1, 2, 3, 0, 0])
"""Digit of an operation in the number of a path; skips have none."""


def function_keys(cells: Cells) -> Keys:
    """(n,) equal for cells that are the same after `none` and `skip_connect` are taken out."""
    start: Words = np.full(len(cells), mix(np.array([31], dtype=np.uint64))[0])
    nodes = [start]
    for target in (1, 2, 3):
        total: Words = np.zeros(len(cells), dtype=np.uint64)
        for edge, (source, end) in enumerate(EDGES):
            if end == target:
                total = total + _through(cells[:, edge], nodes[source])
        nodes.append(total)
    # The words see what is computed but not what is computed once and used twice: fewer convolutions, fewer weights.
    live = _live_edges(cells)
    for op in (CONV1, CONV3):
        nodes[3] = mix(nodes[3] * ROLE_IN + ((cells == op) & live).sum(axis=1).astype(np.uint64))
    return nodes[3]


def _through(ops: NDArray[np.int8], words: Words) -> Words:
    """What an edge makes of its input; zero is what nothing has reached."""
    made = mix(words * ROLE_IN + (ops.astype(np.uint64) + np.uint64(1)) * ROLE_SELF)
    passed: Words = np.where(ops == SKIP, words, np.where((ops == NONE) | (words == 0), np.uint64(0), made))
    return passed


def canonical(cells: Cells) -> Cells:
    """The smaller of the two spellings where nodes 1 and 2 may change places."""
    weights = OPS ** np.arange(6, dtype=np.int64)
    swapped = (cells[:, 2] == NONE) & (cells[:, TWIN] @ weights < cells @ weights)
    return np.where(swapped[:, None], cells[:, TWIN], cells)


def graph_features(cells: Cells) -> Floats:
    """(n, d) counts and scalars."""
    cells = canonical(cells)
    live = _live_edges(cells)
    one_hot = np.eye(OPS, dtype=np.float32)[cells] * live[..., None]  # (n, 6, 5)
    counts = one_hot.sum(axis=1)
    paths, depth, convolutions = _path_counts(cells)
    weights = (KERNEL[cells] * live).sum(axis=1)
    scalars = np.stack(
        [np.log1p(weights), np.log1p((KERNEL[cells]).sum(axis=1)), depth, convolutions, paths.sum(axis=1)], axis=1
    )
    return np.concatenate(
        [one_hot[..., [POOL, CONV1, CONV3, SKIP]].reshape(len(cells), -1), counts, paths, scalars], axis=1
    )


def _live_edges(cells: Cells) -> NDArray[np.bool_]:
    """(n, 6)"""
    there: NDArray[np.bool_] = cells != NONE
    live: NDArray[np.bool_] = np.zeros_like(there)
    for path in PATHS:
        whole = there[:, path].all(axis=1)
        for edge in path:
            live[:, edge] |= whole
    return live


def _path_counts(cells: Cells) -> tuple[Floats, Floats, Floats]:
    """(n, 64) live paths by what is on them, skips left out; (n,) longest, and most convolutions on one."""
    counts = np.zeros((len(cells), 64), dtype=np.float32)
    depth, convolutions = np.zeros((2, len(cells)), dtype=np.float32)
    rows = np.arange(len(cells))
    for path in PATHS:
        ops = cells[:, path]
        whole = (ops != NONE).all(axis=1)
        number = np.zeros(len(cells), dtype=np.int64)
        for edge in range(len(path)):
            number = np.where(_DIGIT[ops[:, edge]] > 0, number * 4 + _DIGIT[ops[:, edge]], number)
        np.add.at(counts, (rows[whole], number[whole]), 1)
        depth = np.maximum(depth, np.where(whole, (_DIGIT[ops] > 0).sum(axis=1), 0)).astype(np.float32)
        many = ((ops == CONV1) | (ops == CONV3)).sum(axis=1)
        convolutions = np.maximum(convolutions, np.where(whole, many, 0)).astype(np.float32)
    return counts, depth, convolutions
