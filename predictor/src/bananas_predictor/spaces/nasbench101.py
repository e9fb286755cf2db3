"""NASBench-101 (arXiv 1902.09635): a cell is 21 edge bits and 5 operation codes, (n, 26).

The bits are the upper triangle of a 7x7 matrix, row by row; vertex 0 is the input, 6 the output. A cell is kept pruned:
vertices on no path from input to output have no edges, operation 0, and stand behind the others.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise, permutations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Encoding
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench101 import MAX_EDGES, MAX_VERTICES, OPERATIONS, Nasbench101Architecture
from bananas_predictor.spaces import nasbench101_original as original
from bananas_predictor.spaces.costs import Costs, NetworkShape, costs_of
from bananas_predictor.spaces.hashing import ROLE_IN, ROLE_OUT, ROLE_SELF, mix
from bananas_predictor.spaces.nasbench101_costs import nasbench101_costs
from bananas_predictor.spaces.nasbench101_graph import graph_features
from bananas_predictor.spaces.scaling import Scaled
from bananas_predictor.spaces.space import Cells, Features, Keys

V: Final = MAX_VERTICES
INNER: Final = V - 2
EDGE_BITS: Final = V * (V - 1) // 2
OPS: Final = len(OPERATIONS)
UPPER: Final = np.triu_indices(V, 1)
VERTICES: Final = np.arange(V, dtype=np.uint8)
_LATER: Final = (0x7F << (VERTICES + 1) & 0x7F).astype(np.uint8)
"""(7,) bit w of v: whether w comes after v."""
PATH_BITS: Final = sum(OPS**length for length in range(INNER + 1))  # 364
TRUNCATED_BITS: Final = 40
"""All paths of at most three operations (BANANAS, section 5.1, cuts at 40)."""
ADJACENCY_NUMBER: Final = np.array([0.5, 0.0, 1.0], dtype=np.float32)
"""Number of conv3x3, conv1x1 and maxpool in the original's adjacency encoding."""

Matrices = NDArray[np.bool_]
Ops = NDArray[np.int8]


class _Nasbench101:
    name: Final[Literal["nasbench101"]] = "nasbench101"

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        """Uniform over the 423,624 different cells, not over their spellings (the original's sampler favours small ones)."""
        found = np.zeros((0, EDGE_BITS + INNER), dtype=np.int8)
        while len(found) < count:
            cells = _draw_spellings(min(8192, 1024 * count), rng)
            # A cell with s spellings comes up s times as often.
            kept = rng.random(len(cells)) * _count_spellings(cells) < 1
            found = np.concatenate([found, cells[kept]])
        return found[:count]

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        mutants = cells.copy()
        open_rows = np.arange(len(cells))
        for _ in range(10):  # most edits that are refused (no path left, a tenth edge) succeed in one of ten draws
            if not len(open_rows):
                break
            matrices, ops = _spread(cells[open_rows], rng)
            chance = rate / (EDGE_BITS + INNER)
            flips = np.zeros_like(matrices)
            flips[:, UPPER[0], UPPER[1]] = rng.random((len(open_rows), EDGE_BITS)) < chance
            edited = rng.random(ops.shape) < chance
            step = rng.integers(1, OPS, ops.shape, dtype=np.int8)
            drawn, valid = _prune(matrices ^ flips, np.where(edited, (ops + step) % OPS, ops).astype(np.int8))
            mutants[open_rows[valid]] = drawn[valid]
            open_rows = open_rows[~valid]
        return mutants

    def keys(self, cells: Cells) -> Keys:
        matrices, ops = _unflatten(cells)
        edges = matrices.astype(np.uint64)
        labels = np.zeros((len(cells), V), dtype=np.uint64)
        labels[:, 0], labels[:, -1] = 11, 12
        labels[:, 1:-1] = np.where(_used(matrices), ops.astype(np.uint64) + np.uint64(1), np.uint64(0))
        words = mix(labels * ROLE_SELF)
        for _ in range(V):
            ins = np.einsum("nij,ni->nj", edges, mix(words * ROLE_IN))
            outs = np.einsum("nij,nj->ni", edges, mix(words * ROLE_OUT))
            words = mix(words * ROLE_SELF + mix(ins * ROLE_IN) + mix(outs * ROLE_OUT))
        return mix(mix(words * ROLE_SELF).sum(axis=1, dtype=np.uint64))

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        match encoding:
            case "path":
                return _paths(cells)
            case "truncatedPath":
                return _paths(cells)[:, :TRUNCATED_BITS]
            case "adjacency":
                matrices, ops = _unflatten(cells)
                numbers = np.where(_used(matrices), ADJACENCY_NUMBER[ops], np.float32(0))
                return np.concatenate([cells[:, :EDGE_BITS].astype(np.float32), numbers[:, ::-1]], axis=1)
            case "graph":
                return np.concatenate([_GRAPH(cells), _paths(cells)[:, :TRUNCATED_BITS]], axis=1)

    def functions(self, cells: Cells) -> Keys:
        return self.keys(cells)

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        return costs_of(nasbench101_costs(*_unflatten(cells), shape), len(cells))

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        return original.draw(count, rng, _prune)

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        return original.mutate(spellings, rng, _prune)

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        return original.neighbours(spelling, rng, _prune)

    def keys_original(self, spellings: Cells) -> Keys:
        return original.path_keys(*_unflatten(spellings))

    def settle(self, spellings: Cells) -> Cells:
        return _prune(*_unflatten(spellings))[0]

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:
        return original.spell(cells, rng, _prune)

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        given = [a.nasbench101 for a in architectures if a.nasbench101]
        matrices = np.zeros((len(given), V, V), dtype=np.bool_)
        ops = np.zeros((len(given), INNER), dtype=np.int8)
        for row, cell in enumerate(given):
            places = [*range(cell.vertices - 1), V - 1]
            matrices[row][np.ix_(places, places)] = cell.matrix()
            ops[row, : len(cell.ops)] = [OPERATIONS.index(op) for op in cell.ops]
        return _flatten(matrices, ops)

    def unpack(self, cells: Cells) -> list[Architecture]:
        matrices, ops = _unflatten(cells)
        used = _used(matrices).sum(axis=1)
        return [Architecture.of(_architecture(*row)) for row in zip(matrices, ops, map(int, used), strict=True)]


