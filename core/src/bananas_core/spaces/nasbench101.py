"""The NASBench-101 space (arXiv 1902.09635): a directed acyclic graph of at most 7 vertices and 9 edges.

The first vertex is the input, the last the output; every other one has an operation. The graph is kept pruned: each
vertex lies on a path from input to output.
"""

from hashlib import md5
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field, model_validator

from bananas_core.errors import ArchitectureError
from bananas_core.model import Model

Operation = Literal["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
MAX_VERTICES: Final = 7
MAX_EDGES: Final = 9


class Nasbench101Architecture(Model):
    """A cell: upper triangle of the adjacency matrix, and the operations of the interior vertices."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "size(self.adjacency) == (size(self.ops) + 2) * (size(self.ops) + 1) / 2",
            "adjacency must have V*(V-1)/2 digits for V = number of ops + 2 vertices",
        ),
    )

    adjacency: str = Field(
        pattern="^[01]{1,21}$",
        max_length=21,
        description="Upper triangle of the adjacency matrix, row by row, as digits 0 and 1.",
    )
    ops: Annotated[tuple[Operation, ...], Field(max_length=MAX_VERTICES - 2)] = Field(
        description="Operations of the interior vertices, in the order of the matrix."
    )

    @model_validator(mode="after")
    def _graph_fits(self) -> "Nasbench101Architecture":
        v = self.vertices
        if len(self.adjacency) != v * (v - 1) // 2:
            raise ArchitectureError(
                f"adjacency: {len(self.adjacency)} digits for {v} vertices (input, {len(self.ops)} ops, output); "
                f"want {v * (v - 1) // 2}"
            )
        if self.adjacency.count("1") > MAX_EDGES:
            raise ArchitectureError(f"adjacency: {self.adjacency.count('1')} edges; at most {MAX_EDGES}")
        useless = set(range(v)) - _on_a_path(self.matrix())
        if useless:
            raise ArchitectureError(f"adjacency: vertices {sorted(useless)} are on no path from input to output")
        return self

    @property
    def vertices(self) -> int:
        """Number of vertices, input and output included."""
        return len(self.ops) + 2

    def matrix(self) -> list[list[int]]:
        """Adjacency matrix, (V, V), 1 at [i][j] for an edge from i to j > i."""
        v, digits = self.vertices, iter(self.adjacency)
        return [[int(next(digits)) if j > i else 0 for j in range(v)] for i in range(v)]

    def graph_hash(self) -> str:
        """The hash of the published table: equal for isomorphic cells. md5, Weisfeiler-Lehman over V rounds."""
        matrix = self.matrix()
        v = self.vertices
        labels = [-1, *(OPERATIONS.index(op) for op in self.ops), -2]
        ins = [sum(row[i] for row in matrix) for i in range(v)]
        outs = [sum(matrix[i]) for i in range(v)]
        hashes = [_md5(str((outs[i], ins[i], labels[i]))) for i in range(v)]
        for _ in range(v):
            hashes = [
                _md5(
                    "".join(sorted(hashes[w] for w in range(v) if matrix[w][i]))
                    + "|"
                    + "".join(sorted(hashes[w] for w in range(v) if matrix[i][w]))
                    + "|"
                    + hashes[i]
                )
                for i in range(v)
            ]
        return _md5(str(sorted(hashes)))

    def canonical(self) -> "Nasbench101Architecture":
        """The cell itself: its identity is `graph_hash`, which needs no canonical spelling."""
        return self

    def to_text(self) -> str:
        """`adjacency:opcodes` with one digit an operation, as in the tables: `110...:012`."""
        return f"{self.adjacency}:{''.join(str(OPERATIONS.index(op)) for op in self.ops)}"

    @classmethod
    def parse(cls, text: str) -> "Nasbench101Architecture":
        """Reads `to_text`.

        Raises:
            ArchitectureError: naming what is wrong.
        """
        adjacency, colon, codes = text.strip().partition(":")
        if not colon or not set(codes) <= set("012") or not adjacency or not set(adjacency) <= set("01"):
            raise ArchitectureError(f"{text!r}: want adjacency digits (0, 1), a colon, operation digits (0, 1, 2)")
        return cls(adjacency=adjacency, ops=tuple(OPERATIONS[int(code)] for code in codes))


def _on_a_path(matrix: list[list[int]]) -> set[int]:
    v = len(matrix)
    reached, reaching = {0}, {v - 1}
    for j in range(v):
        if any(matrix[i][j] for i in reached if i < j):
            reached.add(j)
    for i in reversed(range(v)):
        if any(matrix[i][j] for j in reaching if j > i):
            reaching.add(i)
    return reached & reaching


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
