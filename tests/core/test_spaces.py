"""Identity of architectures: spellings of one network share a hash, others do not, and text survives the round trip."""

import csv
import gzip
from itertools import permutations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.darts import NODES, OPERATIONS, DartsArchitecture, Edge, Operation
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS as OPERATIONS_201
from bananas_core.spaces.nasbench201 import Nasbench201Architecture


@st.composite
def cells(draw: st.DrawFn) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for node in range(NODES):
        inputs = draw(st.permutations(range(node + 2)))[:2]
        edges += [Edge(op=draw(st.sampled_from(OPERATIONS)), input=i) for i in inputs]
    return tuple(edges)


darts = st.builds(DartsArchitecture, normal=cells(), reduce=cells())
nasbench201 = st.builds(Nasbench201Architecture, ops=st.tuples(*[st.sampled_from(OPERATIONS_201)] * 6))


def spellings(cell: tuple[Edge, ...]) -> set[frozenset[tuple[object, ...]]]:
    """Brute force: every order of the nodes, as node -> set of (op, input), `none` without its input."""
    out = set()
    for order in permutations(range(NODES)):
        place = {0: 0, 1: 1, **{old + 2: new + 2 for new, old in enumerate(order)}}
        nodes = []
        for new, old in enumerate(order):
            pair = cell[2 * old : 2 * old + 2]
            if any(e.op != "none" and place[e.input] >= new + 2 for e in pair):
                break
            edges = sorted((e.op, -1 if e.op == "none" else place[e.input]) for e in pair)
            nodes.append((new, tuple(edges)))
        else:
            out.add(frozenset(nodes))
    return out


@given(darts)
@settings(max_examples=100, deadline=None)
def test_a_darts_architecture_survives_text_and_json(architecture: DartsArchitecture) -> None:
    whole = Architecture.of(architecture)
    assert parse_architecture("darts", whole.to_text()) == whole
    assert Architecture.model_validate_json(whole.canonical_json()) == whole


@given(cells(), cells())
@settings(max_examples=150, deadline=None)
def test_two_darts_cells_share_a_hash_exactly_when_brute_force_finds_a_common_spelling(
    one: tuple[Edge, ...], other: tuple[Edge, ...]
) -> None:
    want = bool(spellings(one) & spellings(other))
    got = _hash(one) == _hash(other)
    assert got == want


