"""The real tables as arrays, so that a thousand searches take minutes. Called by the benchmark programs.

Notation: n cells. Regret and errors are percentage points, accuracies fractions.
"""

import csv
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces import Architecture, Space
from bananas_predictor.spaces import SPACES, Cells, Encoding, Features, Keys, SearchSpace
from bananas_predictor.spaces.costs import Costs, NetworkShape
from bananas_predictor.spaces.nasbench201 import EDGES, OPS

DATA = Path(os.environ.get("BANANAS_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BenchTable:
    """A table that answers for many cells at once."""

    name: str
    space: SearchSpace
    keys: Keys
    """(rows,) sorted identities."""
    validation: Floats
    """(rows,) accuracy."""
    test: Floats | None
    """(rows,) accuracy."""
    deviation: Floats | None = None
    """(rows,) of a single run, where the table knows it."""
    noisy: bool = False
    """Whether a search sees a single run; what it reached is judged without noise all the same."""

    def rows(self, cells: Cells) -> NDArray[np.intp]:
        """(n,) row of each cell."""
        keys = self.space.keys_original(cells) if self.space.name == "nasbench201" else self.space.keys(cells)
        rows = np.searchsorted(self.keys, keys)
        if (self.keys[np.minimum(rows, len(self.keys) - 1)] != keys).any():
            raise KeyError(f"{self.name}: an architecture is not in the table")
        return rows

    def look_up(self, cells: Cells, seeds: Sequence[int]) -> Floats:
        """(n,) accuracies as the search of each seed sees them; the noise is drawn anew for every seed."""
        rows = self.rows(cells)
        if not self.noisy or self.deviation is None:
            return self.validation[rows]
        draws = [
            np.random.default_rng([seed, int(row), 5]).standard_normal() for seed, row in zip(seeds, rows, strict=True)
        ]
        observed: Floats = np.clip(self.validation[rows] + self.deviation[rows] * np.array(draws), 0, 1)
        return observed


def nasbench201() -> BenchTable:
    """The complete CIFAR-10 table. Rows are strings: isomorphic ones were trained each on its own."""
    with (DATA / "nasbench201_cifar10.csv").open() as file:
        lines = list(csv.DictReader(file))
    names = ("avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect")
    ops = [
        [names.index(edge.split("~")[0]) for node in line["arch"].split("+") for edge in node.strip("|").split("|")]
        for line in lines
    ]
    keys = (np.array(ops) @ OPS ** np.arange(EDGES)).astype(np.uint64)
    order = np.argsort(keys)
    validation, test = (
        np.array([float(line[column]) / 100 for line in lines])[order] for column in ("c10_val_200ep", "c10_test_200ep")
    )
    return BenchTable("nasbench201", SPACES["nasbench201"], keys[order], validation, test)


def surrogate(noisy: bool = False) -> BenchTable:
    """The model of the whole of NASBench-101."""
    cells = _read_cells()
    with np.load(DATA / "nasbench101_surrogate.npz") as arrays:
        accuracies, deviation = arrays["pred"].astype(np.float64), arrays["noise_std"].astype(np.float64)
    keys = np.concatenate([SPACES["nasbench101"].keys(cells[i : i + 8192]) for i in range(0, len(cells), 8192)])
    order = np.argsort(keys)
    name = "surrogate with noise" if noisy else "surrogate"
    return BenchTable(name, SPACES["nasbench101"], keys[order], accuracies[order], None, deviation[order], noisy)


def pool() -> BenchTable:
    """The 20,001 real rows of NASBench-101, as a space of their own."""
    with (DATA / "nasbench101_sample.csv").open() as file:
        lines = list(csv.DictReader(file))
    cells = _spell([line["adjacency_upper"] for line in lines], [line["ops"].strip("-") for line in lines])
    base = SPACES["nasbench101"]
    keys = base.keys(cells)
    order = np.argsort(keys)
    validation = np.array([float(line["val_acc_108"]) for line in lines])[order]
    return BenchTable("pool", PoolSpace(base, cells[order], keys[order]), keys[order], validation, None)


def _read_cells() -> Cells:
    with gzip.open(DATA / "nasbench101_cells.tsv.gz", "rt") as file:
        fields = [line.rstrip("\n").split("\t") for line in file]
    return _spell([field[2] for field in fields], [field[3].strip("-") for field in fields])


def _spell(adjacencies: Sequence[str], ops: Sequence[str]) -> Cells:
    """(n, 26) cells from digits; unused vertices stand behind the others."""
    cells = np.zeros((len(ops), 26), dtype=np.int8)
    upper = {(int(i), int(j)): place for place, (i, j) in enumerate(zip(*np.triu_indices(7, 1), strict=True))}
    sizes = np.array([len(text) + 2 for text in ops])
    for v in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == v)
        bits = (
            np.frombuffer("".join(adjacencies[row] for row in rows.tolist()).encode(), dtype=np.uint8).reshape(
                len(rows), -1
            )
            - 48
        )
        places = [*range(v - 1), 6]
        columns = [upper[places[i], places[j]] for i in range(v) for j in range(i + 1, v)]
        cells[rows[:, None], columns] = bits
        if v > 2:
            digits = (
                np.frombuffer("".join(ops[row] for row in rows.tolist()).encode(), dtype=np.uint8).reshape(
                    len(rows), -1
                )
                - 48
            )
            cells[rows, 21 : 21 + v - 2] = digits
    return cells


class PoolSpace:
    """Some cells of a space as a space: what is drawn outside is drawn again, so only these can be proposed."""

    name: Space = "nasbench101"
    ROUNDS = 60
    """Mutations of a cell before it stays what it is: one in twenty falls into the pool."""
    DRAWS = 6000

    def __init__(self, base: SearchSpace, cells: Cells, keys: Keys) -> None:
        """Keys are sorted."""
        self._base, self._cells, self._keys = base, cells, keys
        self.everything: Final = cells
        """(n, 26)"""
        self._around: dict[tuple[int, float], Cells] = {}

    def _within(self, cells: Cells) -> NDArray[np.bool_]:
        keys = self._base.keys(cells)
        within: NDArray[np.bool_] = (
            self._keys[np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)] == keys
        )
        return within

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        """Uniform over the pool."""
        return self._cells[rng.integers(0, len(self._cells), count)]

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        """As the original draws, those in the pool."""
        found = self._cells[:0]
        while len(found) < count:
            drawn = self._base.sample_original(32 * (count - len(found)) + 64, rng)
            found = np.concatenate([found, drawn[self._within(self.settle(drawn))]])
        return found[:count]

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        """One of the mutants in the pool that some thousand draws found; the cell itself where there was none."""
        mutants = cells.copy()
        for row, key in enumerate(self._base.keys(cells).tolist()):
            if (key, rate) not in self._around:
                fixed = np.random.default_rng(key)  # so that it does not matter who asks first
                drawn = self._base.mutate(np.repeat(cells[row : row + 1], self.DRAWS, axis=0), rate, fixed)
                self._around[key, rate] = drawn[self._within(drawn) & (self._base.keys(drawn) != np.uint64(key))]
            around = self._around[key, rate]
            if len(around):
                mutants[row] = around[rng.integers(len(around))]
        return mutants

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        """Mutants in the pool."""
        return self._retry(spellings, lambda some: self._base.mutate_original(some, rng))

    def _retry(self, cells: Cells, mutated: Any) -> Cells:
        mutants, rows = cells.copy(), np.arange(len(cells))
        own = self._base.keys(self.settle(cells))
        for _ in range(self.ROUNDS):
            drawn = mutated(cells[rows])
            settled = self.settle(drawn)
            good = self._within(settled) & (self._base.keys(settled) != own[rows])
            mutants[rows[good]] = drawn[good]
            rows = rows[~good]
            if not len(rows):
                break
        return mutants

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        """Those in the pool."""
        around = self._base.neighbours(spelling, rng)
        return around[self._within(self.settle(around))]

    def settle(self, spellings: Cells) -> Cells:
        """As in the space."""
        return self._base.settle(spellings)

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:
        """As in the space."""
        return self._base.spell(cells, rng)

    def keys(self, cells: Cells) -> Keys:
        """As in the space."""
        return self._base.keys(cells)

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        """As in the space."""
        return self._base.costs(cells, shape)

    def functions(self, cells: Cells) -> Keys:
        """As in the space."""
        return self._base.functions(cells)

    def keys_original(self, cells: Cells) -> Keys:
        """As in the space."""
        return self._base.keys_original(cells)

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        """As in the space."""
        return self._base.encode(cells, encoding)

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        """As in the space."""
        return self._base.pack(architectures)

    def unpack(self, cells: Cells) -> list[Architecture]:
        """As in the space."""
        return self._base.unpack(cells)
