"""Results of searches as they come, a chunk of seeds a line, so that a long measurement can be made in parts and is never lost.

Called by `bench.search` and `bench.ablations`. A chunk belongs to a table, a contestant and its configuration; what is in the file
is not measured again, and a file is never rewritten, so no seed can be dropped.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """What the searches of some seeds in a row came to."""

    table: str
    contestant: str
    configuration: str
    first_seed: int
    figures: dict[str, Floats]
    """(seeds, places) by name."""
    seconds: float
    """For a search."""

    @property
    def seeds(self) -> int:
        """How many."""
        return len(next(iter(self.figures.values())))

    def to_line(self) -> str:
        """JSON; four decimals of a percentage point are more than luck leaves."""
        figures = {name: np.round(values, 4).tolist() for name, values in self.figures.items()}
        fields = {**vars(self), "figures": figures, "seconds": round(self.seconds, 3)}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> "Chunk":
        """Of `to_line`."""
        fields = json.loads(line)
        figures = {name: np.array(values, dtype=np.float64) for name, values in fields.pop("figures").items()}
        return cls(**fields, figures=figures)


class Store:
    """A file of chunks."""

    def __init__(self, path: Path) -> None:
        """An old file is gone on with."""
        self._path = path
        self._chunks = [Chunk.from_line(line) for line in path.read_text().splitlines()] if path.exists() else []

    def add(self, chunk: Chunk) -> None:
        """Writes it behind the others."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(chunk.to_line() + "\n")
        self._chunks.append(chunk)

    def of(self, table: str, contestant: str, configuration: str) -> list[Chunk]:
        """In the order of their seeds.

        Raises:
            ValueError: the file holds another configuration under this name.
        """
        found = [chunk for chunk in self._chunks if (chunk.table, chunk.contestant) == (table, contestant)]
        if any(chunk.configuration != configuration for chunk in found):
            raise ValueError(f"{self._path}: {contestant} was measured there with other settings; want another file")
        return sorted(found, key=lambda chunk: chunk.first_seed)

    def has(self, table: str, contestant: str, configuration: str, first_seed: int) -> bool:
        """Whether these seeds were measured."""
        return any(chunk.first_seed == first_seed for chunk in self.of(table, contestant, configuration))


def joined(chunks: list[Chunk]) -> dict[str, Floats]:
    """(n, places) figures of all their seeds: those that every chunk has."""
    names = [name for name in chunks[0].figures if all(name in chunk.figures for chunk in chunks)]
    return {name: np.concatenate([chunk.figures[name] for chunk in chunks]) for name in names}
