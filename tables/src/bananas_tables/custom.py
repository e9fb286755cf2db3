"""Tables of a space of one's own: a CSV file with a row for each architecture, by its text in canonical form.

Columns: `arch`, `validation_accuracy`; `test_accuracy`, `parameters`, `seconds` may be missing; accuracies are fractions. What a
text means is not known here: an architecture is answered with the row of its very text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_tables.csvfile import CsvFile
from bananas_tables.errors import ArchitectureNotInTable, TableInvalid
from bananas_tables.nasbench201 import own_entry
from bananas_tables.table import Table, TableEntry

COLUMNS: Final = ("arch", "validation_accuracy")


class CustomTable(Table):
    """A table of a space of one's own, by text."""

    def __init__(self, source: str, digest: str, entries: dict[str, TableEntry], lines: dict[str, int]) -> None:
        super().__init__("custom", source, digest)
        self._entries = entries
        self.lines = lines
        """Line of each architecture in the file, for whoever knows the space and finds a row wrong."""

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The row of the very text."""
        self._check_space(architecture)
        entry = self._entries.get(architecture.to_text())
        if entry is None:
            raise ArchitectureNotInTable(
                f"{self.source}: no row for {architecture.to_text()[:500]} among {len(self)}; a search needs every architecture "
                "of the space, in column arch as the space's canonical form"
            )
        return entry

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Architecture]:
        return (parse_architecture("custom", text) for text in self._entries)


def read_custom(path: Path) -> CustomTable:
    """Reads a table.

    Raises:
        TableMissing: no such file.
        TableInvalid: naming line and column.
    """
    file = CsvFile(path)
    file.require(COLUMNS, f"a table of space custom has {', '.join(COLUMNS)} (fractions)")
    entry = own_entry(set(file.columns))
    entries: dict[str, TableEntry] = {}
    lines: dict[str, int] = {}
    for row in file.rows():
        try:
            text = parse_architecture("custom", row.values["arch"]).to_text()
        except ArchitectureError as error:
            raise TableInvalid(f"{row.file}, line {row.line}, arch: {error}") from error
        if text in entries:
            raise row.error("arch", f"each architecture once; the first is in line {lines[text]}")
        entries[text], lines[text] = entry(row), row.line
    if not entries:
        raise TableInvalid(f"{file.name}: no rows after the header")
    return CustomTable(file.name, file.digest, entries, lines)
