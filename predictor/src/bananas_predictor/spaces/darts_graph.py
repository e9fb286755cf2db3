"""The `graph` features of DARTS. Called by `darts`. Nothing here depends on the order of the nodes.

Notation: n cell pairs, K = 2 kinds (normal, reduction), E = 8 edges, N = 4 nodes, O = 8 operations. A `none` edge is left out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.darts import EDGES, NODES, OPERATIONS

OPS: Final = len(OPERATIONS)
NONE: Final = OPERATIONS.index("none")
WEIGHT: Final = np.array([0.0, 0.0, 0.0, 0.0, 2.09, 2.25, 1.09, 1.25], dtype=np.float32)
"""Weights of an operation in units of the channels squared, for about a hundred channels: separable ones have two
depthwise and pointwise convolutions, dilated ones one."""
DEEP: Final = np.array([0, 0, 0, 0, 2, 2, 1, 1], dtype=np.float32)
"""Convolutions of an operation, one after the other."""

Floats = NDArray[np.float32]


def graph_features(ops: NDArray[np.int8], inputs: NDArray[np.int8]) -> Floats:
    """(n, d) from ops and inputs, (n, K, E): operations by where they read from and by what reads them, and scalars."""
    n = len(ops)
    one_hot = np.eye(OPS, dtype=np.float32)[ops]
    one_hot[..., NONE] = 0
    source = np.minimum(inputs, 2)  # 0, 1: the cells before; 2: a node of the cell
    by_source = np.einsum("nkeo,nkes->nkos", one_hot, np.eye(3, dtype=np.float32)[source])
    into = one_hot.reshape(n, 2, NODES, 2, OPS).sum(axis=3)  # (n, K, N, O): operations that end in a node
    reads = np.eye(NODES + 2, dtype=np.float32)[inputs][..., 2:]  # (n, K, E, N)
    out_of = np.einsum("nkeo,nkev->nkvo", one_hot, reads)  # operations that start there
    two = np.einsum("nkva,nkvb->nkab", into, out_of)
    beside = np.einsum("nkva,nkvb->nkab", into, into)  # pairs that are added up
    scalars = _scalars(ops, inputs, one_hot)
    parts = [by_source.reshape(n, -1), two.reshape(n, -1), beside.reshape(n, -1), scalars]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _scalars(ops: NDArray[np.int8], inputs: NDArray[np.int8], one_hot: Floats) -> Floats:
    """(n, 2 * 6)"""
    n = len(ops)
    weights = one_hot @ WEIGHT  # (n, K, E)
    depth = np.zeros((n, 2, NODES + 2), dtype=np.float32)
    layers = np.zeros_like(depth)
    alive = ops != NONE
    for edge in range(EDGES):
        node, source = 2 + edge // 2, inputs[..., edge, None].astype(np.intp)
        for values, length in ((depth, DEEP[ops[..., edge]]), (layers, np.float32(1))):
            reached = np.take_along_axis(values, source, -1)[..., 0] + length
            values[..., node] = np.maximum(values[..., node], np.where(alive[..., edge], reached, 0))
    parts = [np.log1p(weights.sum(axis=2)), alive.sum(axis=2), depth.max(axis=2), layers.max(axis=2)]
    parts += [depth[..., 2:].mean(axis=2), (inputs >= 2).sum(axis=2)]
    return np.stack(parts, axis=2).reshape(n, -1)
