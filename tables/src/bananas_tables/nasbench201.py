"""Tables of NAS-Bench-201 (arXiv 2001.00326): one row for each of up to 15,625 strings.

Two forms are told apart by their header: the published CIFAR-10 figures (`arch`, `c10_val_200ep`, `c10_test_200ep`, percent;
`params_m`, millions), and our own (`arch`, `validation_accuracy`; `test_accuracy`, `parameters`, `seconds` may be missing;
fractions), for tables of one's own. An architecture is answered with the row of its very string: isomorphic strings were
trained each on its own.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.nasbench201 import OPERATIONS
from bananas_tables.csvfile import CsvFile, Row
from bananas_tables.errors import ArchitectureNotInTable, TableInvalid
from bananas_tables.table import Table, TableEntry

PUBLISHED: Final = ("arch", "params_m", "c10_val_200ep", "c10_test_200ep")
OWN: Final = ("arch", "validation_accuracy")

_OP = f"(?:{'|'.join(OPERATIONS)})"
_ARCHITECTURE: Final = re.compile(rf"\|{_OP}~0\|\+\|{_OP}~0\|{_OP}~1\|\+\|{_OP}~0\|{_OP}~1\|{_OP}~2\|")


class Nasbench201Table(Table):
    """A table of NAS-Bench-201, by string."""

    def __init__(self, source: str, digest: str, entries: dict[str, TableEntry]) -> None:
        super().__init__("nasbench201", source, digest)
        self._entries = entries

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The row of the very string."""
        self._check_space(architecture)
        entry = self._entries.get(architecture.to_text())
        if entry is None:
            raise ArchitectureNotInTable(
                f"{self.source}: no row for {architecture.to_text()} among {len(self)}; a search needs the whole table "
                "(15,625 rows)"
            )
        return entry

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Architecture]:
        return (parse_architecture("nasbench201", text) for text in self._entries)


def read_nasbench201(path: Path) -> Nasbench201Table:
    """Reads either form.

    Raises:
        TableMissing: no such file.
        TableInvalid: naming line and column.
    """
    file = CsvFile(path)
    published = "c10_val_200ep" in file.columns
    if published:
        file.require(PUBLISHED, f"a NAS-Bench-201 table has {', '.join(PUBLISHED)}")
    else:
        file.require(
            OWN, f"a table of nasbench201 has {', '.join(OWN)} (fractions) or {', '.join(PUBLISHED)} (percent)"
        )
    entry = _published_entry if published else own_entry(set(file.columns))
    entries: dict[str, TableEntry] = {}
    for row in file.rows():
        text = row.values["arch"]
        if not _ARCHITECTURE.fullmatch(text):
            raise _no_architecture(row)
        if text in entries:
            first = list(entries).index(text) + 2
            raise row.error("arch", f"each architecture once; the first is near line {first}")
        entries[text] = entry(row)
    if not entries:
        raise TableInvalid(f"{file.name}: no rows after the header")
    best = max(entry.validation_accuracy for entry in entries.values())
    if published and best <= 0.01:
        raise TableInvalid(
            f"{file.name}, c10_val_200ep: the greatest value is {best * 100:.4g}; want percent, these look like fractions"
        )
    return Nasbench201Table(file.name, file.digest, entries)


def _published_entry(row: Row) -> TableEntry:
    millions = row.number("params_m", 0, 1e6, "a number of parameters in millions")
    return TableEntry(
        validation_accuracy=row.percent("c10_val_200ep"),
        test_accuracy=row.percent("c10_test_200ep"),
        parameters=round(millions * 1e6),
    )


def own_entry(columns: set[str]) -> Callable[[Row], TableEntry]:
    """Reads a row of a table of one's own that has these columns."""

    def entry(row: Row) -> TableEntry:
        return TableEntry(
            validation_accuracy=row.fraction("validation_accuracy"),
            test_accuracy=row.fraction("test_accuracy") if "test_accuracy" in columns else None,
            seconds=row.number("seconds", 0, 1e9, "seconds from 0") if "seconds" in columns else None,
            parameters=row.count("parameters") if "parameters" in columns else None,
        )

    return entry


def _no_architecture(row: Row) -> TableInvalid:
    try:
        parse_architecture("nasbench201", row.values["arch"])
    except ArchitectureError as error:
        return TableInvalid(f"{row.file}, line {row.line}, arch: {error}")
    return row.error("arch", "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
