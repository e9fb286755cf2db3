"""Benchmark tables: an architecture goes in, the accuracy that somebody else's training found comes out.

Called by the container of a table trial (`trial`) and by the benchmarks, which run the search against a table instead of a
cluster. Reads published tables from files and ships none of them; without a file it answers from a synthetic `toy` formula.
Must never know Kubernetes, and never train.
"""

from bananas_tables.loading import load_table
from bananas_tables.table import Table, TableEntry

__all__ = ["Table", "TableEntry", "load_table"]