def _architecture(matrix: Matrices, ops: Ops, inner: int) -> Nasbench101Architecture:
    places = [*range(inner + 1), V - 1]
    small = matrix[np.ix_(places, places)]
    digits = "".join("01"[int(bit)] for bit in small[np.triu_indices(inner + 2, 1)])
    return Nasbench101Architecture(adjacency=digits, ops=tuple(OPERATIONS[op] for op in ops[:inner]))


def _flatten(matrices: Matrices, ops: Ops) -> Cells:
    return np.concatenate([matrices[:, UPPER[0], UPPER[1]].astype(np.int8), ops], axis=1)


def _unflatten(cells: Cells) -> tuple[Matrices, Ops]:
    matrices = np.zeros((len(cells), V, V), dtype=np.bool_)
    matrices[:, UPPER[0], UPPER[1]] = cells[:, :EDGE_BITS] != 0
    return matrices, cells[:, EDGE_BITS:]


def _used(matrices: Matrices) -> NDArray[np.bool_]:
    """(n, 5): which interior vertices of a pruned cell are on a path; those that have an edge."""
    used: NDArray[np.bool_] = np.logical_or.reduce(matrices[:, 1:-1, :], axis=2)
    return used


_KEPT_FIRST: Final = np.array(
    [sorted(range(INNER), key=lambda v: (not number >> v & 1, v)) for number in range(2**INNER)], dtype=np.intp
)
"""(32, 5) order of the interior vertices that puts those whose bit is set first."""


def _permuted(matrices: Matrices, places: NDArray[np.intp]) -> Matrices:
    """Matrices whose vertex i is the old vertex places[:, i]."""
    permuted: Matrices = matrices[np.arange(len(matrices))[:, None, None], places[:, :, None], places[:, None, :]]
    return permuted


def _with_ends(inner: NDArray[np.intp]) -> NDArray[np.intp]:
    """(n, 7) vertices from (n, 5) positions among the interior ones."""
    ends = np.zeros((len(inner), 1), dtype=np.intp)
    return np.concatenate([ends, inner + 1, ends + V - 1], axis=1)


def _prune(matrices: Matrices, ops: Ops) -> tuple[Cells, NDArray[np.bool_]]:
    """Drops vertices that are on no path; (n, 26) cells and (n,) whether a cell is of the space."""
    outs = np.packbits(matrices, axis=2, bitorder="little")[..., 0]
    kept = (_on_a_path(outs)[:, None] >> VERTICES & 1).astype(np.bool_)
    matrices = matrices & (kept[:, :, None] & kept[:, None, :])
    inner = kept[:, 1:-1]
    order = _KEPT_FIRST[inner @ (1 << np.arange(INNER))]
    gaps = np.flatnonzero((inner[:, 1:] & ~inner[:, :-1]).any(axis=1))  # elsewhere the kept ones stand in front already
    if len(gaps):
        matrices[gaps] = _permuted(matrices[gaps], _with_ends(order[gaps]))
    rows = np.arange(len(ops))[:, None]
    ops = np.where(inner[rows, order], ops[rows, order], 0)
    cells = _flatten(matrices, ops.astype(np.int8))
    edges = cells[:, :EDGE_BITS].sum(axis=1, dtype=np.int8)
    return cells, (edges > 0) & (edges <= MAX_EDGES)


