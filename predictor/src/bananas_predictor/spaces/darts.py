"""DARTS (arXiv 1806.09055): a cell pair is (2, 8, 2) small integers, so a batch is (n, 2, 8, 2).

Axis 1: normal, reduction. Axis 2: edges; 2i and 2i+1 lead into intermediate node i. Axis 3: operation code, input (0 and
1 are the cells before, 2 + i is node i). Kept normalised: the edges of a node stand in the order of their inputs, and a
`none` edge, which computes zero whatever it reads, has the lowest input that its node's other edge does not have.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise, product
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Encoding
from bananas_core.spaces import Architecture
from bananas_core.spaces.darts import EDGES, NODES, OPERATIONS, DartsArchitecture, Edge
from bananas_predictor.spaces.costs import Costs, NetworkShape, costs_of
from bananas_predictor.spaces.darts_costs import darts_costs
from bananas_predictor.spaces.darts_graph import graph_features
from bananas_predictor.spaces.hashing import ROLE_IN, ROLE_OUT, ROLE_SELF, Words, mix
from bananas_predictor.spaces.scaling import Scaled
from bananas_predictor.spaces.space import Cells, Features, Keys

OPS: Final = len(OPERATIONS)
NONE: Final = OPERATIONS.index("none")
CUTS: Final = tuple(sum(OPS**i for i in range(length + 1)) for length in range(NODES + 1))
"""Bits of a block that hold all paths of at most 0, 1, 2, 3, 4 operations: 1, 9, 73, 585, 4681."""
BLOCK: Final = CUTS[-1]
TRUNCATED_BLOCK: Final = CUTS[2]
"""Paths of at most two operations, kept in every one of the four blocks (the original cut three of them off whole)."""
EDITS: Final = 2 * (EDGES + EDGES - 2)
"""What can change: every operation, and every input but those of the first node, which reads both cells before."""
OP, INPUT = 0, 1


class _Darts:
    name: Final[Literal["darts"]] = "darts"

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        cells = np.zeros((count, 2, EDGES, 2), dtype=np.int8)
        cells[..., OP] = rng.integers(0, OPS, (count, 2, EDGES), dtype=np.int8)
        for node in range(NODES):
            first = rng.integers(0, node + 2, (count, 2), dtype=np.int8)
            second = rng.integers(0, node + 1, (count, 2), dtype=np.int8)
            cells[..., 2 * node, INPUT] = first
            cells[..., 2 * node + 1, INPUT] = second + (second >= first)
        return _normalise(cells)

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        mutants = cells.copy()
        chance = min(1.0, rate / EDITS)
        changed = rng.random(cells.shape) < chance
        step = rng.integers(1, OPS, cells.shape[:-1], dtype=np.int8)
        mutants[..., OP] = np.where(changed[..., OP], (cells[..., OP] + step) % OPS, cells[..., OP])
        # The input of a `none` edge says nothing; one that comes alive reads from anywhere.
        revived = (cells[..., OP] == NONE) & changed[..., OP]
        for edge in range(2, EDGES):
            _move_input(mutants, edge, changed[..., edge, INPUT], revived[..., edge], rng)
        return _normalise(mutants)

    def keys(self, cells: Cells) -> Keys:
        ops = cells[..., OP].astype(np.uint64)
        alive = cells[..., OP] != NONE
        words: Words = np.zeros((*cells.shape[:2], NODES + 2), dtype=np.uint64)
        words[..., :2] = mix(np.array([21, 22], dtype=np.uint64) * ROLE_SELF)
        for _ in range(NODES):
            words[..., 2:] = _round(words, ops, alive, cells[..., INPUT].astype(np.intp))
        nodes = mix(words[..., 2:] * ROLE_SELF)
        kinds = mix(np.einsum("nck->nc", nodes))  # all nodes are concatenated: a sum, for their order says nothing
        return mix(kinds[:, 0] * ROLE_IN + kinds[:, 1] * ROLE_OUT)

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        match encoding:
            case "path":
                return _paths(cells, BLOCK)
            case "truncatedPath":
                return _paths(cells, TRUNCATED_BLOCK)
            case "adjacency":
                ops = np.eye(OPS, dtype=np.uint8)[cells[..., OP]]
                inputs = np.eye(NODES + 1, dtype=np.uint8)[cells[..., INPUT]]
                return np.concatenate([ops, inputs], axis=-1).reshape(len(cells), 2 * EDGES * (OPS + NODES + 1))
            case "graph":
                return np.concatenate([_GRAPH(cells), _paths(cells, TRUNCATED_BLOCK)], axis=1)

    def functions(self, cells: Cells) -> Keys:
        return self.keys(cells)

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        return costs_of(darts_costs(cells[..., OP], cells[..., INPUT], shape), len(cells))

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        return self.sample(count, rng)

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        """One edit; the original's mutation leaves two in five as they were, and its rules for the rest are ours."""
        return self.mutate(spellings, 1.0, rng)

    def keys_original(self, spellings: Cells) -> Keys:
        return self.keys(spellings)

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        return _neighbours(spelling, rng)

    def settle(self, spellings: Cells) -> Cells:
        return spellings

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:  # noqa: ARG002 - nothing lies idle here
        return cells

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        given = [a.darts for a in architectures if a.darts]
        codes = [
            [[(OPERATIONS.index(edge.op), edge.input) for edge in cell] for cell in (a.normal, a.reduce)] for a in given
        ]
        return _normalise(np.array(codes, dtype=np.int8).reshape(-1, 2, EDGES, 2))

    def unpack(self, cells: Cells) -> list[Architecture]:
        return [
            Architecture.of(DartsArchitecture(normal=_edges(normal), reduce=_edges(reduce))) for normal, reduce in cells
        ]


