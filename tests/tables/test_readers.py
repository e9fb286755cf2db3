"""Files that are right, and every way in which one can be wrong: the error names file, line and column."""

import gzip
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from bananas_core.contract import ExitCode
from bananas_core.spaces import parse_architecture
from bananas_tables import TableEntry, load_table
from bananas_tables.errors import ArchitectureNotInTable, SpaceWithoutTable, TableError, TableInvalid, TableMissing

SKIPS = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
CONVS = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
PUBLISHED = f"index,arch,params_m,c10_val_200ep,c10_test_200ep\n0,{SKIPS},0.1,88.5,89.25\n1,{CONVS},0.344346,90,91\n"
OWN = f"arch,validation_accuracy\n{SKIPS},0.885\n{CONVS},0.9\n"

LINE = "101:0"
LINE_HASH = parse_architecture("nasbench101", LINE).hash()
POOL_HASH = parse_architecture("nasbench101", "101:2").hash()
SAMPLE = (
    "hash,num_vertices,adjacency_upper,ops,trainable_parameters,training_time_108_s,val_acc_108\n"
    f"{LINE_HASH},3,101,0,100,12.5,0.9\n{POOL_HASH},3,101,2,10,6,0.5\n"
)


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def surrogate(folder: Path, cells: str, **arrays: object) -> Path:
    write(folder, gzip.compress(cells.encode()), "nasbench101_cells.tsv.gz")
    np.savez(folder / "surrogate.npz", **arrays)  # type: ignore[arg-type]
    return folder / "surrogate.npz"


CELLS = f"{LINE_HASH}\t3\t101\t0\n{POOL_HASH}\t3\t101\t2\n"


def test_percent_of_the_published_table_becomes_a_fraction(tmp_path: Path) -> None:
    table = load_table("nasbench201", write(tmp_path, PUBLISHED))
    want = TableEntry(validation_accuracy=0.885, test_accuracy=0.8925, parameters=100_000)
    assert table.look_up(parse_architecture("nasbench201", SKIPS)) == want
    assert [a.to_text() for a in table] == [SKIPS, CONVS]
    assert len(table) == 2
    assert table.digest == sha256(PUBLISHED.encode()).hexdigest()


def test_a_table_of_ones_own_has_fractions_and_may_lack_the_rest(tmp_path: Path) -> None:
    table = load_table("nasbench201", write(tmp_path, gzip.compress(OWN.encode()), "own.csv.gz"))
    assert table.look_up(parse_architecture("nasbench201", CONVS)) == TableEntry(validation_accuracy=0.9)


def test_a_sample_is_looked_up_by_graph_hash(tmp_path: Path) -> None:
    table = load_table("nasbench101", write(tmp_path, SAMPLE))
    want = TableEntry(validation_accuracy=0.9, seconds=12.5, parameters=100)
    assert table.look_up(parse_architecture("nasbench101", LINE)) == want


def test_an_isomorphic_cell_finds_the_same_row(tmp_path: Path) -> None:
    one, other = "1100010101:012", "1100010101:102"  # the same two branches, numbered the other way round
    a, b = parse_architecture("nasbench101", one), parse_architecture("nasbench101", other)
    assert a.hash() == b.hash()
    header = "hash,num_vertices,adjacency_upper,ops,val_acc_108\n"
    adjacency, ops = one.split(":")
    table = load_table("nasbench101", write(tmp_path, f"{header}{a.hash()},5,{adjacency},{ops},0.75\n"))
    assert table.look_up(b).validation_accuracy == 0.75


def test_a_surrogate_answers_from_the_row_of_its_cells_file(tmp_path: Path) -> None:
    path = surrogate(tmp_path, CELLS, pred=np.array([0.9, 0.25], dtype=np.float32))
    table = load_table("nasbench101", path)
    assert table.look_up(parse_architecture("nasbench101", "101:2")).validation_accuracy == 0.25
    assert [a.to_text() for a in table] == ["101:0", "101:2"]


