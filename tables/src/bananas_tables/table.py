"""What every table is, wherever its numbers come from. The readers beside this module implement it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bananas_core.spaces import Architecture, Space
from bananas_tables.errors import TableInvalid

if TYPE_CHECKING:
    from numpy.random import Generator  # numpy itself would slow the start of a toy trial down


@dataclass(frozen=True, slots=True)
class TableEntry:
    """What a table says of one architecture; accuracies are fractions in [0, 1]."""

    validation_accuracy: float
    test_accuracy: float | None = None
    seconds: float | None = None
    """Time of the training that the table reports, in seconds."""
    parameters: int | None = None


class Table(ABC):
    """Accuracies of architectures of one space."""

    def __init__(self, space: Space, source: str, digest: str) -> None:
        self.space = space
        self.source = source
        """Name of the file, or what stands in for one; for people."""
        self.digest = digest
        """sha256 of what the answers come from, as 64 hexadecimal digits."""

    @abstractmethod
    def look_up(self, architecture: Architecture) -> TableEntry:
        """The row of an architecture.

        Raises:
            ArchitectureNotInTable: where there is none.
            TableInvalid: where there is one that cannot be right.
        """

    def draw(self, architecture: Architecture, rng: "Generator") -> TableEntry:  # noqa: ARG002 - one answer needs no draw
        """One of the trainings that a row is the mean of; of a table that has one answer, that.

        Raises:
            As `look_up`.
        """
        return self.look_up(architecture)

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def __iter__(self) -> Iterator[Architecture]:
        """The architectures, in the order of the rows."""

    def _check_space(self, architecture: Architecture) -> None:
        if architecture.space != self.space:
            raise TableInvalid(
                f"{self.source}: a table of {self.space}, asked for an architecture of {architecture.space}"
            )
