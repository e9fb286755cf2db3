"""The compact file of NASBench-101: what it answers, and every way in which it can be wrong."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bananas_core.spaces import Architecture, parse_architecture
from bananas_predictor.command import app
from bananas_tables import TableEntry, load_table
from bananas_tables.errors import ArchitectureNotInTable, TableInvalid
from bananas_tables.nasbench101_conversion import _pack, convert
from bananas_tables.nasbench101_runs import Cells, Nasbench101Runs, Run, read_runs, write_runs
from tests.tables.published import CELLS, converted, figures, metrics, name_of, record, whole

LINE = "101:0"


def cell(text: str) -> Architecture:
    return parse_architecture("nasbench101", text)


def loaded(folder: Path, **arguments: Any) -> Nasbench101Runs:
    table = load_table("nasbench101", converted(folder, **arguments))
    assert isinstance(table, Nasbench101Runs)
    return table


def run_of(numbers: tuple[float, ...], at: int) -> Run:
    return Run(*numbers[at : at + 4])


def test_every_run_budget_and_point_of_a_cell_is_kept(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    assert (len(table), table.budgets, table.epochs) == (len(CELLS), (4, 108), 108)
    for text in CELLS:
        for epochs in (4, 108):
            want_final = tuple(run_of(figures(run, epochs), 4) for run in range(3))
            want_half = tuple(run_of(figures(run, epochs), 0) for run in range(3))
            assert table.at(epochs).runs(cell(text)) == want_final
            assert table.at(epochs, half_way=True).runs(cell(text)) == want_half


def test_the_answer_is_the_mean_of_the_runs_of_the_largest_budget(tmp_path: Path) -> None:
    want = TableEntry(
        validation_accuracy=0.5 + 1 / 64, test_accuracy=0.375 + 1 / 64, seconds=108 * 16 + 1.0, parameters=8_555_530
    )
    found = loaded(tmp_path).look_up(cell(LINE))
    assert (found.validation_accuracy, found.test_accuracy, found.seconds) == (
        want.validation_accuracy,
        want.test_accuracy,
        want.seconds,
    )


def test_a_budget_is_chosen_when_the_table_is_loaded(tmp_path: Path) -> None:
    table = load_table("nasbench101", converted(tmp_path), epochs=4)
    assert table.source == "table.npz, 4 epochs"
    assert table.look_up(cell(LINE)).seconds == 4 * 16 + 1
    with pytest.raises(TableInvalid, match=r"table\.npz: no results of 36 epochs; there: 4, 108"):
        load_table("nasbench101", tmp_path / "table.npz", epochs=36)


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201"])
def test_a_table_of_one_budget_has_none_to_choose_from(tmp_path: Path, space: Any) -> None:
    with pytest.raises(TableInvalid, match="no results of several budgets to choose 36 epochs from"):
        load_table(space, None, epochs=36)
    (tmp_path / "a.csv").write_text("hash\n")
    with pytest.raises(TableInvalid, match=r"a\.csv: has no results of several budgets"):
        load_table(space, tmp_path / "a.csv", epochs=36)


def test_a_draw_is_one_of_the_runs_and_each_comes_in_a_third_of_the_draws(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    rng = np.random.default_rng(0)
    drawn = [table.draw(cell(LINE), rng).validation_accuracy for _ in range(900)]
    counts = [drawn.count(0.5 + run / 64) for run in range(3)]
    assert sum(counts) == 900
    assert all(230 < count < 370 for count in counts), counts  # five standard deviations


def test_a_draw_is_one_training_in_all_its_figures(tmp_path: Path) -> None:
    entry = loaded(tmp_path).draw(cell(LINE), np.random.default_rng(3))
    run = round((entry.validation_accuracy - 0.5) * 64)
    assert (entry.test_accuracy, entry.seconds) == (0.375 + run / 64, 108 * 16 + run)


def test_an_isomorphic_cell_finds_the_same_row(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    assert table.look_up(cell("1100010101:102")) == table.look_up(cell("1100010101:012"))


def test_the_rows_are_the_cells_by_ascending_hash(tmp_path: Path) -> None:
    assert [a.to_text() for a in loaded(tmp_path)] == sorted(CELLS, key=name_of)


def test_a_cell_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ArchitectureNotInTable, match=r"table\.npz, 108 epochs: no row for 101:1 .* among 5; the whole space"
    ):
        loaded(tmp_path).look_up(cell("101:1"))


def test_numbers_of_double_precision_are_kept_as_they_are(tmp_path: Path) -> None:
    numbers = (*[value + 1e-12 for value in figures(0, 108)[:-1]], 0.1)
    odd = record(LINE, message=metrics(numbers, 108, 7))
    records = [record(LINE, run, message=metrics(figures(run, 108), 108, 7)) for run in (1, 2)]
    table = loaded(tmp_path, records=[records[0], odd, records[1]])
    assert table.runs(cell(LINE))[1] == run_of(numbers, 4)
    assert table.runs(cell(LINE))[2] == run_of(figures(2, 108), 4)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(30)))
def test_the_order_of_the_records_of_different_runs_does_not_matter_for_the_mean(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    records = whole((4, 108))
    table = loaded(folder, records=[records[i] for i in order])
    assert table.look_up(cell(LINE)).validation_accuracy == 0.5 + 1 / 64
    assert sorted(run.seconds for run in table.runs(cell(LINE))) == [108 * 16 + run for run in range(3)]


@pytest.mark.parametrize(
    ("records", "want"),
    [
        ([], ["published.tfrecord: no records"]),
        (whole()[:-1], ["cell ", "has 2 runs with 108 epochs; want 3 (1 of 5 cells lack some"]),
        (whole((4, 108))[:-6], ["has 2 runs with 4 epochs"]),
        ([*whole(), record(LINE, 0, 4)], ["has 0 runs with 4 epochs"]),
        ([*whole(), record(LINE, 3)], ["record 16: run 4 of cell", "want 3"]),
        ([record(LINE, name=name_of("101:2"))], ["record 1, hash", "but the cell 101:0 has hash", "must agree"]),
        (
            [record(LINE), record("101:2", name=name_of(LINE))],
            ["record 2, adjacency and operations: 101:2", "has 101:0"],
        ),
        ([record(LINE, adjacency="010000000")], ["record 1, adjacency and operations", "on no path"]),
        (
            [record("1100010101:012", adjacency="0111100111000110000100000")],
            ["record 1, adjacency", "10 edges; at most 9"],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_record_or_cell(
    tmp_path: Path, records: list[bytes], want: list[str]
) -> None:
    with pytest.raises(TableInvalid) as caught:
        converted(tmp_path, records)
    assert [part for part in want if part not in str(caught.value)] == [], caught.value
    assert list(tmp_path.iterdir()) == []


def test_a_cell_has_one_number_of_parameters(tmp_path: Path) -> None:
    other = record(LINE, 1, message=metrics(figures(1, 108), 108, 7))
    with pytest.raises(TableInvalid, match=r"record 2, metrics\.trainable_parameters: 7, but an earlier record"):
        converted(tmp_path, [record(LINE), other])


def _without(name: str) -> Any:
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def _with(name: str, change: Any) -> Any:
    def changed(arrays: dict[str, Any]) -> dict[str, Any]:
        copy = {k: v.copy() for k, v in arrays.items()}
        copy[name] = change(copy[name])
        return copy

    return changed


def _set(place: Any, value: float) -> Any:
    def change(array: Any) -> Any:
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (_without("hash"), ["array hash is missing", "found: vertices"]),
        (_without("parameters"), ["array parameters is missing"]),
        (lambda a: _without("epochs_4")(_without("epochs_108")(a)), ["no array epochs_108 or the like"]),
        (_with("hash", lambda h: h[::-1]), ["hash[1]: out of order"]),
        (_with("hash", lambda h: h[:0]), ["hash: no rows"]),
        (_with("hash", lambda h: h[:, :8]), ["hash: uint8 of shape (5, 8); want uint8 of shape (n, 16)"]),
        (_with("vertices", _set(3, 8)), ["vertices[3]: 8; want 2 to 7"]),
        (_with("parameters", lambda p: p[:4]), ["parameters: int32 of shape (4,); want int32 of shape (5,)"]),
        (
            _with("epochs_108", lambda f: f.astype(np.int32)),
            ["epochs_108: int32", "want float32 of shape (5, 3, 2, 4)"],
        ),
        (_with("epochs_108", _set((2, 1, 1, 2), 93.0)), ["epochs_108[2, 1, 1, 2]: 93.0", "0 to 1 (1 are not)"]),
        (_with("epochs_4", _set((0, 0, 0, 3), np.nan)), ["epochs_4[0, 0, 0, 3]: nan"]),
        (_with("epochs_4", _set((4, 2, 1, 0), -1.0)), ["epochs_4[4, 2, 1, 0]: -1.0; want seconds"]),
    ],
)
def test_a_wrong_file_is_refused_by_array_and_place(tmp_path: Path, change: Any, want: list[str]) -> None:
    path = converted(tmp_path)
    arrays = dict(np.load(path))
    np.savez(path, **change(arrays))
    with pytest.raises(TableInvalid) as caught:
        load_table("nasbench101", path)
    assert [part for part in ["table.npz", *want] if part not in str(caught.value)] == [], caught.value


def test_a_row_that_is_no_cell_is_refused_when_the_rows_are_gone_through(tmp_path: Path) -> None:
    path = converted(tmp_path)
    arrays = dict(np.load(path))
    arrays["adjacency"] = arrays["adjacency"] * 0
    np.savez(path, **arrays)
    with pytest.raises(TableInvalid, match=r"row 0, cell 0.*"):
        list(read_runs(path))


@pytest.mark.parametrize("keep", [0, 30, 2000, -1])
def test_a_cut_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = converted(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TableInvalid, match=r"table\.npz: damaged"):
        load_table("nasbench101", path)


def test_a_file_whose_bytes_changed_is_refused(tmp_path: Path) -> None:
    path = converted(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    with pytest.raises(TableInvalid, match=r"table\.npz: damaged"):
        load_table("nasbench101", path)


def test_the_name_and_folder_of_the_table_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(TableInvalid, match=r"table\.csv: want a name that ends in \.npz"):
        convert(tmp_path / "none", tmp_path / "table.csv")
    with pytest.raises(Exception, match="nowhere is no folder"):
        convert(tmp_path / "none", tmp_path / "nowhere" / "table.npz")


@pytest.mark.slow
def test_the_whole_space_is_searched_by_one_run_or_the_mean(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    """Cells of the real space with made-up figures: runs a point apart around the real surrogate."""
    lines = gzip.decompress(data_file("nasbench101_cells.tsv.gz").read_bytes()).decode().splitlines()
    rows = sorted(line.split("\t") for line in lines)
    order = np.argsort([line.split("\t")[0] for line in lines])
    mean = np.load(data_file("nasbench101_surrogate.npz"))["pred"][order].clip(0.02, 0.98)
    packed = [_pack(f"{upper}:{codes.strip('-')}") for _, _, upper, codes in rows]
    cells = Cells(
        np.frombuffer(bytes.fromhex("".join(name for name, *_ in rows)), np.uint8).reshape(-1, 16),
        *(np.array(column, kind) for column, kind in zip(zip(*packed, strict=True), ("u1", "u4", "u1"), strict=True)),
        np.ones(len(rows), np.int32),
    )
    figures = np.zeros((len(rows), 3, 2, 4), np.float32)
    figures[..., 2] = mean[:, None, None] + np.array([-0.01, 0, 0.01], np.float32)[:, None]
    figures[..., 0] = 100
    write_runs(tmp_path / "all.npz", cells, {108: figures})
    table = load_table("nasbench101", tmp_path / "all.npz")
    assert len(table) == 423_624

    def searched(*options: str) -> list[dict[str, Any]]:
        out = tmp_path / "out.json"
        command = [
            "search",
            "--space",
            "nasbench101",
            "--table",
            str(tmp_path / "all.npz"),
            "--trials",
            "30",
            "--seed",
            "7",
        ]
        done = CliRunner().invoke(app, [*command, "--json", str(out), *options])
        assert done.exit_code == 0, done.output
        return list(json.loads(out.read_text())["runs"][0]["trials"])

    def off_the_mean(trial: dict[str, Any]) -> float:
        entry = table.look_up(parse_architecture("nasbench101", _text(trial["architecture"])))
        return float(trial["validation_accuracy"] - entry.validation_accuracy)

    assert {round(off_the_mean(trial), 4) for trial in searched()} == {0}
    noisy = searched("--one-run")
    assert {round(off_the_mean(trial), 4) for trial in noisy} == {-0.01, 0, 0.01}
    assert {trial["seconds"] for trial in noisy} == {100}
    assert searched("--one-run") == noisy, "the same seed, the same draws"


def _text(architecture: Any) -> str:
    return architecture if isinstance(architecture, str) else Architecture.model_validate(architecture).to_text()