@given(cells(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_an_equivalent_spelling_of_a_darts_cell_has_the_same_hash(cell: tuple[Edge, ...], random: object) -> None:
    for spelling in sorted(spellings(cell), key=repr)[:6]:
        edges: list[Edge] = []
        for node, pair in sorted(spelling):
            taken = {i for _, i in pair if i != -1}
            for op, source in reversed(pair):
                chosen = source if source != -1 else max(set(range(min(node + 2, NODES + 1))) - taken)
                taken.add(chosen)
                edges.append(Edge(op=op, input=chosen))
        assert _hash(tuple(edges)) == _hash(cell)


@st.composite
def alike(draw: st.DrawFn) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
    """Two cells of few operations, the second the first after some edits: often, but not always, one network."""
    ops: tuple[Operation, ...] = ("none", "skip_connect", "max_pool_3x3")
    pairs = [list(draw(st.permutations(range(node + 2)))[:2]) for node in range(NODES)]
    one = [Edge(op=draw(st.sampled_from(ops)), input=source) for pair in pairs for source in pair]
    other = list(one)
    for _ in range(draw(st.integers(0, 2))):
        edge = draw(st.integers(0, 2 * NODES - 1))
        taken = other[edge ^ 1].input
        sources = [source for source in range(edge // 2 + 2) if source != taken]
        other[edge] = Edge(op=draw(st.sampled_from(ops)), input=draw(st.sampled_from(sources)))
    if draw(st.booleans()):  # the edges of a node the other way round
        node = draw(st.integers(0, NODES - 1))
        other[2 * node], other[2 * node + 1] = other[2 * node + 1], other[2 * node]
    return tuple(one), tuple(other)


@given(st.lists(alike(), min_size=20, max_size=20))
@settings(max_examples=15, deadline=None)
def test_cells_that_are_alike_share_a_hash_exactly_when_brute_force_finds_a_common_spelling(
    pairs: list[tuple[tuple[Edge, ...], tuple[Edge, ...]]],
) -> None:
    got = [_hash(one) == _hash(other) for one, other in pairs]
    want = [bool(spellings(one) & spellings(other)) for one, other in pairs]
    assert got == want
    event(f"{sum(want) // 5 * 5} or more of 20 are one network")


def test_architectures_that_differ_in_the_reduction_cell_only_differ_in_hash() -> None:
    plain = tuple(Edge(op="sep_conv_3x3", input=i) for _ in range(NODES) for i in (0, 1))
    changed = (Edge(op="max_pool_3x3", input=0), *plain[1:])
    a, b = DartsArchitecture(normal=plain, reduce=plain), DartsArchitecture(normal=plain, reduce=changed)
    swapped = DartsArchitecture(normal=changed, reduce=plain)
    assert len({Architecture.of(x).hash() for x in (a, b, swapped)}) == 3


def _hash(cell: tuple[Edge, ...]) -> str:
    return Architecture.of(DartsArchitecture(normal=cell, reduce=cell)).hash()


@given(nasbench201)
@settings(max_examples=100, deadline=None)
def test_a_nasbench201_cell_survives_text_and_its_twin_shares_its_hash(cell: Nasbench201Architecture) -> None:
    whole = Architecture.of(cell)
    assert parse_architecture("nasbench201", whole.to_text()) == whole
    a, b, c, d, e, f = cell.ops
    twin = Nasbench201Architecture(ops=(b, a, c, d, f, e))
    assert (Architecture.of(twin).hash() == whole.hash()) == (c == "none" or twin == cell)


@pytest.mark.parametrize(
    ("space", "text", "want"),
    [
        ("darts", "normal=foo~0", "unknown operation 'foo'"),
        ("darts", "normal=none~0|none~1", "normal: 2 edges; want 8"),
        ("darts", "cell=none~0", "want 'normal="),
        ("darts", "normal=none~9", "input '9'"),
        ("nasbench201", "|none~0|", "want |op~0|+"),
        ("nasbench201", "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "should read from node 1"),
        ("nasbench201", "|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|", "unknown operation 'conv'"),
        ("nasbench101", "1", "want adjacency digits"),
        ("nasbench101", "110:0", "on no path"),
        ("nasbench101", "1:0", "digits for 3 vertices"),
        ("nasbench101", "1" * 21 + ":00000", "21 edges; at most 9"),
    ],
)
def test_a_text_that_is_no_architecture_is_refused_with_what_is_wrong(space: str, text: str, want: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        parse_architecture(space, text)  # type: ignore[arg-type]
    assert want in str(caught.value)


def test_a_darts_edge_from_a_later_node_is_refused_with_its_place() -> None:
    edges = [Edge(op="none", input=i) for _ in range(NODES) for i in (0, 1)]
    edges[1] = Edge(op="none", input=3)
    with pytest.raises(ValueError, match=r"normal\[1\].input: 3 is a later node; node 0 may read from 0 to 1"):
        DartsArchitecture(normal=tuple(edges), reduce=tuple(edges))


def test_nasbench101_hashes_equal_the_published_ones(data_file) -> None:
    with data_file("nasbench101_sample.csv").open() as lines:
        rows = list(csv.DictReader(lines))[:3000]
    for row in rows:
        cell = parse_architecture("nasbench101", f"{row['adjacency_upper']}:{row['ops'].replace('-', '')}")
        assert cell.hash() == row["hash"]


def test_isomorphic_nasbench101_cells_share_a_hash() -> None:
    # input -> a, b; a -> output; b -> output, with the two vertices exchanged
    one = Nasbench101Architecture(adjacency="110011", ops=("conv3x3-bn-relu", "maxpool3x3"))
    other = Nasbench101Architecture(adjacency="110011", ops=("maxpool3x3", "conv3x3-bn-relu"))
    assert one != other
    assert one.graph_hash() == other.graph_hash()


def test_every_nasbench101_cell_of_the_enumeration_parses(data_file) -> None:
    with gzip.open(data_file("nasbench101_cells.tsv.gz"), "rt") as lines:
        rows = [next(lines).rstrip("\n").split("\t") for _ in range(500)]
    for digest, _, adjacency, ops in (row for row in rows if len(row[0]) == 32):
        assert parse_architecture("nasbench101", f"{adjacency}:{ops.replace('-', '')}").hash() == digest
