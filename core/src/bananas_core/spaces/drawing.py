"""An architecture drawn as text, for terminals and reports: at most 100 columns, one line an edge or vertex.

A pure function, called by `kubectl nas` and `bananas-trainer describe`; it prints nothing itself.
"""

from itertools import zip_longest
from textwrap import wrap
from typing import Final

from bananas_core.spaces.architecture import Architecture
from bananas_core.spaces.custom import CustomArchitecture
from bananas_core.spaces.darts import NODES, DartsArchitecture, Edge
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import EDGES, Nasbench201Architecture

_GAP: Final = "    "
_WIDTH: Final = 100
_CELL_INPUTS: Final = ("cell k-2", "cell k-1")  # as the DARTS paper counts: the cell drawn is cell k


def draw(architecture: Architecture) -> str:
    """The cells of an architecture as lines of text, without a line end at the end."""
    match architecture.cell:
        case DartsArchitecture() as cell:
            return _beside(_darts_cell("normal cell", cell.normal), _darts_cell("reduction cell", cell.reduce))
        case Nasbench101Architecture() as cell:
            return "\n".join(_nasbench101(cell))
        case Nasbench201Architecture() as cell:
            return "\n".join(_nasbench201(cell))
        case CustomArchitecture() as cell:
            return "\n".join(wrap(cell.text, _WIDTH, drop_whitespace=False))  # nobody here knows what it means


def _darts_cell(title: str, edges: tuple[Edge, ...]) -> list[str]:
    lines = [title]
    for node in range(NODES):
        edge_lines = [_edge(edge.op, _darts_source(edge.input)) for edge in edges[2 * node : 2 * node + 2]]
        lines += _node(f"node {node + 1}", edge_lines)
    return [*lines, f"output ── nodes 1 to {NODES}, concatenated"]


def _darts_source(source: int) -> str:
    return _CELL_INPUTS[source] if source < 2 else f"node {source - 1}"


def _nasbench101(cell: Nasbench101Architecture) -> list[str]:
    matrix, last = cell.matrix(), cell.vertices - 1
    labels = ["input", *cell.ops, "output"]
    width = max(map(len, labels))
    lines = ["cell"]
    for vertex in range(1, cell.vertices):
        sources = ", ".join(str(source) if source else "input" for source in range(vertex) if matrix[source][vertex])
        name = " " if vertex == last else str(vertex)
        lines.append(f"{name} {labels[vertex]:<{width}} ◀─ {sources}")
    return lines


def _nasbench201(cell: Nasbench201Architecture) -> list[str]:
    lines = ["cell"]
    for node in (1, 2, 3):
        edges = [
            _edge(op, f"node {source}" if source else "input")
            for op, (source, target) in zip(cell.ops, EDGES, strict=True)
            if target == node
        ]
        lines += _node("output" if node == 3 else f"node {node}", edges)
    return lines


def _edge(op: str, source: str) -> str:
    return f"{op:<12} ◀─ {source}" if op != "none" else "none"


def _node(name: str, edges: list[str]) -> list[str]:
    """The edges of a node, one under the other, held together by a bracket."""
    if len(edges) == 1:
        return [f"{name} ── {edges[0]}"]
    brackets = ["┬─", *["├─"] * (len(edges) - 2), "└─"]
    return [
        f"{name if number == 0 else ' ' * len(name)} {bracket} {edge}"
        for number, (bracket, edge) in enumerate(zip(brackets, edges, strict=True))
    ]


def _beside(left: list[str], right: list[str]) -> str:
    width = max(map(len, left))
    return "\n".join(f"{a:<{width}}{_GAP}{b}".rstrip() for a, b in zip_longest(left, right, fillvalue=""))
