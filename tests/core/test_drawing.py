"""Drawings of cells: every edge is there, and they fit a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.darts import OPERATIONS, DartsArchitecture, Edge
from bananas_core.spaces.drawing import draw


@st.composite
def cells(draw_: st.DrawFn) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for node in range(4):
        inputs = draw_(st.permutations(range(node + 2)))[:2]
        edges += [Edge(op=draw_(st.sampled_from(OPERATIONS)), input=source) for source in inputs]
    return tuple(edges)


@given(architecture=st.builds(DartsArchitecture, normal=cells(), reduce=cells()))
def test_a_darts_drawing_shows_every_edge_within_100_columns(architecture: DartsArchitecture) -> None:
    text = draw(Architecture.of(architecture))
    assert max(map(len, text.splitlines())) <= 100
    for op in OPERATIONS:
        want = sum(edge.op == op for edge in architecture.normal + architecture.reduce)
        assert text.count(op) == want


def test_a_darts_drawing_stays_as_it_is() -> None:
    pair = "sep_conv_3x3~1|none~0+skip_connect~2|max_pool_3x3~0"
    text = draw(parse_architecture("darts", f"normal={pair}+{pair} reduce={pair}+{pair}"))
    want = """\
normal cell                             reduction cell
node 1 ┬─ sep_conv_3x3 ◀─ cell k-1      node 1 ┬─ sep_conv_3x3 ◀─ cell k-1
       └─ none                                 └─ none
node 2 ┬─ skip_connect ◀─ node 1        node 2 ┬─ skip_connect ◀─ node 1
       └─ max_pool_3x3 ◀─ cell k-2             └─ max_pool_3x3 ◀─ cell k-2
node 3 ┬─ sep_conv_3x3 ◀─ cell k-1      node 3 ┬─ sep_conv_3x3 ◀─ cell k-1
       └─ none                                 └─ none
node 4 ┬─ skip_connect ◀─ node 1        node 4 ┬─ skip_connect ◀─ node 1
       └─ max_pool_3x3 ◀─ cell k-2             └─ max_pool_3x3 ◀─ cell k-2
output ── nodes 1 to 4, concatenated    output ── nodes 1 to 4, concatenated"""
    assert text == want


def test_a_nasbench_201_drawing_names_the_inputs_of_each_node() -> None:
    ops = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
    want = """\
cell
node 1 ── nor_conv_3x3 ◀─ input
node 2 ┬─ none
       └─ nor_conv_1x1 ◀─ node 1
output ┬─ skip_connect ◀─ input
       ├─ avg_pool_3x3 ◀─ node 1
       └─ none"""
    assert draw(parse_architecture("nasbench201", ops)) == want


def test_a_nasbench_101_drawing_names_the_inputs_of_each_vertex() -> None:
    want = """\
cell
1 conv3x3-bn-relu ◀─ input
2 maxpool3x3      ◀─ input, 1
  output          ◀─ 1, 2"""
    assert draw(parse_architecture("nasbench101", "110111:02")) == want
