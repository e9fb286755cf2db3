"""From a published NASBench-101 file (TFRecord) to the compact one of `nasbench101_runs`, once.

Called by `bananas convert-nasbench101`. Every record is checked, every cell's hash computed, every run counted. Must never
leave half a file: what is wrong ends it before anything is written.

Notation: n cells; each budget's figures are (n, 3, 2, 4) as in `nasbench101_runs`.
"""

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import parse_architecture
from bananas_tables.errors import TableInvalid, TableMissing
from bananas_tables.nasbench101_records import Training, record_parser
from bananas_tables.nasbench101_runs import CELLS, RUNS, Cells, Figures, unpack, write_runs
from bananas_tables.tfrecords import read_records

SUFFIX: Final = ".npz"
_SINGLE: Final = struct.Struct("8f")


@dataclass(frozen=True, slots=True)
class Converted:
    """What came out."""

    records: int
    cells: int
    epochs: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether every cell of the space is there."""
        return self.cells == CELLS


def convert(published: Path, out: Path, progress: Callable[[int, int], None] | None = None) -> Converted:
    """Reads a published file and writes a compact one; `progress` is told of bytes read, and of how many there are.

    Raises:
        ReaderMissing: tensorflow or protobuf is not installed.
        TableMissing: no such file, or the other cannot be written.
        TableInvalid: naming file, record and field.
    """
    _check_out(out)
    parse = record_parser()
    collected = _Collected(published.name)
    number = 0
    for number, content in read_records(published, progress):
        collected.add(number, parse(published.name, number, content))
    cells, budgets = collected.sorted()
    try:
        write_runs(out, cells, budgets)
    except OSError as error:
        raise TableMissing(f"{out}: {error.strerror}; name another file") from error
    return Converted(number, len(cells.names), tuple(sorted(budgets)))


def _check_out(out: Path) -> None:
    """Before minutes of reading."""
    if out.suffix != SUFFIX:
        raise TableInvalid(f"{out.name}: want a name that ends in {SUFFIX}: by it the readers tell such files")
    if not out.absolute().parent.is_dir():
        raise TableMissing(f"{out.parent} is no folder; want a file in one that is there")


class _Collected:
    """Cells and their figures in the order of the file, as arrays that grow: objects would take ten times the memory."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._rows: dict[bytes, int] = {}
        self._vertices, self._operations = array("B"), array("B")
        self._adjacency, self._parameters = array("I"), array("i")
        self._figures: dict[int, Figures] = {}
        self._counts: dict[int, NDArray[np.uint8]] = {}
        self._kind: type[np.float32 | np.float64] = np.float32

    def add(self, number: int, training: Training) -> None:
        """Notes a record."""
        name = bytes.fromhex(training.name)
        row = self._rows.get(name)
        if row is None:
            self._check_hash(number, training)
            row = self._rows[name] = len(self._rows)
            vertices, adjacency, operations = _pack(training.cell)
            self._vertices.append(vertices)
            self._adjacency.append(adjacency)
            self._operations.append(operations)
            self._parameters.append(training.parameters)
        else:
            self._check_same(number, row, training)
        self._reserve(training.epochs, row)
        counts = self._counts[training.epochs]
        if counts[row] == RUNS:
            raise TableInvalid(
                f"{self._file}, record {number}: run {RUNS + 1} of cell {training.name} with {training.epochs} epochs; "
                f"want {RUNS}"
            )
        if self._kind is np.float32 and _SINGLE.unpack(_SINGLE.pack(*training.figures)) != training.figures:
            self._kind = np.float64  # not the published numbers, which are exact in single precision
            self._figures = {epochs: figures.astype(np.float64) for epochs, figures in self._figures.items()}
        self._figures[training.epochs][row, counts[row]].flat = training.figures
        counts[row] += 1

    def sorted(self) -> tuple[Cells, dict[int, Figures]]:
        """Cells by ascending name, and the figures of each budget.

        Raises:
            TableInvalid: no cells, or not three runs of each with each budget.
        """
        if not self._rows:
            raise TableInvalid(f"{self._file}: no records")
        self._check_runs()
        n = len(self._rows)
        names = np.frombuffer(b"".join(self._rows), dtype=np.uint8).reshape(n, 16)
        order = np.lexsort(names.T[::-1])
        cells = Cells(
            names=names[order],
            vertices=np.frombuffer(self._vertices, dtype=np.uint8)[order],
            adjacency=np.frombuffer(self._adjacency, dtype=np.uint32)[order],
            operations=np.frombuffer(self._operations, dtype=np.uint8)[order],
            parameters=np.frombuffer(self._parameters, dtype=np.int32)[order],
        )
        figures = {epochs: self._figures.pop(epochs)[order] for epochs in sorted(self._figures)}
        return cells, figures

    def _check_hash(self, number: int, training: Training) -> None:
        try:
            computed = parse_architecture("nasbench101", training.cell).hash()
        except ArchitectureError as error:
            raise TableInvalid(f"{self._file}, record {number}, adjacency and operations: {error}") from None
        if computed != training.name:
            raise TableInvalid(
                f"{self._file}, record {number}, hash: {training.name}, but the cell {training.cell} has hash {computed}; "
                "they must agree"
            )

    def _check_same(self, number: int, row: int, training: Training) -> None:
        """All runs of a cell are spelled the same and have as many parameters."""
        first = self._vertices[row], self._adjacency[row], self._operations[row]
        field, before, now = "adjacency and operations", unpack(*first), training.cell
        if first == _pack(training.cell):
            field, before, now = "metrics.trainable_parameters", str(self._parameters[row]), str(training.parameters)
        if before != now:
            raise TableInvalid(
                f"{self._file}, record {number}, {field}: {now}, but an earlier record of cell {training.name} has {before}"
            )

    def _reserve(self, epochs: int, row: int) -> None:
        figures = self._figures.get(epochs)
        have = 0 if figures is None else len(figures)
        if row < have:
            return
        room = min(max(1024, 2 * have, row + 1), max(CELLS, row + 1))
        grown = np.zeros((room, RUNS, 2, 4), dtype=self._kind)
        counts = np.zeros(len(grown), dtype=np.uint8)
        if figures is not None:
            grown[:have], counts[:have] = figures, self._counts[epochs]
        self._figures[epochs], self._counts[epochs] = grown, counts

    def _check_runs(self) -> None:
        for epochs in sorted(self._counts):
            lacking = list(self._lacking(self._counts[epochs]))
            if lacking:
                name, runs = lacking[0]
                raise TableInvalid(
                    f"{self._file}: cell {name} has {runs} runs with {epochs} epochs; want {RUNS} ({len(lacking)} of "
                    f"{len(self._rows)} cells lack some: a part of the file is missing)"
                )

    def _lacking(self, counts: NDArray[np.uint8]) -> Iterator[tuple[str, int]]:
        for row, name in enumerate(self._rows):
            runs = int(counts[row]) if row < len(counts) else 0
            if runs < RUNS:
                yield name.hex(), runs


def _pack(text: str) -> tuple[int, int, int]:
    """Vertices, adjacency as bits, operations as digits to base 3."""
    adjacency, _, codes = text.partition(":")
    return len(codes) + 2, int(adjacency, 2), int(codes or "0", 3)
