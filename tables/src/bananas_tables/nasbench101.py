"""Tables of NASBench-101 (arXiv 1902.09635), by the official graph hash, so that every isomorphic cell finds its row.

A CSV file is a sample of the published table (accuracies are fractions). An `.npz` file is all of it, converted
(`nasbench101_runs`), or a surrogate: a *model* of the whole space, whose rows are those of `nasbench101_cells.tsv.gz` beside it.
Say "surrogate" wherever a figure rests on it.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.nasbench101 import MAX_VERTICES
from bananas_tables.csvfile import CsvFile, Row, decompressed, read_bytes
from bananas_tables.errors import ArchitectureNotInTable, TableInvalid
from bananas_tables.table import Table, TableEntry

SAMPLE: Final = ("hash", "num_vertices", "adjacency_upper", "ops", "val_acc_108")
CELLS_FILE: Final = "nasbench101_cells.tsv.gz"
PREDICTIONS: Final = "pred"
"""Array of the npz file: validation accuracy of each cell, a fraction."""

_HASH: Final = re.compile("[0-9a-f]{32}")
_CELLS_LINE: Final = re.compile(r"([0-9a-f]{32})\t([2-7])\t([01]{1,21})\t([012]{1,5}|-)")


@dataclass(frozen=True, slots=True)
class _Cell:
    """A row before anybody asked for it: its text, and what it says."""

    text: str
    entry: TableEntry


class Nasbench101Sample(Table):
    """Real results of a part of the space."""

    def __init__(self, source: str, digest: str, cells: dict[str, _Cell]) -> None:
        super().__init__("nasbench101", source, digest)
        self._cells = cells

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The row of the graph hash."""
        self._check_space(architecture)
        cell = self._cells.get(architecture.hash())
        if cell is None:
            raise ArchitectureNotInTable(
                f"{self.source}: no row for {architecture.to_text()} (hash {architecture.hash()}) among {len(self)}; "
                f"a search needs the whole space: the surrogate (.npz beside {CELLS_FILE}) or the toy table has it"
            )
        _check_hash(self.source, architecture.hash(), cell.text)
        return cell.entry

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Architecture]:
        return (_parse(self.source, cell.text) for cell in self._cells.values())


class Nasbench101Surrogate(Table):
    """A model's prediction for every cell of the space. Its noise is left out: the same cell has one answer."""

    def __init__(
        self, source: str, digest: str, rows: dict[str, int], texts: list[str], predictions: list[float]
    ) -> None:
        super().__init__("nasbench101", source, digest)
        self._rows = rows
        self._texts = texts
        self._predictions = predictions

    def look_up(self, architecture: Architecture) -> TableEntry:
        """What the model predicts for the cell of this graph hash."""
        self._check_space(architecture)
        row = self._rows.get(architecture.hash())
        if row is None:
            raise ArchitectureNotInTable(
                f"{CELLS_FILE}: no row for {architecture.to_text()} (hash {architecture.hash()}) among {len(self)}"
            )
        _check_hash(CELLS_FILE, architecture.hash(), self._texts[row])
        return TableEntry(validation_accuracy=self._predictions[row])

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Architecture]:
        return (_parse(CELLS_FILE, text) for text in self._texts)


def read_nasbench101(path: Path, epochs: int | None = None) -> Table:
    """Reads a sample (CSV), a surrogate or a converted file (npz); `epochs` chooses a budget of the last.

    Raises:
        TableMissing: no such file, or no cells file beside a surrogate.
        TableInvalid: naming line and column.
    """
    if path.suffix == ".npz" and _is_converted(path):
        from bananas_tables.nasbench101_runs import read_runs  # noqa: PLC0415 - numpy, which a CSV file needs not

        return read_runs(path, epochs)
    if epochs is not None:
        raise TableInvalid(f"{path.name}: has no results of several budgets to choose {epochs} epochs from")
    return _read_surrogate(path) if path.suffix == ".npz" else _read_sample(path)


