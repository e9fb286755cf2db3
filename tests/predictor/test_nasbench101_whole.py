"""All of NASBench-101: 423,624 different cells by an enumeration of our own, and every row of the official list reproduced."""

import gzip
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bananas_core.spaces import parse_architecture
from bananas_predictor.spaces import SPACES, Cells

CELLS = 423_624
SPACE = SPACES["nasbench101"]
COLUMNS = {(i, j): n for n, (i, j) in enumerate(combinations(range(7), 2))}
"""Columns of the edges in a cell of the space."""

pytestmark = pytest.mark.slow


def places(vertices: int) -> list[int]:
    """Of the vertices of a smaller cell among seven."""
    return [*range(vertices - 1), 6]


def every_spelling(vertices: int) -> Cells:
    """(n, 26) every upper-triangular matrix of at most nine edges with each vertex on a path, with all operations."""
    pairs = list(combinations(range(vertices), 2))
    codes = np.arange(2 ** len(pairs), dtype=np.uint32)
    codes = codes[np.bitwise_count(codes) <= 9]
    edge = {pair: (codes >> n & 1).astype(np.bool_) for n, pair in enumerate(pairs)}
    reached = {0: np.ones(len(codes), dtype=np.bool_)}
    for j in range(1, vertices):
        reached[j] = np.logical_or.reduce([reached[i] & edge[i, j] for i in range(j)])
    reaching = {vertices - 1: np.ones(len(codes), dtype=np.bool_)}
    for i in range(vertices - 2, -1, -1):
        reaching[i] = np.logical_or.reduce([reaching[j] & edge[i, j] for j in range(i + 1, vertices)])
    whole = np.logical_and.reduce([reached[v] & reaching[v] for v in range(vertices)])
    matrices = np.zeros((int(whole.sum()), 26), dtype=np.int8)
    for pair, (i, j) in zip(pairs, combinations(places(vertices), 2), strict=True):
        matrices[:, COLUMNS[i, j]] = edge[pair][whole]
    inner = vertices - 2
    digits = np.arange(3**inner)[:, None] // 3 ** np.arange(inner) % 3
    cells = np.repeat(matrices, 3**inner, axis=0)
    cells[:, 21 : 21 + inner] = np.tile(digits, (len(matrices), 1))
    return cells


def keys(cells: Cells) -> NDArray[np.uint64]:
    return np.concatenate([SPACE.keys(block) for block in np.array_split(cells, 1 + len(cells) // 10_000)])


@pytest.fixture(scope="module")
def enumerated() -> NDArray[np.uint64]:
    """Keys of all 1,293,208 spellings, each once."""
    return np.unique(np.concatenate([keys(every_spelling(vertices)) for vertices in range(2, 8)]))


@pytest.fixture(scope="module")
def rows(data_file: Callable[[str], Path]) -> list[list[str]]:
    """Official hash, vertices, adjacency and operations of each cell."""
    text = gzip.decompress(data_file("nasbench101_cells.tsv.gz").read_bytes()).decode()
    return [line.split("\t") for line in text.splitlines()]


def test_an_enumeration_of_all_spellings_finds_the_published_number_of_cells(enumerated: NDArray[np.uint64]) -> None:
    assert len(enumerated) == CELLS


def test_the_keys_of_the_official_list_are_those_of_the_enumeration(
    rows: list[list[str]], enumerated: NDArray[np.uint64]
) -> None:
    cells = np.zeros((len(rows), 26), dtype=np.int8)
    for cell, (_, vertices, adjacency, ops) in zip(cells, rows, strict=True):
        for bit, pair in zip(adjacency, combinations(places(int(vertices)), 2), strict=True):
            cell[COLUMNS[pair]] = int(bit)
        if ops != "-":
            cell[21 : 21 + len(ops)] = [int(op) for op in ops]
    found = keys(cells)
    assert len(rows) == CELLS
    assert (np.sort(found) == enumerated).all()
    some = np.random.default_rng(0).choice(len(rows), 300, replace=False)
    assert [a.hash() for a in SPACE.unpack(cells[some])] == [rows[row][0] for row in some]


@pytest.mark.timeout(900)  # 61 s of one processor, three times that on a busy machine
def test_the_hash_of_every_row_is_the_official_one(rows: list[list[str]]) -> None:
    wrong = [row for row in rows if parse_architecture("nasbench101", f"{row[2]}:{row[3].strip('-')}").hash() != row[0]]
    assert not wrong[:5]
    assert len({row[0] for row in rows}) == CELLS
