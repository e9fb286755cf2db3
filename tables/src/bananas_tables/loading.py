"""Which reader reads which file. The one way in for everybody outside this package."""

from pathlib import Path

from bananas_core.spaces import Space
from bananas_tables.custom import read_custom
from bananas_tables.errors import SpaceWithoutTable, TableInvalid
from bananas_tables.nasbench101 import read_nasbench101
from bananas_tables.nasbench201 import read_nasbench201
from bananas_tables.published import how_to_convert
from bananas_tables.table import Table
from bananas_tables.toy import ToyNasbench101, ToyNasbench201


def load_table(space: Space, path: Path | None, epochs: int | None = None) -> Table:
    """Reads and checks a table; without a path, the synthetic toy table of the space (see `toy`).

    `epochs` chooses the budget of a converted NASBench-101 file; unset, the largest. No other table has several.

    Raises:
        TableMissing: the file, or one that belongs to it, is not there.
        TableInvalid: naming file, line and field.
        SpaceWithoutTable: for a space of which no table is known.
    """
    if epochs is not None and (space != "nasbench101" or path is None):
        raise TableInvalid(
            f"{path or 'the toy table'}: has no results of several budgets to choose {epochs} epochs from"
        )
    if path is not None and (convert := how_to_convert(space, path)) is not None:
        raise TableInvalid(convert)
    match space:
        case "nasbench101":
            return ToyNasbench101() if path is None else read_nasbench101(path, epochs)
        case "nasbench201":
            return ToyNasbench201() if path is None else read_nasbench201(path)
        case "custom":
            if path is None:
                raise SpaceWithoutTable("a space of one's own has no toy table; want the file of a table")
            return read_custom(path)
        case "darts":
            raise SpaceWithoutTable(
                "no table of space darts is known; one of nasbench101, nasbench201, or train instead"
            )
