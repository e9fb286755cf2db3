"""The DARTS space (arXiv 1806.09055): a normal and a reduction cell, each of four intermediate nodes with two edges.

Node i (0 to 3) owns edges 2i and 2i+1. An edge is an operation on an input; inputs 0 and 1 are the outputs of the two
cells before, inputs 2 to 5 the intermediate nodes. The cell's output is the concatenation of all four nodes.
"""

from itertools import permutations
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field, model_validator

from bananas_core.errors import ArchitectureError
from bananas_core.model import Model

Operation = Literal[
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
NODES: Final = 4
EDGES: Final = 2 * NODES


class Edge(Model):
    """One edge of a cell: an operation on an input."""

    op: Operation = Field(description="Operation on the edge.")
    input: int = Field(ge=0, le=NODES, description="Input: 0 and 1 are the two cells before, 2 to 4 the nodes before.")


Cell = Annotated[tuple[Edge, ...], Field(min_length=EDGES, max_length=EDGES)]


class DartsArchitecture(Model):
    """A normal and a reduction cell of eight edges each; edges 2i and 2i+1 belong to intermediate node i."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "[0,1,2,3,4,5,6,7].all(e, self.normal[e].input < e / 2 + 2 && self.reduce[e].input < e / 2 + 2)",
            "an edge may only read from the two cells before or from an earlier node: edge e belongs to node e/2, "
            "its input must be less than e/2 + 2",
        ),
        (
            "[0,2,4,6].all(e, self.normal[e].input != self.normal[e+1].input "
            "&& self.reduce[e].input != self.reduce[e+1].input)",
            "the two edges of a node must have different inputs",
        ),
    )

    normal: Cell = Field(description="Edges of the normal cell, in pairs per node.")
    reduce: Cell = Field(description="Edges of the reduction cell, in pairs per node.")

    @model_validator(mode="after")
    def _edges_fit(self) -> "DartsArchitecture":
        for name, cell in (("normal", self.normal), ("reduce", self.reduce)):
            for e, edge in enumerate(cell):
                if edge.input >= e // 2 + 2:
                    raise ArchitectureError(
                        f"{name}[{e}].input: {edge.input} is a later node; node {e // 2} may read from 0 to {e // 2 + 1}"
                    )
            for node in range(NODES):
                first, second = cell[2 * node : 2 * node + 2]
                if first.input == second.input:
                    raise ArchitectureError(
                        f"{name}[{2 * node}] and {name}[{2 * node + 1}]: both edges of node {node} have input "
                        f"{first.input}; they must differ"
                    )
        return self

    def canonical(self) -> "DartsArchitecture":
        """The spelling that stands for every equivalent one: edges ordered, inputs of `none` and node order fixed."""
        return DartsArchitecture(normal=_canonical_cell(self.normal), reduce=_canonical_cell(self.reduce))

    def to_text(self) -> str:
        """One line, read back by `parse`: `normal=op~input|op~input+... reduce=...`."""
        return f"normal={_cell_text(self.normal)} reduce={_cell_text(self.reduce)}"

    @classmethod
    def parse(cls, text: str) -> "DartsArchitecture":
        """Reads `to_text`.

        Raises:
            ArchitectureError: naming the cell and edge that is wrong.
        """
        cells: dict[str, tuple[Edge, ...]] = {}
        for part in text.split():
            name, _, rest = part.partition("=")
            if name not in ("normal", "reduce") or not rest:
                raise ArchitectureError(f"{part!r}: want 'normal=op~input|op~input+...' and 'reduce=...'")
            cells[name] = tuple(_parse_edge(name, e) for node in rest.split("+") for e in node.split("|"))
        for name in ("normal", "reduce"):
            if len(cells.get(name, ())) != EDGES:
                raise ArchitectureError(
                    f"{name}: {len(cells.get(name, ()))} edges; want {EDGES}, two for each of 4 nodes"
                )
        return cls(normal=cells["normal"], reduce=cells["reduce"])


def _parse_edge(cell: str, text: str) -> Edge:
    op, _, source = text.partition("~")
    if op not in OPERATIONS:
        raise ArchitectureError(f"{cell}: unknown operation {op!r}; one of {', '.join(OPERATIONS)}")
    if not source.isdecimal() or int(source) > NODES:
        raise ArchitectureError(f"{cell}: {text!r} has input {source!r}; want a number from 0 to {NODES}")
    return Edge(op=op, input=int(source))


def _cell_text(cell: tuple[Edge, ...]) -> str:
    return "+".join(
        "|".join(f"{edge.op}~{edge.input}" for edge in cell[2 * node : 2 * node + 2]) for node in range(NODES)
    )


_Key = tuple[tuple[int, int], ...]
_ANY: Final = -1  # input of a `none` edge: it computes zero whatever it reads


def _canonical_cell(cell: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """Smallest spelling over all orders of the nodes in which every node still comes after its inputs."""
    edges = [
        [(OPERATIONS.index(e.op), _ANY if e.op == "none" else e.input) for e in cell[2 * n : 2 * n + 2]]
        for n in range(NODES)
    ]
    best: _Key | None = None
    for order in permutations(range(NODES)):  # order[k] is the old node that becomes node k
        place = {0: 0, 1: 1, _ANY: _ANY, **{old + 2: new + 2 for new, old in enumerate(order)}}
        key: list[tuple[int, int]] = []
        for new, old in enumerate(order):
            pair = sorted((op, place[source]) for op, source in edges[old])
            if any(source >= new + 2 for _, source in pair):
                break
            key += pair
        else:
            best = tuple(key) if best is None or tuple(key) < best else best
    assert best is not None  # the given order is one of them
    return _concrete(best)


def _concrete(key: _Key) -> tuple[Edge, ...]:
    """Gives every `none` edge the lowest input that its node's other edge does not have."""
    out: list[Edge] = []
    for node in range(NODES):
        pair = key[2 * node : 2 * node + 2]
        taken = {source for _, source in pair if source != _ANY}
        for op, source in pair:
            chosen = source
            if source == _ANY:
                chosen = min({0, 1, 2} - taken) if node else min({0, 1} - taken)
                taken.add(chosen)
            out.append(Edge(op=OPERATIONS[op], input=chosen))
    return tuple(out)
