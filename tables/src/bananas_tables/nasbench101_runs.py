"""All of NASBench-101 (arXiv 1902.09635) in one compact file: three runs of each cell for each budget, half way and final.

`bananas convert-nasbench101` writes it from the published files, once; everybody else reads it with numpy alone. It is an npz
file, not compressed, of

* `hash` (n, 16) uint8, ascending: the graph hash of each cell;
* `vertices` (n,) uint8, `adjacency` (n,) uint32, `operations` (n,) uint8: the cell; its upper triangle row by row as bits, its
  operations as digits to base 3;
* `parameters` (n,) int32;
* `epochs_E` (n, 3, 2, 4), one for each budget E: run, half way or final, then METRICS (seconds and fractions); float32 where
  that is exact, as it is for the published numbers, else float64.

Notation: n cells.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.nasbench101 import MAX_VERTICES
from bananas_tables.csvfile import read_bytes
from bananas_tables.errors import ArchitectureNotInTable, TableInvalid
from bananas_tables.table import Table, TableEntry

RUNS: Final = 3
CELLS: Final = 423_624
"""Cells of the whole space."""
BUDGET: Final = "epochs_"
HALFWAY, FINAL = 0, 1
SECONDS, TRAIN, VALIDATION, TEST = range(4)
"""Places of METRICS of `nasbench101_records`."""

Names = NDArray[np.uint8]
Figures = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cells:
    """What is known of each cell but its results."""

    names: Names
    """(n, 16), ascending"""
    vertices: NDArray[np.uint8]
    """(n,)"""
    adjacency: NDArray[np.uint32]
    """(n,)"""
    operations: NDArray[np.uint8]
    """(n,)"""
    parameters: NDArray[np.int32]
    """(n,)"""

    def text(self, row: int) -> str:
        """The cell of a row, `adjacency:opcodes`."""
        return unpack(int(self.vertices[row]), int(self.adjacency[row]), int(self.operations[row]))


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a cell, or the half of it; accuracies are fractions."""

    seconds: float
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float


