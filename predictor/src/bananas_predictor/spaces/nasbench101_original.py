"""NASBench-101 as the original's code has it (naszilla, commit 7e65491): sampler, mutation, neighbourhood, duplicates.

Called by `nasbench101`. The original keeps a cell as it was drawn: seven vertices, dead ends included, and a mutation can bring
a dead end to life. So a spelling here is (n, 26) like a cell, but unpruned; `spell` gives a pruned cell, which is all that
a trial keeps, the dead ends that a drawn one has, in distribution.

Notation: n cells; matrices (n, 7, 7), ops (n, 5).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.spaces.hashing import mix
from bananas_predictor.spaces.space import Cells, Keys

V: Final = 7
INNER: Final = 5
OPS: Final = 3
UPPER: Final = np.triu_indices(V, 1)
EDGE_BITS: Final = len(UPPER[0])
ROUNDS: Final = 5000
"""Tries before a mutation is given up, the original's `patience`."""

Matrices = NDArray[np.bool_]
Ops = NDArray[np.int8]
Prune = Callable[[Matrices, Ops], tuple[Cells, NDArray[np.bool_]]]
"""(n, 26) pruned cells and (n,) whether each is of the space."""


def draw(count: int, rng: np.random.Generator, prune: Prune) -> Cells:
    """`count` spellings: every edge with probability 1/2, operations uniform, until one is valid."""
    found = np.zeros((0, EDGE_BITS + INNER), dtype=np.int8)
    while len(found) < count:
        size = 4 * (count - len(found)) + 8
        bits = (rng.random((size, EDGE_BITS)) < 0.5).astype(np.int8)
        drawn = np.concatenate([bits, rng.integers(0, OPS, (size, INNER), dtype=np.int8)], axis=1)
        found = np.concatenate([found, drawn[prune(*unflatten(drawn))[1]]])
    return found[:count]


def mutate(spellings: Cells, rng: np.random.Generator, prune: Prune, rate: float = 1.0) -> Cells:
    """Every edge flips with probability rate / 21, every operation changes with rate / 5, until the cell is valid."""
    mutants = spellings.copy()
    rows = np.arange(len(spellings))
    for _ in range(ROUNDS):
        if not len(rows):
            break
        old = spellings[rows]
        flips = (rng.random((len(rows), EDGE_BITS)) < rate / EDGE_BITS).astype(np.int8)
        edited = rng.random((len(rows), INNER)) < rate / INNER
        step = rng.integers(1, OPS, (len(rows), INNER), dtype=np.int8)
        ops = np.where(edited, (old[:, EDGE_BITS:] + step) % OPS, old[:, EDGE_BITS:]).astype(np.int8)
        drawn = np.concatenate([old[:, :EDGE_BITS] ^ flips, ops], axis=1)
        _, valid = prune(*unflatten(drawn))
        mutants[rows[valid]] = drawn[valid]
        rows = rows[~valid]
    return mutants


def neighbours(spelling: Cells, rng: np.random.Generator, prune: Prune) -> Cells:
    """Spellings one operation or one edge away from a (1, 26) one; only what lies on a path counts. Shuffled."""
    whole, _ = prune(*unflatten(spelling))
    used = _is_used(unflatten(spelling)[0])[0]
    others = []
    for vertex in np.flatnonzero(used[1:-1]):
        for step in (1, 2):
            other = spelling[0].copy()
            other[EDGE_BITS + vertex] = (other[EDGE_BITS + vertex] + step) % OPS
            others.append(other)
    for edge in range(EDGE_BITS):
        other = spelling[0].copy()
        other[edge] ^= 1
        others.append(other)
    around = np.array(others, dtype=np.int8)
    cells, valid = prune(*unflatten(around))
    different = (cells != whole).any(axis=1)  # a flip of an edge on no path changes nothing
    kept: Cells = around[valid & different]
    return kept[rng.permutation(len(kept))]


def unflatten(spellings: Cells) -> tuple[Matrices, Ops]:
    """Matrices and operations."""
    matrices = np.zeros((len(spellings), V, V), dtype=np.bool_)
    matrices[:, UPPER[0], UPPER[1]] = spellings[:, :EDGE_BITS] != 0
    return matrices, spellings[:, EDGE_BITS:]


