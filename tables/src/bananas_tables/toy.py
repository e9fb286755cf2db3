"""The toy tables: SYNTHETIC accuracies, made by a formula. Nothing was ever trained and no published figure went in.

They let a search run without a data volume (`spec.table` unset), on every architecture of nasbench101 and nasbench201, the
same everywhere and for ever. The formula has the structure that makes a search worth its while: convolutions help with
diminishing returns, depth helps, a shortcut helps the more the deeper the cell is, pooling hurts a little, a cell without
convolution is poor, one that passes nothing on guesses. Isomorphic cells have the same accuracy. A figure that rests on
these tables must say "toy".

Called by `loading`. As a program it writes the table of nasbench201 as a file: `python -m bananas_tables.toy FILE.csv`.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import product
from math import exp
from pathlib import Path
from typing import Final, TypeVar

from bananas_core.spaces import Architecture
from bananas_core.spaces import nasbench101 as space101
from bananas_core.spaces import nasbench201 as space201
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture
from bananas_tables.parameters import nasbench101_parameters, nasbench201_parameters
from bananas_tables.table import Table, TableEntry

FORMULA_VERSION: Final = 1
"""Part of the digest. Change it with the formula: accuracies of two formulas cannot be compared."""

GUESS: Final = 0.1
"""Accuracy of a network that passes nothing on, of ten classes."""
CONVOLUTION: Final = {
    "nor_conv_3x3": 1.0,
    "nor_conv_1x1": 0.6,
    "conv3x3-bn-relu": 1.0,
    "conv1x1-bn-relu": 0.6,
}
"""What each convolution adds to the capacity of a cell."""
POOLS: Final = ("avg_pool_3x3", "maxpool3x3")


@dataclass(frozen=True, slots=True)
class Features:
    """What the formula sees of a cell. Both spaces are reduced to it."""

    paths: int
    """Paths from input to output that pass something on."""
    capacity: float
    """Sum of CONVOLUTION over the operations on these paths."""
    depth: float
    """The greatest such sum along one path."""
    shortcut: bool
    """Whether one path has neither convolution nor pooling."""
    pooled: float
    """Part of the paths with pooling on them."""


def toy_entry(features: Features, name: str, parameters: int) -> TableEntry:
    """The formula. `name` identifies the cell up to isomorphism; its hash is the noise of "training"."""
    if not features.paths:
        accuracy = GUESS
    elif not features.capacity:
        accuracy = 0.38 + 0.02 * features.shortcut - 0.05 * features.pooled
    else:
        width = 1 - exp(-features.capacity / 1.6)
        depth = 1 - exp(-features.depth / 1.1)
        gradient = features.shortcut * (0.3 + 0.7 * depth)  # interaction: a shortcut is worth more in a deep cell
        crowd = max(0.0, features.capacity - 3.8)  # too many convolutions train badly
        accuracy = 0.66 + 0.15 * width + 0.09 * depth + 0.035 * gradient - 0.02 * features.pooled - 0.008 * crowd
    spread = 0.004 if features.capacity else 0.001
    return TableEntry(
        validation_accuracy=round(accuracy + spread * _noise(name, "validation"), 6),
        test_accuracy=round(accuracy - 0.002 + spread * _noise(name, "test"), 6),
        seconds=round(60 + parameters / 5_000, 1),
        parameters=parameters,
    )


def _noise(name: str, salt: str) -> float:
    """In [-1, 1], near 0 more often than far: the mean of four uniform numbers, from the bytes of a hash."""
    digest = sha256(f"bananas toy {salt} {name}".encode()).digest()
    parts = [int.from_bytes(digest[i : i + 4], "big") / 0xFFFFFFFF for i in range(0, 16, 4)]
    return 2 * (sum(parts) / 4) - 1


def features201(cell: Nasbench201Architecture) -> Features:
    """Operations are on edges; `none` passes nothing on."""
    op = dict(zip(space201.EDGES, cell.ops, strict=True))
    routes = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    live = [route for route in routes if all(op[edge] != "none" for edge in route)]
    return _features(
        elements={edge for route in live for edge in route},
        paths=[[op[edge] for edge in route] for route in live],
        operation={edge: op[edge] for edge in op},
    )


def features101(cell: Nasbench101Architecture) -> Features:
    """Operations are on vertices; every vertex is on a path, and an edge past all operations is a shortcut."""
    matrix, last = cell.matrix(), cell.vertices - 1

    def routes(vertex: int) -> list[list[int]]:
        if vertex == last:
            return [[]]
        return [[w, *rest] for w in range(vertex + 1, last + 1) if matrix[vertex][w] for rest in routes(w)]

    operation: dict[int, str] = dict(enumerate(cell.ops, start=1))
    return _features(
        elements=set(operation),
        paths=[[operation[v] for v in route if v != last] for route in routes(0)],
        operation=operation,
    )


Place = TypeVar("Place")


def _features(elements: set[Place], paths: list[list[str]], operation: dict[Place, str]) -> Features:
    return Features(
        paths=len(paths),
        capacity=round(sum(CONVOLUTION.get(operation[place], 0.0) for place in elements), 6),
        depth=max((round(sum(CONVOLUTION.get(op, 0.0) for op in path), 6) for path in paths), default=0.0),
        shortcut=any(all(op not in CONVOLUTION and op not in POOLS for op in path) for path in paths),
        pooled=sum(any(op in POOLS for op in path) for path in paths) / max(1, len(paths)),
    )


def _digest(space: str) -> str:
    return sha256(f"bananas toy table of {space}, formula {FORMULA_VERSION}".encode()).hexdigest()


class ToyNasbench201(Table):
    """Synthetic, by formula, complete: all 15,625 strings."""

    def __init__(self) -> None:
        super().__init__("nasbench201", "toy table of nasbench201 (synthetic)", _digest("nasbench201"))

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The formula's answer; there is one for every string."""
        self._check_space(architecture)
        assert architecture.nasbench201 is not None
        cell = architecture.nasbench201
        return toy_entry(features201(cell), cell.canonical().to_text(), nasbench201_parameters(cell))

    def __len__(self) -> int:
        return int(len(space201.OPERATIONS) ** len(space201.EDGES))

    def __iter__(self) -> Iterator[Architecture]:
        for ops in product(space201.OPERATIONS, repeat=len(space201.EDGES)):
            yield Architecture.of(Nasbench201Architecture(ops=ops))