def _on_a_path(outs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n,) bit v: whether vertex v is on a path from input to output; outs (n, 7): bit w of v, whether v leads to w."""
    reached = np.ones(len(outs), dtype=np.uint8)
    for v in range(V - 1):
        reached |= outs[:, v] * (reached >> v & 1)
    reaching = np.full(len(outs), 1 << (V - 1), dtype=np.uint8)
    for v in range(V - 2, -1, -1):
        reaching |= ((outs[:, v] & reaching) != 0).astype(np.uint8) << v
    on_a_path: NDArray[np.uint8] = reached & reaching
    return on_a_path


def _spread(cells: Cells, rng: np.random.Generator) -> tuple[Matrices, Ops]:
    """Unpruned spellings: the vertices at random places in their order, random operations on the unused ones.

    Without this an edit could only ever add a vertex behind the others.
    """
    matrices, ops = _unflatten(cells)
    used = _used(matrices).sum(axis=1)
    rank = rng.random(ops.shape).argsort(axis=1).argsort(axis=1)
    taken = rank < used[:, None]
    source = np.where(taken, taken.cumsum(axis=1) - 1, used[:, None] + (~taken).cumsum(axis=1) - 1)
    ops = np.take_along_axis(ops, source, axis=1)
    ops = np.where(taken, ops, rng.integers(0, OPS, ops.shape, dtype=np.int8))
    return _permuted(matrices, _with_ends(source)), ops


_SIZES: Final = np.arange(2, V + 1)
_SPELLINGS_OF_SIZE: Final = 2.0 ** (_SIZES * (_SIZES - 1) / 2) * float(OPS) ** (_SIZES - 2)
_VERTICES_OF_SIZE: Final = ((1 << (_SIZES - 1)) - 1 | 1 << (V - 1)).astype(np.uint8)
"""(6,) bit v: whether a cell of a size has vertex v; unused ones stand before the output."""


def _draw_spellings(count: int, rng: np.random.Generator) -> Cells:
    """Up to `count` cells, uniform over the spellings of all sizes."""
    drawn = rng.choice(len(_SIZES), count, p=_SPELLINGS_OF_SIZE / _SPELLINGS_OF_SIZE.sum())
    outs = rng.integers(0, 1 << V, (count, V), dtype=np.uint8) & _LATER & _VERTICES_OF_SIZE[drawn][:, None]
    outs *= _VERTICES_OF_SIZE[drawn][:, None] >> VERTICES & 1
    few = np.bitwise_count(outs).sum(axis=1) <= MAX_EDGES
    drawn, outs = drawn[few], outs[few]
    whole = _on_a_path(outs) == _VERTICES_OF_SIZE[drawn]
    drawn, outs = drawn[whole], outs[whole]
    cells = np.zeros((len(outs), EDGE_BITS + INNER), dtype=np.int8)
    cells[:, :EDGE_BITS] = outs[:, UPPER[0]] >> UPPER[1].astype(np.uint8) & 1
    ops = rng.integers(0, OPS, (len(outs), INNER), dtype=np.int8)
    cells[:, EDGE_BITS:] = ops * (np.arange(INNER) < drawn[:, None])
    return cells


_INNER_ORDERS: Final = np.array(list(permutations(range(INNER))), dtype=np.intp)  # (120, 5)


def _count_spellings(cells: Cells) -> NDArray[np.int64]:
    """(n,): how many different pruned cells are the same network; 120 orders tried at once."""
    matrices, ops = _unflatten(cells)
    orders = np.concatenate([np.zeros((120, 1), np.intp), _INNER_ORDERS + 1, np.full((120, 1), V - 1, np.intp)], axis=1)
    moved = matrices[:, orders[:, :, None], orders[:, None, :]]  # (n, 120, 7, 7)
    moved_ops = ops[:, _INNER_ORDERS]  # (n, 120, 5)
    used = _used(matrices)
    in_front = used[:, _INNER_ORDERS]  # unused vertices must stay behind
    allowed = ~np.tril(moved).any(axis=(2, 3)) & (in_front == used[:, None, :]).all(axis=2)
    same = (moved == matrices[:, None]).all(axis=(2, 3)) & (moved_ops == ops[:, None]).all(axis=2)
    # Orders of unused vertices among themselves give nothing new: they are in both counts.
    counts: NDArray[np.int64] = (allowed.sum(axis=1) // same.sum(axis=1)).astype(np.int64)
    return counts


_CHAINS: Final = tuple(chain for length in range(INNER + 1) for chain in combinations(range(1, V - 1), length))
"""Every sequence of interior vertices that can form a path: 32."""


def _paths(cells: Cells) -> NDArray[np.uint8]:
    """(n, 364): path (o_1 ... o_L) has bit sum 3^i (code_i + 1), so a prefix holds all short paths (BANANAS, section 3)."""
    matrices, ops = _unflatten(cells)
    bits = np.zeros((len(cells), PATH_BITS), dtype=np.uint8)
    rows = np.arange(len(cells))
    for chain in _CHAINS:
        stops = (0, *chain, V - 1)
        there = np.logical_and.reduce([matrices[:, a, b] for a, b in pairwise(stops)])
        index = sum((OPS**i * (ops[:, v - 1].astype(np.int64) + 1) for i, v in enumerate(chain)), np.zeros_like(rows))
        bits[rows[there], index[there]] = 1
    return bits


def _graph_features(cells: Cells) -> NDArray[np.float32]:
    matrices, ops = _unflatten(cells)
    return graph_features(matrices, ops, _used(matrices))


NASBENCH101: Final = _Nasbench101()
_GRAPH: Final = Scaled(_graph_features, NASBENCH101.sample)
