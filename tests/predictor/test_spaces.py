"""Spaces of the predictor: encodings against brute force, identity against the core's, mutation and sampling."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, Space, parse_architecture
from bananas_core.spaces.darts import OPERATIONS as DARTS_OPERATIONS
from bananas_core.spaces.darts import DartsArchitecture, Edge
from bananas_core.spaces.nasbench101 import OPERATIONS as NASBENCH101_OPERATIONS
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import EDGES as NASBENCH201_EDGES
from bananas_core.spaces.nasbench201 import OPERATIONS as NASBENCH201_OPERATIONS
from bananas_predictor.spaces import SPACES, Encoding, SearchSpace
from bananas_predictor.spaces.darts import CUTS
from bananas_predictor.spaces.nasbench101 import _count_spellings

ENCODINGS: tuple[Encoding, ...] = ("path", "truncatedPath", "adjacency")
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=lambda space: space.name)
seeds = st.integers(0, 2**32 - 1)


def _ones(bits: np.ndarray) -> set[int]:
    return set(np.flatnonzero(bits).tolist())


# --- references, written from the definitions, one architecture at a time ---


def _nasbench101_paths(cell: Nasbench101Architecture) -> set[int]:
    matrix = cell.matrix()

    def walk(vertex: int) -> Iterator[tuple[str, ...]]:
        if vertex == cell.vertices - 1:
            yield ()
            return
        for after in range(vertex + 1, cell.vertices):
            if matrix[vertex][after]:
                own = () if after == cell.vertices - 1 else (cell.ops[after - 1],)
                yield from (own + rest for rest in walk(after))

    return {sum(3**i * (NASBENCH101_OPERATIONS.index(op) + 1) for i, op in enumerate(path)) for path in walk(0)}


def _nasbench201_paths(ops: tuple[str, ...]) -> set[int]:
    offsets = {1: 0, 2: 5, 3: 30}

    def walk(node: int) -> Iterator[tuple[str, ...]]:
        if node == 3:
            yield ()
            return
        for op, (source, target) in zip(ops, NASBENCH201_EDGES, strict=True):
            if source == node:
                yield from ((op, *rest) for rest in walk(target))

    return {
        offsets[len(path)] + sum(5**j * NASBENCH201_OPERATIONS.index(op) for j, op in enumerate(path))
        for path in walk(0)
    }


def _darts_paths(architecture: DartsArchitecture) -> list[tuple[int, tuple[int, ...]]]:
    """(block, operation codes) of every path from a cell input to an intermediate node."""
    out = []
    for number, cell in enumerate((architecture.normal, architecture.reduce)):
        ending: dict[int, list[tuple[int, tuple[int, ...]]]] = {0: [(0, ())], 1: [(1, ())]}
        for node in range(4):
            ending[node + 2] = [
                (start, (*path, DARTS_OPERATIONS.index(edge.op)))
                for edge in cell[2 * node : 2 * node + 2]
                for start, path in ending[edge.input]
            ]
            out += [(2 * number + start, path) for start, path in ending[node + 2]]
    return out


# --- encodings ---


@pytest.mark.parametrize(
    ("name", "encoding", "want"),
    [
        ("nasbench101", "path", 364),
        ("nasbench101", "truncatedPath", 40),
        ("nasbench101", "adjacency", 26),
        ("nasbench201", "path", 155),
        ("nasbench201", "truncatedPath", 30),
        ("nasbench201", "adjacency", 30),
        ("darts", "path", 18_724),
        ("darts", "truncatedPath", 4 * 73),
        ("darts", "adjacency", 16 * 13),
    ],
)
def test_an_encoding_has_its_published_width(name: Space, encoding: Encoding, want: int) -> None:
    space = SPACES[name]
    assert space.encode(space.sample(3, np.random.default_rng(0)), encoding).shape == (3, want)


def test_the_cuts_of_darts_are_those_between_path_lengths() -> None:
    assert CUTS == (1, 9, 73, 585, 4681)


@every_space
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoding_nothing_gives_no_rows(space: SearchSpace, encoding: Encoding) -> None:
    empty = space.pack([])
    assert space.encode(empty, encoding).shape[0] == 0
    assert space.keys(empty).shape == (0,)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_paths_of_nasbench101_are_those_found_by_walking_the_graph(seed: int) -> None:
    space = SPACES["nasbench101"]
    cells = space.sample(4, np.random.default_rng(seed))
    for bits, architecture in zip(space.encode(cells, "path"), space.unpack(cells), strict=True):
        assert architecture.nasbench101
        assert _ones(bits) == _nasbench101_paths(architecture.nasbench101)


@given(st.tuples(*[st.sampled_from(NASBENCH201_OPERATIONS)] * 6))
def test_the_paths_of_nasbench201_are_those_found_by_walking_the_graph(ops: tuple[str, ...]) -> None:
    space = SPACES["nasbench201"]
    architecture = Architecture.model_validate({"space": "nasbench201", "nasbench201": {"ops": ops}})
    (bits,) = space.encode(space.pack([architecture]), "path")
    assert _ones(bits) == _nasbench201_paths(ops)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_paths_of_darts_are_those_found_by_walking_the_cells(seed: int) -> None:
    space = SPACES["darts"]
    cells = space.sample(4, np.random.default_rng(seed))
    full, truncated = space.encode(cells, "path"), space.encode(cells, "truncatedPath")
    for bits, short, architecture in zip(full, truncated, space.unpack(cells), strict=True):
        assert architecture.darts
        paths = _darts_paths(architecture.darts)
        index = [(block, len(p), sum(8**i * (code + 1) for i, code in enumerate(p))) for block, p in paths]
        assert _ones(bits) == {block * 4681 + i for block, _, i in index}
        assert _ones(short) == {block * 73 + i for block, length, i in index if length <= 2}


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_a_truncated_encoding_is_the_beginning_of_the_full_one(name: Space) -> None:
    space = SPACES[name]
    cells = space.sample(50, np.random.default_rng(5))
    short = space.encode(cells, "truncatedPath")
    assert (short == space.encode(cells, "path")[:, : short.shape[1]]).all()


def test_the_adjacency_of_nasbench101_has_its_operations_back_to_front() -> None:
    space = SPACES["nasbench101"]
    # input -> conv3x3 -> maxpool -> output, and input -> conv1x1 -> output
    cell = parse_architecture("nasbench101", "1010100011:021")
    (numbers,) = space.encode(space.pack([cell]), "adjacency")
    assert numbers[21:].tolist() == [0, 0, 0, 1, 0.5]
    assert numbers[:21].sum() == 5


def test_two_architectures_that_differ_in_the_reduction_cell_only_look_different() -> None:
    space = SPACES["darts"]
    (architecture,) = space.unpack(space.sample(1, np.random.default_rng(2)))
    assert architecture.darts
    first = architecture.darts.reduce[0]
    other_op = next(op for op in DARTS_OPERATIONS[1:] if op != first.op)
    changed = (Edge(op=other_op, input=first.input), *architecture.darts.reduce[1:])
    other = Architecture.of(DartsArchitecture(normal=architecture.darts.normal, reduce=changed))
    cells = space.pack([architecture, other])
    for encoding in ENCODINGS:
        one, two = space.encode(cells, encoding)
        assert (one != two).any(), encoding


# --- identity ---


@every_space
@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_keys_are_equal_exactly_where_the_hashes_of_the_core_are(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parents = space.sample(6, rng)
    cells = np.concatenate([parents, *[space.mutate(parents, 1.0, rng) for _ in range(4)]])
    keys, hashes = space.keys(cells).tolist(), [a.hash() for a in space.unpack(cells)]
    for (key, one), (other_key, other) in combinations(list(zip(keys, hashes, strict=True)), 2):
        assert (key == other_key) == (one == other)


small_cells = st.tuples(
    st.tuples(*[st.sampled_from(["none", "skip_connect"])] * 8),
    st.tuples(*[st.sampled_from(list(permutations(range(node + 2), 2))) for node in range(4)]),
).map(
    lambda drawn: tuple(
        Edge(op=op, input=source) for op, source in zip(drawn[0], [s for pair in drawn[1] for s in pair], strict=True)
    )
)


@given(st.lists(small_cells, min_size=12, max_size=12))
@settings(max_examples=60, deadline=None)
def test_keys_of_darts_cells_with_few_operations_tell_what_the_core_tells(cells: list[tuple[Edge, ...]]) -> None:
    # Two operations make symmetric cells frequent, where a hash by neighbourhoods could fail.
    space = SPACES["darts"]
    architectures = [Architecture.of(DartsArchitecture(normal=cell, reduce=cells[0])) for cell in cells]
    keys, hashes = space.keys(space.pack(architectures)).tolist(), [a.hash() for a in architectures]
    assert len(set(zip(keys, hashes, strict=True))) == len(set(keys)) == len(set(hashes))


@every_space
@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_packing_gives_back_what_was_unpacked(space: SearchSpace, seed: int) -> None:
    cells = space.sample(5, np.random.default_rng(seed))
    assert (space.pack(space.unpack(cells)) == cells).all()


# --- mutation and sampling ---


@every_space
@given(seed=seeds, rate=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_mutants_are_architectures_of_the_space(space: SearchSpace, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    cells = space.sample(8, rng)
    for _ in range(3):
        cells = space.mutate(cells, rate, rng)
        assert (space.pack(space.unpack(cells)) == cells).all()  # unpack validates


@pytest.mark.parametrize(("name", "positions"), [("nasbench201", 6), ("darts", 28)])
def test_a_mutation_has_as_many_edits_as_its_rate_says(name: Space, positions: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(3)
    cells = np.repeat(space.sample(200, rng), 100, axis=0)
    unchanged = (space.keys(space.mutate(cells, 1.0, rng)) == space.keys(cells)).mean()
    want = (1 - 1 / positions) ** positions  # no edit at any place
    assert unchanged == pytest.approx(want, abs=0.05)


def test_every_neighbour_of_a_nasbench201_cell_is_reached() -> None:
    space, rng = SPACES["nasbench201"], np.random.default_rng(4)
    cell = space.sample(1, rng)
    mutants = space.mutate(np.repeat(cell, 5000, axis=0), 1.0, rng)
    edited = {tuple(m) for m in mutants.tolist() if (m != cell).sum() == 1}
    assert len(edited) == 6 * 4


def test_a_mutation_of_nasbench101_adds_and_removes_vertices() -> None:
    space, rng = SPACES["nasbench101"], np.random.default_rng(4)
    cell = space.pack([parse_architecture("nasbench101", "1001100101:021")])
    sizes = Counter(
        len(a.nasbench101.ops)
        for a in space.unpack(space.mutate(np.repeat(cell, 3000, axis=0), 2.0, rng))
        if a.nasbench101
    )
    assert set(sizes) >= {2, 3, 4}


@every_space
def test_sampling_is_the_same_for_the_same_generator(space: SearchSpace) -> None:
    one, two = (space.sample(20, np.random.default_rng(9)) for _ in range(2))
    assert (one == two).all()


def test_nasbench101_is_sampled_uniformly_over_its_different_cells_not_over_their_spellings() -> None:
    space = SPACES["nasbench101"]
    drawn = space.sample(1500, np.random.default_rng(11))
    vertices = [a.nasbench101.vertices for a in space.unpack(drawn) if a.nasbench101]
    # 359,082 of the 423,624 published cells have seven vertices; of the spellings 90 % have.
    assert vertices.count(7) / 1500 == pytest.approx(359_082 / 423_624, abs=0.03)


def test_the_spellings_of_small_nasbench101_cells_are_counted_right() -> None:
    space = SPACES["nasbench101"]
    spellings: Counter[str] = Counter()
    example: dict[str, Architecture] = {}
    for inner in range(3):
        for bits in product("01", repeat=(inner + 2) * (inner + 1) // 2):
            for ops in product("012", repeat=inner):
                try:
                    architecture = parse_architecture("nasbench101", "".join(bits) + ":" + "".join(ops))
                except ArchitectureError:
                    continue  # a vertex on no path
                spellings[architecture.hash()] += 1
                example[architecture.hash()] = architecture
    assert len(spellings) == 1 + 6 + 84  # of two, three and four vertices, as published
    counted = _count_spellings(space.pack(list(example.values())))
    assert counted.tolist() == [spellings[key] for key in example]