def _published(old: str, new: str) -> str:
    assert old in PUBLISHED
    return PUBLISHED.replace(old, new)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", ["line 1", "found: nothing"]),
        ("arch,accuracy\n", ["line 1", "validation_accuracy", "found: arch, accuracy"]),
        (_published("params_m", "params"), ["line 1", "params_m", "found: index, arch, params, c10_val_200ep"]),
        (_published("index", "arch"), ["line 1", "column arch", "twice"]),
        (_published("88.5", "nan"), ["line 2, c10_val_200ep", "'nan'", "0 to 100"]),
        (_published("88.5", "many"), ["line 2, c10_val_200ep", "'many'", "0 to 100"]),
        (_published("91\n", "inf\n"), ["line 3, c10_test_200ep", "'inf'", "0 to 100"]),
        (_published("90", "101"), ["line 3, c10_val_200ep", "'101'", "0 to 100"]),
        (_published("90", "-1"), ["line 3, c10_val_200ep", "'-1'", "0 to 100"]),
        (_published("88.5", ".885").replace("90", ".9"), ["c10_val_200ep", "0.9", "want percent", "fractions"]),
        (OWN.replace("0.9", "90"), ["line 3, validation_accuracy", "'90'", "divided by 100"]),
        (_published(",91\n", "\n"), ["line 3", "4 fields", "want 5"]),
        (PUBLISHED + PUBLISHED.splitlines()[1] + "\n", ["line 4, arch", "each architecture once", "line 2"]),
        (_published("skip_connect~0", "skip~0"), ["line 2, arch", "unknown operation 'skip'", "skip_connect"]),
        (_published("none~0|nor_conv_1x1~1", "none~0|nor_conv_1x1~0"), ["line 2, arch", "should read from node 1"]),
        (PUBLISHED.splitlines()[0] + "\n", ["no rows"]),
        (PUBLISHED.replace("88.5", '"88'), ["line", "CSV"]),
        (b"arch,validation_accuracy\n\xff\xfe,1\n", ["byte 25", "UTF-8"]),
        (gzip.compress(PUBLISHED.encode(), mtime=0)[:-20], ["gzip", "copy the file anew"]),
        (gzip.compress(PUBLISHED.encode(), mtime=0)[:40] + b"x" * 40, ["gzip", "copy the file anew"]),
    ],
)
def test_a_wrong_table_of_nasbench201_is_refused_by_place_and_reason(
    tmp_path: Path, text: str | bytes, want: list[str]
) -> None:
    with pytest.raises(TableInvalid) as caught:
        load_table("nasbench201", write(tmp_path, text))
    assert [part for part in ["table.csv", *want] if part not in str(caught.value)] == [], caught.value
    assert caught.value.exit_code == ExitCode.DATA_INVALID


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        (",0.9\n", ",90\n", ["line 2, val_acc_108", "'90'", "divided by 100"]),
        (",0.9\n", ",\n", ["line 2, val_acc_108", "''", "0 to 1"]),
        ("val_acc_108", "val", ["val_acc_108 is missing", "found: hash"]),
        (LINE_HASH, "xyz", ["line 2, hash", "32 hexadecimal"]),
        (POOL_HASH, LINE_HASH, ["line 3, hash", "each cell once", "line 2"]),
        (",3,101,0", ",9,101,0", ["line 2, num_vertices", "2 to 7"]),
        (",3,101,0", ",3,1011,0", ["line 2, adjacency_upper", "3 digits"]),
        (",3,101,0", ",3,101,7", ["line 2, ops", "1 digits 0, 1 and 2"]),
        (",100,", ",1e2,", ["line 2, trainable_parameters", "whole number"]),
        (",12.5,", ",-1,", ["line 2, training_time_108_s", "seconds"]),
    ],
)
def test_a_wrong_sample_of_nasbench101_is_refused_by_place_and_reason(
    tmp_path: Path, old: str, new: str, want: list[str]
) -> None:
    assert old in SAMPLE
    with pytest.raises(TableInvalid) as caught:
        load_table("nasbench101", write(tmp_path, SAMPLE.replace(old, new, 1)))
    assert [part for part in ["table.csv", *want] if part not in str(caught.value)] == [], caught.value


def test_a_row_whose_hash_is_not_that_of_its_graph_is_refused_when_asked_for(tmp_path: Path) -> None:
    table = load_table("nasbench101", write(tmp_path, SAMPLE.replace(",101,0,", ",101,1,")))
    with pytest.raises(TableInvalid, match="hash and graph must agree"):
        table.look_up(parse_architecture("nasbench101", LINE))


GOOD = np.array([0.9, 0.5], dtype=np.float32)


@pytest.mark.parametrize(
    ("cells", "arrays", "want"),
    [
        (CELLS, {"prediction": GOOD}, ["pred is missing", "found: prediction"]),
        (CELLS, {"pred": GOOD[:1]}, ["2 cells", "has 1"]),
        (CELLS, {"pred": GOOD * 100}, ["pred[0]", "0 to 1", "2 are not"]),
        (CELLS, {"pred": np.array([0.5, np.nan])}, ["pred[1]", "nan", "1 are not"]),
        (CELLS, {"pred": np.array([1, 0])}, ["int64", "fraction"]),
        (CELLS, {"pred": np.array([{}, {}])}, ["surrogate.npz", "damaged"]),
        (CELLS.replace("\t101\t2", "\t121\t2"), {"pred": GOOD}, ["nasbench101_cells.tsv.gz, line 2", "want hash"]),
        (CELLS.replace(POOL_HASH, LINE_HASH), {"pred": GOOD}, ["line 2", "in line 1 already"]),
    ],
)
def test_a_wrong_surrogate_is_refused(tmp_path: Path, cells: str, arrays: dict[str, object], want: list[str]) -> None:
    with pytest.raises(TableInvalid) as caught:
        load_table("nasbench101", surrogate(tmp_path, cells, **arrays))
    assert [part for part in want if part not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize("keep", [0, 100, -30])
def test_a_cut_surrogate_is_refused(tmp_path: Path, keep: int) -> None:
    path = surrogate(tmp_path, CELLS, pred=GOOD)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TableInvalid, match=r"surrogate\.npz: damaged"):
        load_table("nasbench101", path)


