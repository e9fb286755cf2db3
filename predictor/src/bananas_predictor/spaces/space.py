"""What a search asks of a space. Everything works on batches: a cell at a time in Python would cost more than the fit.

Notation: n cells, d features of an encoding. The first axis of every array is n.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Encoding
from bananas_core.spaces import Architecture, Space
from bananas_predictor.spaces.costs import Costs, NetworkShape

Cells = NDArray[np.int8]
"""(n, ...) cells as small integers; the shape of a cell is the space's own affair."""
Keys = NDArray[np.uint64]
"""(n,) identities: equal exactly where `Architecture.hash` is equal."""
Features = NDArray[Any]
"""(n, d) bits (uint8) or numbers (float32)."""


@runtime_checkable
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

    def functions(self, cells: Cells) -> Keys:
        """(n,) what tells apart networks that compute something different: coarser than `keys` where an operation is
        zero or the identity, and equal to them elsewhere."""
        ...

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        """(n, d) what the predictor sees. `graph`: numbers that do not depend on the spelling, scaled to about 1, float32,
        with the truncated paths behind."""
        ...

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        """What their networks cost."""
        ...

    # The original keeps a cell as it was drawn, parts that do nothing included, for a mutation can bring them to life. Such a
    # spelling is an array like `Cells`; where nothing can lie idle it is the cell itself.

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        """`count` spellings as the original's code draws them."""
        ...

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        """One mutant for each, as the original's code makes it; it may be the same."""
        ...

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        """Every spelling one edit away from a (1, ...) one, in a random order, as the original's local search has it."""
        ...

    def keys_original(self, spellings: Cells) -> Keys:
        """(n,) what the original takes for the identity of a cell; different networks may share one."""
        ...

    def settle(self, spellings: Cells) -> Cells:
        """The cells that they are."""
        ...

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:
        """Spellings of cells whose own is not known, as likely as `sample_original` has them."""
        ...

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        """The cells of architectures of this space."""
        ...

    def unpack(self, cells: Cells) -> list[Architecture]:
        """The architectures of cells."""
        ...
