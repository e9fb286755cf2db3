"""The NAS-Bench-201 space (arXiv 2001.00326): four nodes, an operation on each of the six edges."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from bananas_core.errors import ArchitectureError
from bananas_core.model import Model

Operation = Literal["avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of each edge, in the order of the architecture string."""


class Nasbench201Architecture(Model):
    """Operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 of a cell of four nodes."""

    ops: Annotated[tuple[Operation, ...], Field(min_length=6, max_length=6)] = Field(
        description="Operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."
    )

    def canonical(self) -> "Nasbench201Architecture":
        """The smaller of the spellings that number nodes 1 and 2 differently, which only `none` between them allows."""
        a, b, between, c, d, e = self.ops
        if between != "none":
            return self
        swapped = (b, a, between, c, e, d)
        return Nasbench201Architecture(ops=min(self.ops, swapped))

    def to_text(self) -> str:
        """The string of the published tables: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        a, b, c, d, e, f = self.ops
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    @classmethod
    def parse(cls, text: str) -> "Nasbench201Architecture":
        """Reads `to_text`.

        Raises:
            ArchitectureError: naming the edge that is wrong.
        """
        nodes = [node.strip("|").split("|") for node in text.strip().split("+")]
        if [len(node) for node in nodes] != [1, 2, 3]:
            raise ArchitectureError(f"{text!r}: want |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
        ops: list[Operation] = []
        for node in nodes:
            for want, edge in enumerate(node):
                op, _, source = edge.partition("~")
                if op not in OPERATIONS:
                    raise ArchitectureError(f"{text!r}: unknown operation {op!r}; one of {', '.join(OPERATIONS)}")
                if source != str(want):
                    raise ArchitectureError(f"{text!r}: edge {edge!r} should read from node {want}")
                ops.append(op)
        return cls(ops=tuple(ops))