class Nasbench101Runs(Table):
    """The results of one budget, from a file that may have all four.

    `look_up` answers with the mean of the three runs, `draw` with one of them, as the API's `query` does; `seconds` is what
    that training took, so that their sum is the API's simulated training time. `runs` has everything.
    """

    def __init__(
        self, source: str, digest: str, cells: Cells, budgets: Mapping[int, Figures], epochs: int, half_way: bool
    ) -> None:
        super().__init__("nasbench101", f"{source}, {epochs} epochs{', half way' if half_way else ''}", digest)
        self.epochs = epochs
        self.half_way = half_way
        self.budgets = tuple(budgets)
        """Epochs that the file has results for."""
        self._file = source
        self._cells = cells
        self._figures = budgets
        self._keys: NDArray[np.uint64] = np.ascontiguousarray(cells.names[:, :8]).view(">u8").ravel().astype(np.uint64)
        """(n,) the first half of each name, ascending"""

    def at(self, epochs: int, *, half_way: bool = False) -> "Nasbench101Runs":
        """The same file, with the results of another budget.

        Raises:
            TableInvalid: naming the budgets that there are.
        """
        if epochs not in self._figures:
            there = ", ".join(map(str, self.budgets))
            raise TableInvalid(f"{self._file}: no results of {epochs} epochs; there: {there}")
        return Nasbench101Runs(self._file, self.digest, self._cells, self._figures, epochs, half_way)

    def runs(self, architecture: Architecture) -> tuple[Run, ...]:
        """The three runs of an architecture with this budget.

        Raises:
            ArchitectureNotInTable: where there is no such cell.
        """
        return self._runs_of(self._row(architecture))

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The mean of the runs."""
        row = self._row(architecture)
        return self._entry(row, self._runs_of(row))

    def draw(self, architecture: Architecture, rng: Generator) -> TableEntry:
        """One of the runs."""
        row = self._row(architecture)
        return self._entry(row, (self._runs_of(row)[rng.integers(RUNS)],))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Architecture]:
        return (self._parse(row) for row in range(len(self)))

    def _runs_of(self, row: int) -> tuple[Run, ...]:
        figures = self._figures[self.epochs][row, :, HALFWAY if self.half_way else FINAL]
        return tuple(Run(*run) for run in figures.tolist())

    def _entry(self, row: int, runs: tuple[Run, ...]) -> TableEntry:
        many = len(runs)
        return TableEntry(
            validation_accuracy=sum(run.validation_accuracy for run in runs) / many,
            test_accuracy=sum(run.test_accuracy for run in runs) / many,
            seconds=sum(run.seconds for run in runs) / many,
            parameters=int(self._cells.parameters[row]),
        )

    def _row(self, architecture: Architecture) -> int:
        self._check_space(architecture)
        name = bytes.fromhex(architecture.hash())
        first = int(np.searchsorted(self._keys, np.uint64(int.from_bytes(name[:8], "big"))))
        for row in range(first, len(self)):
            found = self._cells.names[row].tobytes()
            if found == name:
                return row
            if found > name:
                break
        raise ArchitectureNotInTable(
            f"{self.source}: no row for {architecture.to_text()} (hash {architecture.hash()}) among {len(self)}"
            + ("" if len(self) == CELLS else f"; the whole space has {CELLS}: convert the whole published file")
        )

    def _parse(self, row: int) -> Architecture:
        text = self._cells.text(row)
        try:
            return parse_architecture("nasbench101", text)
        except ArchitectureError as error:
            raise TableInvalid(f"{self.source}, row {row}, cell {text}: {error}") from error


def unpack(vertices: int, adjacency: int, operations: int) -> str:
    """The text of a cell, `adjacency:opcodes`, from the numbers that stand for it."""
    codes = ""
    for _ in range(vertices - 2):
        operations, digit = divmod(operations, 3)
        codes = f"{digit}{codes}"
    return f"{adjacency:0{vertices * (vertices - 1) // 2}b}:{codes}"


def read_runs(path: Path, epochs: int | None = None) -> Nasbench101Runs:
    """Reads a converted file; without `epochs`, its largest budget.

    Raises:
        TableMissing: no such file.
        TableInvalid: naming array and row.
    """
    digest = sha256(read_bytes(path)).hexdigest()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, KeyError) as error:
        raise TableInvalid(f"{path.name}: damaged or no npz file ({error}); copy it anew") from error
    cells = _read_cells(path.name, arrays)
    found = sorted(int(name.removeprefix(BUDGET)) for name in arrays if name.removeprefix(BUDGET).isdecimal())
    budgets = {many: _read_budget(path.name, f"{BUDGET}{many}", arrays, len(cells.names)) for many in found}
    if not budgets:
        raise TableInvalid(f"{path.name}: no array {BUDGET}108 or the like; convert the published file anew")
    table = Nasbench101Runs(path.name, digest, cells, budgets, max(budgets), half_way=False)
    return table if epochs is None else table.at(epochs)


def write_runs(path: Path, cells: Cells, budgets: Mapping[int, Figures]) -> None:
    """Writes such a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "hash": cells.names,
        "vertices": cells.vertices,
        "adjacency": cells.adjacency,
        "operations": cells.operations,
        "parameters": cells.parameters,
        **{f"{BUDGET}{epochs}": budgets[epochs] for epochs in sorted(budgets)},
    }
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
                for name, array in arrays.items():
                    with members.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_cells(file: str, arrays: Mapping[str, NDArray[Any]]) -> Cells:
    names = _array(file, arrays, "hash", "uint8", (-1, 16))
    n = len(names)
    if n == 0:
        raise TableInvalid(f"{file}, hash: no rows")
    keys = np.ascontiguousarray(names).view("S16").ravel()  # compares bytes; those that end in 0 are told apart below
    wrong = np.flatnonzero(keys[1:] < keys[:-1])
    if len(wrong):
        raise TableInvalid(f"{file}, hash[{wrong[0] + 1}]: out of order; want ascending names. Convert anew")
    cells = Cells(
        names=names,
        vertices=_array(file, arrays, "vertices", "uint8", (n,)),
        adjacency=_array(file, arrays, "adjacency", "uint32", (n,)),
        operations=_array(file, arrays, "operations", "uint8", (n,)),
        parameters=_array(file, arrays, "parameters", "int32", (n,)),
    )
    wrong = np.flatnonzero((cells.vertices < 2) | (cells.vertices > MAX_VERTICES))
    if len(wrong):
        raise TableInvalid(
            f"{file}, vertices[{wrong[0]}]: {cells.vertices[wrong[0]]}; want 2 to {MAX_VERTICES}. Convert anew"
        )
    return cells


def _read_budget(file: str, name: str, arrays: Mapping[str, NDArray[Any]], n: int) -> Figures:
    kind = str(arrays[name].dtype)
    figures = _array(file, arrays, name, kind if kind in ("float32", "float64") else "float32", (n, RUNS, 2, 4))
    seconds, accuracies = figures[..., SECONDS], figures[..., TRAIN:]
    wrong = np.argwhere(~((seconds >= 0) & (seconds < np.inf)))
    if len(wrong):
        place = ", ".join(map(str, [*wrong[0], SECONDS]))
        raise TableInvalid(f"{file}, {name}[{place}]: {seconds[tuple(wrong[0])]}; want seconds from 0")
    wrong = np.argwhere(~((accuracies >= 0) & (accuracies <= 1)))
    if len(wrong):
        place = ", ".join(map(str, [*wrong[0][:-1], wrong[0][-1] + TRAIN]))
        raise TableInvalid(
            f"{file}, {name}[{place}]: {accuracies[tuple(wrong[0])]}; want fractions from 0 to 1 ({len(wrong)} are not)"
        )
    return figures


def _array(file: str, arrays: Mapping[str, NDArray[Any]], name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of this type and shape; -1 in the shape is any length."""
    if name not in arrays:
        raise TableInvalid(
            f"{file}: array {name} is missing; found: {', '.join(arrays)}. Convert the published file anew"
        )
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(w in (-1, a) for a, w in zip(array.shape, shape, strict=True))
    if str(array.dtype) != kind or not fits:
        want = f"{kind} of shape {shape}".replace("-1", "n")
        raise TableInvalid(f"{file}, {name}: {array.dtype} of shape {array.shape}; want {want}. Convert anew")
    return array