class ToyNasbench101(Table):
    """Synthetic, by formula: an answer for every cell. Iteration gives those of up to five vertices, 2,532 of 423,624."""

    VERTICES: Final = 5

    def __init__(self) -> None:
        super().__init__("nasbench101", "toy table of nasbench101 (synthetic)", _digest("nasbench101"))

    def look_up(self, architecture: Architecture) -> TableEntry:
        """The formula's answer; there is one for every cell."""
        self._check_space(architecture)
        assert architecture.nasbench101 is not None
        cell = architecture.nasbench101
        return toy_entry(features101(cell), cell.graph_hash(), nasbench101_parameters(cell))

    def __len__(self) -> int:
        return len(_small_cells(self.VERTICES))

    def __iter__(self) -> Iterator[Architecture]:
        return iter(_small_cells(self.VERTICES))


@cache
def _small_cells(vertices: int) -> tuple[Architecture, ...]:
    """One cell of each isomorphism class, by number of vertices, then matrix, then operations."""
    found: dict[str, Architecture] = {}
    for v in range(2, vertices + 1):
        for digits in product("01", repeat=v * (v - 1) // 2):
            adjacency = "".join(digits)
            if adjacency.count("1") > space101.MAX_EDGES or not _connected(adjacency, v):
                continue
            for ops in product(space101.OPERATIONS, repeat=v - 2):
                architecture = Architecture.of(Nasbench101Architecture(adjacency=adjacency, ops=ops))
                found.setdefault(architecture.hash(), architecture)
    return tuple(found.values())


def _connected(adjacency: str, v: int) -> bool:
    """Whether every vertex is left and entered, which in a matrix above the diagonal puts it on a path."""
    pairs = [(i, j) for i in range(v) for j in range(i + 1, v)]
    edges = [pair for pair, digit in zip(pairs, adjacency, strict=True) if digit == "1"]
    return {i for i, _ in edges} == set(range(v - 1)) and {j for _, j in edges} == set(range(1, v))


def write_toy_nasbench201(path: Path) -> int:
    """Writes the toy table of nasbench201 in our own CSV form; returns the number of rows."""
    table = ToyNasbench201()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("arch", "validation_accuracy", "test_accuracy", "seconds", "parameters"))
        for architecture in table:
            entry = table.look_up(architecture)
            rows.writerow(
                (
                    architecture.to_text(),
                    entry.validation_accuracy,
                    entry.test_accuracy,
                    entry.seconds,
                    entry.parameters,
                )
            )
    return len(table)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bananas_tables.toy FILE.csv")
    print(f"{write_toy_nasbench201(Path(sys.argv[1]))} synthetic rows in {sys.argv[1]}")
