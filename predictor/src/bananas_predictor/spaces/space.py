"""What a search asks of a space. Everything works on batches: a cell at a time in Python would cost more than the fit.

Notation: n cells, d features of an encoding. The first axis of every array is n.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces import Architecture, Space

Cells = NDArray[np.int8]
"""(n, ...) cells as small integers; the shape of a cell is the space's own affair."""
Keys = NDArray[np.uint64]
"""(n,) identities: equal exactly where `Architecture.hash` is equal."""
Features = NDArray[Any]
"""(n, d) bits (uint8) or numbers (float32)."""
Encoding = Literal["path", "truncatedPath", "adjacency"]


class SearchSpace(Protocol):
    """A search space."""

    @property
    def name(self) -> Space:
        """Its name in the API."""
        ...

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        """`count` cells, each drawn uniformly."""
        ...

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        """One mutant for each cell, `rate` edits on average; the cell itself where no edit fell or none was valid."""
        ...

    def keys(self, cells: Cells) -> Keys:
        """(n,) what tells different networks apart and does not see how one is spelled."""
        ...

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        """(n, d) what the predictor sees."""
        ...

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        """The cells of architectures of this space."""
        ...

    def unpack(self, cells: Cells) -> list[Architecture]:
        """The architectures of cells."""
        ...
