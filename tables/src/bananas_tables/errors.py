"""The exception tree of the tables. Each message names file, line and field, and what would be right.

TableError                       carries the exit code that a trial ends with
├── TableMissing                 a file is not there or cannot be opened                (DATA_MISSING)
├── TableInvalid                 a file is damaged, or a value in it cannot be          (DATA_INVALID)
├── ReaderMissing                a package that reads such a file is not installed      (DATA_MISSING)
├── ArchitectureNotInTable       the table has no row for what is asked                 (DATA_INVALID)
└── SpaceWithoutTable            there are no tables of this space                      (RECIPE_INVALID)
"""

from typing import ClassVar

from bananas_core.contract import ExitCode


class TableError(Exception):
    """Anything that keeps a table from answering. None of it passes by itself."""

    exit_code: ClassVar[ExitCode]


class TableMissing(TableError):  # noqa: N818 - says what is the matter
    """A file is not there or cannot be opened."""

    exit_code = ExitCode.DATA_MISSING


class TableInvalid(TableError):  # noqa: N818
    """A file is damaged, or a value in it cannot be."""

    exit_code = ExitCode.DATA_INVALID


class ReaderMissing(TableError):  # noqa: N818
    """A package that reads such a file is not installed."""

    exit_code = ExitCode.DATA_MISSING


class ArchitectureNotInTable(TableError):  # noqa: N818
    """The table has no row for what is asked."""

    exit_code = ExitCode.DATA_INVALID


class SpaceWithoutTable(TableError):  # noqa: N818
    """There are no tables of this space."""

    exit_code = ExitCode.RECIPE_INVALID