def _is_converted(path: Path) -> bool:
    """Told by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(name == "hash.npy" or name.startswith("epochs_") for name in file.namelist())
    except OSError:
        return False  # not there: the reader says so
    except zipfile.BadZipFile as error:
        raise TableInvalid(f"{path.name}: damaged or no npz file ({error}); copy it anew") from error


def _read_sample(path: Path) -> Nasbench101Sample:
    file = CsvFile(path)
    file.require(SAMPLE, f"a NASBench-101 sample has {', '.join(SAMPLE)} (fractions)")
    timed, counted = "training_time_108_s" in file.columns, "trainable_parameters" in file.columns
    cells: dict[str, _Cell] = {}
    for row in file.rows():
        name = row.values["hash"]
        if not _HASH.fullmatch(name):
            raise row.error("hash", "32 hexadecimal digits")
        if name in cells:
            raise row.error("hash", f"each cell once; the first is near line {list(cells).index(name) + 2}")
        entry = TableEntry(
            validation_accuracy=row.fraction("val_acc_108"),
            seconds=row.number("training_time_108_s", 0, 1e9, "seconds from 0") if timed else None,
            parameters=row.count("trainable_parameters") if counted else None,
        )
        cells[name] = _Cell(_cell_text(row), entry)
    if not cells:
        raise TableInvalid(f"{file.name}: no rows after the header")
    return Nasbench101Sample(file.name, file.digest, cells)


def _cell_text(row: Row) -> str:
    vertices = row.count("num_vertices")
    if not 2 <= vertices <= MAX_VERTICES:
        raise row.error("num_vertices", f"2 to {MAX_VERTICES}")
    adjacency, ops = row.values["adjacency_upper"], row.values["ops"].strip("-")
    if len(adjacency) != vertices * (vertices - 1) // 2 or not set(adjacency) <= set("01"):
        raise row.error("adjacency_upper", f"{vertices * (vertices - 1) // 2} digits 0 and 1 for {vertices} vertices")
    if len(ops) != vertices - 2 or not set(ops) <= set("012"):
        raise row.error("ops", f"{vertices - 2} digits 0, 1 and 2 for {vertices} vertices")
    return f"{adjacency}:{ops}"


def _read_surrogate(path: Path) -> Nasbench101Surrogate:
    raw = read_bytes(path)
    cells_path = path.with_name(CELLS_FILE)
    raw_cells = read_bytes(cells_path, f"; the cells that the rows of {path.name} stand for must lie beside it")
    predictions = _read_predictions(path)
    lines = decompressed(cells_path, raw_cells).split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if len(lines) != len(predictions):
        raise TableInvalid(f"{CELLS_FILE}: {len(lines)} cells, but {path.name} has {len(predictions)}; want as many")
    rows: dict[str, int] = {}
    texts: list[str] = []
    for number, line in enumerate(lines):
        match = _CELLS_LINE.fullmatch(line)
        if match is None:
            raise TableInvalid(
                f"{CELLS_FILE}, line {number + 1}: {line[:80]!r}; want hash, number of vertices, adjacency digits and "
                "operation digits, with tabs between"
            )
        name, _, adjacency, ops = match.groups()
        if name in rows:
            raise TableInvalid(f"{CELLS_FILE}, line {number + 1}: cell {name} stands in line {rows[name] + 1} already")
        rows[name] = number
        texts.append(f"{adjacency}:{'' if ops == '-' else ops}")
    return Nasbench101Surrogate(path.name, sha256(raw + raw_cells).hexdigest(), rows, texts, predictions)


def _read_predictions(path: Path) -> list[float]:
    import numpy as np  # noqa: PLC0415 - the toy look-up must start quickly, and needs none

    try:
        with np.load(path, allow_pickle=False) as arrays:
            if PREDICTIONS not in arrays.files:
                raise TableInvalid(f"{path.name}: array {PREDICTIONS} is missing; found: {', '.join(arrays.files)}")
            values: Any = arrays[PREDICTIONS]
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, KeyError) as error:
        raise TableInvalid(f"{path.name}: damaged or no npz file ({error}); copy it anew") from error
    if values.ndim != 1 or values.dtype.kind != "f" or not len(values):
        raise TableInvalid(
            f"{path.name}, {PREDICTIONS}: shape {values.shape} of {values.dtype}; want one fraction for each cell"
        )
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(wrong):
        raise TableInvalid(
            f"{path.name}, {PREDICTIONS}[{wrong[0]}]: {values[wrong[0]]}; want fractions from 0 to 1 ({len(wrong)} are not)"
        )
    predictions: list[float] = values.astype(float).tolist()
    return predictions


def _parse(source: str, text: str) -> Architecture:
    try:
        return parse_architecture("nasbench101", text)
    except ArchitectureError as error:
        raise TableInvalid(f"{source}, cell {text}: {error}") from error


def _check_hash(source: str, name: str, text: str) -> None:
    """Computing every hash would take seconds at each start, so a row is checked when it is asked for."""
    computed = _parse(source, text).hash()
    if computed != name:
        raise TableInvalid(f"{source}, row {name}: its graph {text} has hash {computed}; hash and graph must agree")
