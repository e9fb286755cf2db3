"""A CSV file as checked text: bytes, digest, header, rows, and errors that name file, line and column.

Called by the readers of the tables. Must never guess: a value that is not what its column says is an error.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bananas_tables.errors import TableInvalid, TableMissing

GZIP_MAGIC = b"\x1f\x8b"


def read_bytes(path: Path, belongs_to: str = "") -> bytes:
    """The file as it is.

    Raises:
        TableMissing: saying what is not there.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise TableMissing(f"{path}: {error.strerror}{belongs_to}") from error


def decompressed(path: Path, raw: bytes) -> str:
    """The text of a file, gzipped or not.

    Raises:
        TableInvalid: damaged gzip or no UTF-8.
    """
    try:
        return (gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw).decode()
    except (EOFError, OSError, zlib.error) as error:
        raise TableInvalid(f"{path.name}: the gzip data is damaged or cut off ({error}); copy the file anew") from error
    except UnicodeDecodeError as error:
        raise TableInvalid(f"{path.name}: byte {error.start} is no UTF-8 text; want a CSV file") from error


@dataclass(frozen=True, slots=True)
class Row:
    """One row with its place, so that each error can name it."""

    file: str
    line: int
    values: dict[str, str]

    def error(self, column: str, want: str) -> TableInvalid:
        """An error about the value of a column."""
        return TableInvalid(f"{self.file}, line {self.line}, {column}: {self.values[column]!r}; want {want}")

    def number(self, column: str, lowest: float, highest: float, want: str) -> float:
        """A finite number between two bounds."""
        try:
            value = float(self.values[column])
        except ValueError:
            raise self.error(column, want) from None
        if not lowest <= value <= highest or math.isinf(value):
            raise self.error(column, want)
        return value

    def fraction(self, column: str) -> float:
        """An accuracy that the file gives as a fraction."""
        return self.number(column, 0, 1, "a fraction from 0 to 1 (a percentage must be divided by 100)")

    def percent(self, column: str) -> float:
        """An accuracy that the file gives in percent, as a fraction."""
        return self.number(column, 0, 100, "a percentage from 0 to 100") / 100

    def count(self, column: str) -> int:
        """A whole number from 0."""
        text = self.values[column]
        if not (text.isascii() and text.isdecimal()):
            raise self.error(column, "a whole number")
        return int(text)


class CsvFile:
    """A CSV file with a header, read whole."""

    def __init__(self, path: Path) -> None:
        raw = read_bytes(path)
        self.name = path.name
        self.digest = sha256(raw).hexdigest()
        self._lines = csv.reader(io.StringIO(decompressed(path, raw), newline=""), strict=True)
        self.columns = next(self._lines, [])

    def require(self, columns: tuple[str, ...], of: str) -> None:
        """Checks that the columns are there, each once.

        Raises:
            TableInvalid: naming those that lack and those that were found.
        """
        lacking = [column for column in columns if column not in self.columns]
        if lacking:
            found = ", ".join(self.columns[:20]) or "nothing"
            raise TableInvalid(
                f"{self.name}, line 1: column {', '.join(lacking)} is missing; {of}; found: {found}"[:800]
            )
        doubled = [column for column in columns if self.columns.count(column) > 1]
        if doubled:
            raise TableInvalid(f"{self.name}, line 1: column {', '.join(doubled)} stands there twice")

    def rows(self) -> Iterator[Row]:
        """The rows in order; an empty line at the end is passed over.

        Raises:
            TableInvalid: a row of another length, or no CSV at all.
        """
        width = len(self.columns)
        try:
            for values in self._lines:
                if not values:
                    continue
                if len(values) != width:
                    raise TableInvalid(
                        f"{self.name}, line {self._lines.line_num}: {len(values)} fields; want {width}, as the header has"
                    )
                yield Row(self.name, self._lines.line_num, dict(zip(self.columns, values, strict=True)))
        except csv.Error as error:
            raise TableInvalid(f"{self.name}, line {self._lines.line_num}: {error}; want a CSV file") from error