def test_a_surrogate_without_its_cells_is_missing_data(tmp_path: Path) -> None:
    path = surrogate(tmp_path, CELLS, pred=GOOD)
    (tmp_path / "nasbench101_cells.tsv.gz").unlink()
    with pytest.raises(TableMissing, match=r"nasbench101_cells.*must lie beside") as caught:
        load_table("nasbench101", path)
    assert caught.value.exit_code == ExitCode.DATA_MISSING


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201"])
def test_a_file_that_is_not_there_is_missing_data(tmp_path: Path, space: str) -> None:
    with pytest.raises(TableMissing, match=r"none\.csv: No such file"):
        load_table(space, tmp_path / "none.csv")  # type: ignore[arg-type]
    with pytest.raises(TableMissing, match="Is a directory"):
        load_table(space, tmp_path)  # type: ignore[arg-type]


def test_an_architecture_without_a_row_is_named(tmp_path: Path) -> None:
    other = SKIPS.replace("none", "avg_pool_3x3")
    with pytest.raises(ArchitectureNotInTable, match=r"table\.csv: no row for \|skip_connect~0\|.*among 2"):
        load_table("nasbench201", write(tmp_path, PUBLISHED)).look_up(parse_architecture("nasbench201", other))
    with pytest.raises(ArchitectureNotInTable, match=r"101:1.*among 2.*surrogate"):
        load_table("nasbench101", write(tmp_path, SAMPLE)).look_up(parse_architecture("nasbench101", "101:1"))


def test_a_table_is_asked_only_for_its_own_space(tmp_path: Path) -> None:
    for table in (load_table("nasbench201", write(tmp_path, PUBLISHED)), load_table("nasbench201", None)):
        with pytest.raises(TableInvalid, match="table of nasbench201, asked for an architecture of nasbench101"):
            table.look_up(parse_architecture("nasbench101", LINE))


def test_there_is_no_table_of_darts() -> None:
    with pytest.raises(SpaceWithoutTable, match="darts"):
        load_table("darts", None)


@pytest.mark.parametrize("cut", range(0, 138, 12))
def test_no_cut_of_a_gzipped_table_gives_a_table_or_a_traceback(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(PUBLISHED.encode())
    assert cut < len(whole)
    with pytest.raises(TableError):
        load_table("nasbench201", write(tmp_path, whole[:cut], "table.csv.gz"))


def test_real_nasbench201_has_its_published_best(data_file: Callable[[str], Path]) -> None:
    table = load_table("nasbench201", data_file("nasbench201_cifar10.csv"))
    entries = [table.look_up(a) for a in table]
    assert len(entries) == len(table) == 15_625
    assert max(e.validation_accuracy for e in entries) == pytest.approx(0.916067, abs=1e-6)
    assert max(e.test_accuracy or 0 for e in entries) == pytest.approx(0.943733, abs=1e-6)


def test_real_nasbench101_sample_has_its_first_row(data_file: Callable[[str], Path]) -> None:
    table = load_table("nasbench101", data_file("nasbench101_sample.csv"))
    first = next(iter(table))
    assert first.hash() == "00005c142e6f48ac74fdcf73e3439874"
    want = TableEntry(
        validation_accuracy=0.9304887652397156, test_accuracy=None, seconds=1768.9759521484375, parameters=8_555_530
    )
    assert table.look_up(first) == want
    assert len(table) == 20_001


def test_real_surrogate_covers_the_space_and_is_near_the_sample(data_file: Callable[[str], Path]) -> None:
    data_file("nasbench101_cells.tsv.gz")
    table = load_table("nasbench101", data_file("nasbench101_surrogate.npz"))
    sample = load_table("nasbench101", data_file("nasbench101_sample.csv"))
    assert len(table) == 423_624
    some = [a for a, _ in zip(sample, range(500), strict=False)]
    errors = [abs(table.look_up(a).validation_accuracy - sample.look_up(a).validation_accuracy) for a in some]
    assert sum(errors) / len(errors) < 0.006