def path_keys(matrices: Matrices, ops: Ops) -> Keys:
    """(n,) of the sorted tuple of path numbers, as a sum of mixed words: different networks often share theirs."""
    words = [np.full(len(matrices), mix(np.array([1], dtype=np.uint64))[0])]
    # A path is told by its operations in order, so every vertex keeps the numbers of all paths that lead to it.
    numbers: list[list[tuple[NDArray[np.bool_], NDArray[np.int64]]]] = [
        [(np.ones(len(matrices), dtype=np.bool_), np.zeros(len(matrices), dtype=np.int64))]
    ]
    for v in range(1, V):
        here = []
        for u in range(v):
            for there, number in numbers[u]:
                step = number if v == V - 1 else number * (OPS + 1) + ops[:, v - 1] + 1
                here.append((there & matrices[:, u, v], step))
        numbers.append(here)
    total = words[0].copy()
    for there, number in numbers[-1]:
        total += np.where(there, mix(number.astype(np.uint64) + np.uint64(77)), np.uint64(0))
    return mix(total)


def spell(cells: Cells, rng: np.random.Generator, prune: Prune) -> Cells:
    """Spellings that are pruned to these cells, each as likely as `draw` would have it."""
    spellings = cells.copy()
    pruned, _ = unflatten(cells)
    used: NDArray[np.bool_] = np.logical_or.reduce(pruned[:, 1:-1], axis=2)
    rows = np.flatnonzero(~used.all(axis=1))
    for _ in range(ROUNDS):
        if not len(rows):
            break
        matrices, ops = _with_dead_ends(pruned[rows], used[rows], cells[rows, EDGE_BITS:], rng)
        again, _ = prune(matrices, ops)
        same: NDArray[np.bool_] = np.logical_and.reduce(again == cells[rows], axis=1)
        drawn = np.concatenate([matrices[:, UPPER[0], UPPER[1]].astype(np.int8), ops], axis=1)
        spellings[rows[same]] = drawn[same]
        rows = rows[~same]
    return spellings


def _with_dead_ends(
    pruned: Matrices, used: NDArray[np.bool_], ops: Ops, rng: np.random.Generator
) -> tuple[Matrices, Ops]:
    """The used vertices at random places in their order, and edges at random wherever an unused vertex has a part."""
    n, count = len(pruned), used.sum(axis=1)[:, None]
    taken = rng.random((n, INNER)).argsort(axis=1).argsort(axis=1) < count
    source = np.where(taken, taken.cumsum(axis=1) - 1, count + (~taken).cumsum(axis=1) - 1)
    ends = np.zeros((n, 1), dtype=np.intp)
    places = np.concatenate([ends, source + 1, ends + V - 1], axis=1)
    moved = np.take_along_axis(np.take_along_axis(pruned, places[:, :, None], 1), places[:, None, :], 2)
    whole = np.concatenate([ends == 0, taken, ends == 0], axis=1)
    free = np.triu(~(whole[:, :, None] & whole[:, None, :]), 1)
    moved = np.where(free, rng.random((n, V, V)) < 0.5, moved)
    random_ops = rng.integers(0, OPS, (n, INNER), dtype=np.int8)
    return moved, np.where(taken, np.take_along_axis(ops, source, axis=1), random_ops)


def _is_used(matrices: Matrices) -> NDArray[np.bool_]:
    """(n, 7): on a path from input to output."""
    reached = np.zeros(matrices.shape[:2], dtype=np.bool_)
    reaching = np.zeros_like(reached)
    reached[:, 0] = reaching[:, -1] = True
    for v in range(1, V):
        reached[:, v] = (reached[:, :v] & matrices[:, :v, v]).any(axis=1)
        u = V - 1 - v
        reaching[:, u] = (reaching[:, u + 1 :] & matrices[:, u, u + 1 :]).any(axis=1)
    both: NDArray[np.bool_] = reached & reaching
    return both
