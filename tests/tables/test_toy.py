"""The synthetic tables: complete, the same for ever, isomorphism-proof, and with the structure that they promise."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.spaces import Architecture, parse_architecture
from bananas_core.spaces.nasbench101 import OPERATIONS as OPERATIONS_101
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_tables import load_table
from bananas_tables.parameters import nasbench101_parameters, nasbench201_parameters
from bananas_tables.toy import write_toy_nasbench201

TOY_201 = load_table("nasbench201", None)
TOY_101 = load_table("nasbench101", None)


def accuracy(*ops: str) -> float:
    return TOY_201.look_up(Architecture.of(Nasbench201Architecture(ops=ops))).validation_accuracy


def accuracy_101(text: str) -> float:
    return TOY_101.look_up(parse_architecture("nasbench101", text)).validation_accuracy


def test_the_formula_has_not_changed_without_its_version() -> None:
    """Accuracies of two formulas cannot be compared. If this fails, raise FORMULA_VERSION and put the new values here."""
    assert TOY_201.digest[:8] == "e44d4a52"
    assert TOY_101.digest[:8] == "0d7ce49b"
    best = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    entry = TOY_201.look_up(parse_architecture("nasbench201", best))
    assert (entry.validation_accuracy, entry.test_accuracy, entry.seconds) == (0.914267, 0.913192, 269.1)
    assert accuracy_101("1111100111:000") == 0.907369


def test_both_tables_say_that_they_are_synthetic() -> None:
    assert "synthetic" in TOY_201.source
    assert "synthetic" in TOY_101.source


def test_convolutions_help_and_nothing_guesses() -> None:
    conv, small, skip, none = "nor_conv_3x3", "nor_conv_1x1", "skip_connect", "none"
    chain = [accuracy(op, none, op, none, none, op) for op in (conv, small, skip, none)]
    assert chain == sorted(chain, reverse=True)
    assert chain[-1] == pytest.approx(0.1, abs=0.005)
    assert chain[0] > 0.85


def test_a_shortcut_helps_more_in_a_deep_cell_and_pooling_hurts() -> None:
    conv, none = "nor_conv_3x3", "none"
    deep = {op: accuracy(conv, none, conv, op, none, conv) for op in ("skip_connect", "avg_pool_3x3", none)}
    assert deep["skip_connect"] > deep[none] > deep["avg_pool_3x3"]
    shallow_gain = accuracy(conv, none, none, "skip_connect", conv, none) - accuracy(conv, none, none, none, conv, none)
    assert deep["skip_connect"] - deep[none] > 0
    assert shallow_gain < deep["skip_connect"] - deep[none] + 0.004


def test_convolutions_and_shortcuts_help_in_nasbench101_too() -> None:
    assert accuracy_101("101:0") > accuracy_101("101:1") > accuracy_101("101:2") + 0.2
    assert accuracy_101("111:0") > accuracy_101("101:0")


@given(st.tuples(*[st.sampled_from(OPERATIONS)] * 6))
def test_every_string_of_nasbench201_has_a_sane_answer(ops: tuple[str, ...]) -> None:
    cell = Nasbench201Architecture(ops=ops)
    entry = TOY_201.look_up(Architecture.of(cell))
    assert 0.09 <= entry.validation_accuracy <= 0.93
    assert entry.test_accuracy is not None
    assert abs(entry.test_accuracy - entry.validation_accuracy) < 0.011
    assert entry == TOY_201.look_up(Architecture.of(cell))
    twin = TOY_201.look_up(Architecture.of(cell.canonical()))
    assert twin == entry


@given(st.data())
def test_isomorphic_cells_of_nasbench101_have_the_same_answer(data: st.DataObject) -> None:
    """Two parallel branches of one operation each, in either order, joined at a third vertex."""
    a, b, c = (data.draw(st.sampled_from(OPERATIONS_101)) for _ in range(3))
    one = Nasbench101Architecture(adjacency="1100010101", ops=(a, b, c))
    other = Nasbench101Architecture(adjacency="1100010101", ops=(b, a, c))
    assert TOY_101.look_up(Architecture.of(one)) == TOY_101.look_up(Architecture.of(other))


def test_the_small_cells_of_nasbench101_are_all_there_once() -> None:
    hashes = [a.hash() for a in TOY_101]
    assert len(hashes) == len(set(hashes)) == len(TOY_101) == 2_532


def test_the_small_cells_are_those_of_the_published_space(data_file: Callable[[str], Path]) -> None:
    import gzip

    lines = gzip.decompress(data_file("nasbench101_cells.tsv.gz").read_bytes()).decode().splitlines()
    want = {line.split("\t")[0] for line in lines if int(line.split("\t")[1]) <= 5}
    assert {a.hash() for a in TOY_101} == want


def test_the_written_file_gives_the_same_answers(tmp_path: Path) -> None:
    assert write_toy_nasbench201(tmp_path / "toy.csv") == 15_625
    table = load_table("nasbench201", tmp_path / "toy.csv")
    assert len(table) == 15_625
    for architecture, _ in zip(table, range(200), strict=False):
        assert table.look_up(architecture) == TOY_201.look_up(architecture)


def test_parameters_of_nasbench101_equal_the_published_ones(data_file: Callable[[str], Path]) -> None:
    table = load_table("nasbench101", data_file("nasbench101_sample.csv"))
    for architecture, _ in zip(table, range(1000), strict=False):
        assert architecture.nasbench101 is not None
        assert nasbench101_parameters(architecture.nasbench101) == table.look_up(architecture).parameters


def test_parameters_of_nasbench201_equal_the_published_ones(data_file: Callable[[str], Path]) -> None:
    """204 rows of the published table hold a mean over seeds that is no count of any one network; all others agree."""
    table = load_table("nasbench201", data_file("nasbench201_cifar10.csv"))
    cells = [a.nasbench201 for a in table if a.nasbench201 is not None]
    published = [table.look_up(Architecture.of(cell)).parameters for cell in cells]
    differ = sum(nasbench201_parameters(cell) != want for cell, want in zip(cells, published, strict=True))
    assert differ == 204