def _edges(cell: Cells) -> tuple[Edge, ...]:
    return tuple(Edge(op=OPERATIONS[op], input=int(source)) for op, source in cell)


def _move_input(
    cells: Cells, edge: int, moved: NDArray[np.bool_], revived: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Gives the edge another input where `moved`, and any where `revived`; never that of its node's other edge."""
    node = edge // 2
    own, other = cells[..., edge, INPUT], cells[..., edge ^ 1, INPUT]
    low, high = np.minimum(own, other), np.maximum(own, other)
    another = rng.integers(0, node, own.shape, dtype=np.int8)  # node + 2 inputs less two
    another += another >= low
    another += another >= high
    any_one = rng.integers(0, node + 1, own.shape, dtype=np.int8)
    any_one += any_one >= other
    cells[..., edge, INPUT] = np.where(revived, any_one, np.where(moved, another, own))


def _normalise(cells: Cells) -> Cells:
    """The spelling that this module keeps."""
    pairs = cells.reshape(*cells.shape[:2], NODES, 2, 2)
    ops, inputs = pairs[..., OP], pairs[..., INPUT].copy()
    dead = ops == NONE
    inputs[..., 0] = np.where(dead[..., 0], (inputs[..., 1] == 0) & ~dead[..., 1], inputs[..., 0])
    inputs[..., 1] = np.where(dead[..., 1], inputs[..., 0] == 0, inputs[..., 1])
    order = np.argsort(inputs, axis=-1, kind="stable")
    out = np.stack([np.take_along_axis(ops, order, -1), np.take_along_axis(inputs, order, -1)], axis=-1)
    return out.reshape(cells.shape).astype(np.int8)


def _round(words: Words, ops: Words, alive: NDArray[np.bool_], inputs: NDArray[np.intp]) -> Words:
    """(n, 2, 4): words of the nodes after one more exchange along the edges, both ways."""
    ins = np.zeros_like(words)
    outs = np.zeros_like(words)
    for edge in range(EDGES):
        node = 2 + edge // 2
        source = inputs[..., edge, None]
        label = (ops[..., edge] + np.uint64(1)) * ROLE_SELF
        heard: Words = np.where(alive[..., edge], np.take_along_axis(words, source, -1)[..., 0], np.uint64(0))
        ins[..., node] += mix(label + heard * ROLE_IN)
        said = np.where(alive[..., edge], mix(label + words[..., node] * ROLE_OUT), np.uint64(0))
        np.put_along_axis(outs, source, np.take_along_axis(outs, source, -1) + said[..., None], -1)
    return mix(words * ROLE_SELF + mix(ins * ROLE_IN) + mix(outs * ROLE_OUT))[..., 2:]


_CHAINS: Final = tuple(
    tuple(2 * node + side for node, side in zip(nodes, sides, strict=True))
    for length in range(1, NODES + 1)
    for nodes in combinations(range(NODES), length)
    for sides in product((0, 1), repeat=length)
)
"""Every sequence of edges that can form a path from a cell input to a node: 80."""


def _paths(cells: Cells, block: int) -> NDArray[np.uint8]:
    """(n, 4 * block): paths from either input to any node (BANANAS, appendix; the original has no paths to the output).

    Four blocks: normal from input 0, normal from input 1, reduction likewise; path (o_1 ... o_L) has bit
    sum 8^i (code_i + 1) of its block, so a prefix of a block holds all short paths.
    """
    bits = np.zeros((len(cells), 4 * block), dtype=np.uint8)
    rows = np.arange(len(cells))[:, None]
    ops, inputs = cells[..., OP].astype(np.int64), cells[..., INPUT].astype(np.int64)
    first_block = np.array([0, 2 * block])
    for chain in _CHAINS:
        index = sum((OPS**i * (ops[..., edge] + 1) for i, edge in enumerate(chain)), np.zeros_like(ops[..., 0]))
        there = (inputs[..., chain[0]] < 2) & (index < block)
        for before, after in pairwise(chain):
            there &= inputs[..., after] == 2 + before // 2
        place = first_block + inputs[..., chain[0]] * block + index
        bits[np.broadcast_to(rows, there.shape)[there], place[there]] = 1
    return bits


def _neighbours(cell: Cells, rng: np.random.Generator) -> Cells:
    """Every other operation on every edge, and every other input that the node's other edge does not have. Shuffled."""
    others = []
    for kind, edge in product(range(2), range(EDGES)):
        _, source = cell[0, kind, edge]
        taken = {int(source), int(cell[0, kind, edge ^ 1, INPUT])}
        edits = [(OP, op) for op in range(OPS)] + [(INPUT, i) for i in range(edge // 2 + 2) if i not in taken]
        for axis, value in edits:
            other = cell[0].copy()
            other[kind, edge, axis] = value
            others.append(other)
    spelled = _normalise(np.array(others, dtype=np.int8))
    different = spelled[(spelled != cell).any(axis=(1, 2, 3))]
    shuffled: Cells = different[rng.permutation(len(different))]
    return shuffled


def _graph_features(cells: Cells) -> NDArray[np.float32]:
    return graph_features(cells[..., OP], cells[..., INPUT])


DARTS: Final = _Darts()
_GRAPH: Final = Scaled(_graph_features, DARTS.sample)
