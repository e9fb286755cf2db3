"""The `graph` features of NASBench-101. Called by `nasbench101`. Nothing here depends on the order of the vertices.

Notation: n cells, V = 7 vertices, L = 5 labels: three operations, input, output. matrices (n, V, V), ops (n, V - 2).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.nasbench101 import MAX_VERTICES, OPERATIONS

V: Final = MAX_VERTICES
OPS: Final = len(OPERATIONS)
INPUT, OUTPUT = OPS, OPS + 1
KERNEL: Final = np.array([9, 1, 0], dtype=np.float32)
"""Weights of an operation for each pair of an input and an output channel."""

Matrices = NDArray[np.bool_]
Floats = NDArray[np.float32]


def graph_features(matrices: Matrices, ops: NDArray[np.int8], used: NDArray[np.bool_]) -> Floats:
    """(n, d) counts of labels along walks of up to three vertices, and scalars. used (n, V - 2): vertices on a path."""
    n = len(matrices)
    edges = matrices.astype(np.float32)
    labels = np.zeros((n, V, OPS + 2), dtype=np.float32)
    labels[:, 1:-1, :OPS] = np.eye(OPS, dtype=np.float32)[ops] * used[..., None]
    labels[:, 0, INPUT] = labels[:, -1, OUTPUT] = 1
    outs, ins = edges @ labels, edges.transpose(0, 2, 1) @ labels  # (n, V, L): labels of what follows, and goes before
    sources, targets = [*range(OPS), INPUT], [*range(OPS), OUTPUT]
    two = labels[..., sources].transpose(0, 2, 1) @ outs[..., targets]
    around = ins[:, 1:-1, sources, None] * outs[:, 1:-1, None, targets]  # (n, V - 2, 4, 4)
    three = labels[:, 1:-1, :OPS].transpose(0, 2, 1) @ around.reshape(n, V - 2, -1)
    return np.concatenate(
        [two.reshape(n, -1), three.reshape(n, -1), _scalars(edges, labels[..., :OPS], used)], axis=1
    ).astype(np.float32)


def _scalars(edges: Floats, labels: Floats, used: NDArray[np.bool_]) -> Floats:
    """(n, 27)"""
    counts = labels.sum(axis=1)  # (n, 3)
    share = channels(edges, used)[:, 1:-1]  # of the cell's output
    weighted = np.einsum("nvo,nv->no", labels[:, 1:-1], share)
    squared = np.einsum("nvo,nv->no", labels[:, 1:-1], share**2)
    projections = (edges[:, 0, 1:-1] * share).sum(axis=1) + edges[:, 0, -1]
    weights = squared @ KERNEL + projections
    deep = np.stack(
        [_longest(edges, labels[..., kinds].sum(axis=2)) for kinds in ([0, 1, 2], [0], [0, 1], [2])], axis=1
    )
    short = _shortest(edges)
    paths = _path_count(edges)
    degrees = np.stack([edges[:, 0].sum(axis=1), edges[:, :, -1].sum(axis=1), edges[:, 0, -1]], axis=1)
    feeding = np.einsum("nvo,nv->no", labels, edges[:, :, -1])  # operations whose output is the cell's
    totals = np.stack(
        [edges.sum(axis=(1, 2)), counts.sum(axis=1), np.log(weights), projections, np.log(paths), short], 1
    )
    return np.concatenate([counts, weighted, squared, deep, degrees, feeding, totals], axis=1)


def channels(edges: Floats, used: NDArray[np.bool_]) -> Floats:
    """(n, V): channels of a vertex as a share of the output's: those before the output share its channels, an earlier
    one has as many as its widest heir (the remainder of the division is left out)."""
    feeding = edges[:, :, -1].copy()
    feeding[:, 0] = 0
    share: Floats = feeding / np.maximum(feeding.sum(axis=1, keepdims=True), 1)
    for v in range(V - 2, 0, -1):
        widest = (edges[:, v, :-1] * share[:, :-1]).max(axis=1)
        share[:, v] = np.where(feeding[:, v] > 0, share[:, v], np.where(used[:, v - 1], widest, 0))
    share[:, -1] = 1
    return share


def _longest(edges: Floats, lengths: Floats) -> Floats:
    """(n,) greatest sum of lengths (n, V) along a path from input to output."""
    best = np.full(lengths.shape, -1e9, dtype=np.float32)
    best[:, 0] = 0
    for v in range(1, V):
        before = np.where(edges[:, :v, v] > 0, best[:, :v], -1e9).max(axis=1)
        best[:, v] = before + lengths[:, v]
    return best[:, -1]


def _shortest(edges: Floats) -> Floats:
    """(n,) fewest vertices between input and output."""
    best = np.full((len(edges), V), 1e9, dtype=np.float32)
    best[:, 0] = -1
    for v in range(1, V):
        best[:, v] = np.where(edges[:, :v, v] > 0, best[:, :v], 1e9).min(axis=1) + 1
    return best[:, -1]


def _path_count(edges: Floats) -> Floats:
    """(n,) paths from input to output."""
    many = np.zeros((len(edges), V), dtype=np.float32)
    many[:, 0] = 1
    for v in range(1, V):
        many[:, v] = (edges[:, :v, v] * many[:, :v]).sum(axis=1)
    return many[:, -1]
