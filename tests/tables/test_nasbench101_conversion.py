"""From files that tensorflow itself wrote, in the published format, to a table; truncated and corrupt ones included."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bananas_core.spaces import parse_architecture
from bananas_predictor.command import app
from bananas_tables import load_table
from bananas_tables.errors import TableInvalid, TableMissing
from bananas_tables.nasbench101_conversion import Converted, convert
from bananas_tables.nasbench101_runs import Nasbench101Runs
from bananas_tables.tfrecords import read_records
from tests.tables.published import CELLS, figures, record, whole, write

LINE = parse_architecture("nasbench101", "101:0")
SLOW = pytest.mark.slow  # importing tensorflow takes ten seconds
pytestmark = pytest.mark.timeout(300)  # and on a busy machine a minute


def refused(folder: Path, published: Path) -> str:
    """Converts what must be refused; nothing may be left, and what was there before must stay."""
    out = folder / "out" / "table.npz"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(b"an earlier table")
    with pytest.raises(TableInvalid) as caught:
        convert(published, out)
    assert [path.name for path in out.parent.iterdir()] == ["table.npz"]
    assert out.read_bytes() == b"an earlier table"
    return str(caught.value)


@SLOW
@pytest.mark.parametrize("budgets", [(108,), (4, 12, 36, 108)])
def test_a_published_file_becomes_a_table(tmp_path: Path, budgets: tuple[int, ...]) -> None:
    published = write(tmp_path / "nasbench.tfrecord", whole(budgets))
    told: list[tuple[int, int]] = []
    done = convert(published, tmp_path / "table.npz", lambda read, total: told.append((read, total)))
    assert done == Converted(records=3 * len(budgets) * len(CELLS), cells=len(CELLS), epochs=budgets)
    assert not done.whole
    assert told[-1] == (published.stat().st_size, published.stat().st_size)
    table = load_table("nasbench101", tmp_path / "table.npz")
    assert isinstance(table, Nasbench101Runs)
    for epochs in budgets:
        want = [figures(run, epochs)[6] for run in range(3)]
        assert [run.validation_accuracy for run in table.at(epochs).runs(LINE)] == want
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nasbench.tfrecord", "table.npz"]


def offset(content: bytes, number: int) -> int:
    """Where a record begins."""
    at = 0
    for _ in range(number - 1):
        at += 16 + int.from_bytes(content[at : at + 8], "little")
    return at


@SLOW
@pytest.mark.parametrize("number", [1, 3, 14])
@pytest.mark.parametrize("byte", [0, 9, 12, 60, -3])
def test_a_flipped_bit_is_found_and_its_record_named(tmp_path: Path, number: int, byte: int) -> None:
    path = write(tmp_path / "flipped.tfrecord", whole())
    raw = bytearray(path.read_bytes())
    raw[offset(raw, number) + byte if byte >= 0 else offset(raw, number + 1) + byte] ^= 0x20
    path.write_bytes(raw)
    said = refused(tmp_path, path)
    assert f"flipped.tfrecord, record {number}: " in said
    assert "damaged" in said or "cut off" in said  # a length that points beyond the end reads as the latter


@SLOW
@pytest.mark.parametrize("number", [1, 8, 15])
@pytest.mark.parametrize("keep", [1, 5, 11, 12, 13, 100, -1])
def test_a_truncated_file_is_refused_and_the_record_named(tmp_path: Path, number: int, keep: int) -> None:
    path = write(tmp_path / "cut.tfrecord", whole())
    raw = path.read_bytes()
    path.write_bytes(raw[: offset(raw, number) + keep if keep > 0 else offset(raw, number + 1) + keep])
    assert f"cut.tfrecord, record {number}: cut off" in refused(tmp_path, path)


@SLOW
def test_damage_behind_a_batch_of_records_is_counted_right(tmp_path: Path) -> None:
    path = write(tmp_path / "long.tfrecord", [record(LINE.to_text())] * 2500)
    raw = bytearray(path.read_bytes())
    raw[offset(raw, 2300) + 40] ^= 1
    path.write_bytes(raw)
    passed = 0
    with pytest.raises(TableInvalid, match=r"long\.tfrecord, record 2300: damaged, its checksum does not fit"):
        for number, _ in read_records(path):
            passed = number
    assert passed == 2048


@SLOW
def test_a_file_cut_between_two_records_lacks_runs(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.tfrecord", whole())
    raw = path.read_bytes()
    path.write_bytes(raw[: offset(raw, 15)])
    assert "has 2 runs with 108 epochs; want 3 (1 of 5 cells lack some: a part of the file is missing)" in refused(
        tmp_path, path
    )


@SLOW
@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"", "no records"),
        (b"hash,num_vertices,adjacency_upper,ops\n", "record 1: no TFRecord file"),
        (b"\0" * 400, "record 1: no TFRecord file"),
        (b"short", "record 1: cut off"),
    ],
)
def test_what_is_no_tfrecord_file_is_refused(tmp_path: Path, content: bytes, want: str) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    assert f"other.csv, {want}" in refused(tmp_path, path) or f"other.csv: {want}" in refused(tmp_path, path)


@SLOW
def test_a_wrong_record_in_a_sound_file_is_refused_by_number_and_field(tmp_path: Path) -> None:
    records = whole()
    records[9] = record(CELLS[4], 1, operations="input,maxpool3x3,conv7x7,output")
    path = write(tmp_path / "wrong.tfrecord", records)
    assert "wrong.tfrecord, record 10, operations: unknown operation 'conv7x7'" in refused(tmp_path, path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path, want in ((tmp_path / "none.tfrecord", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(TableMissing, match=want):
            convert(path, tmp_path / "table.npz")


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bananas_tables import nasbench101_conversion

    contents = enumerate(whole(), start=1)
    monkeypatch.setattr(nasbench101_conversion, "read_records", lambda *_: contents)
    (tmp_path / "table.npz.part").mkdir()
    with pytest.raises(TableMissing, match=r"table\.npz: Is a directory; name another file"):
        convert(tmp_path / "f.tfrecord", tmp_path / "table.npz")


BLOCKED = """
import sys
sys.modules["{package}"] = None
from bananas_predictor.command import app
sys.argv = ["bananas", "convert-nasbench101", "{published}", "{out}"]
app()
"""


@pytest.mark.parametrize("package", ["tensorflow", "google.protobuf"])
def test_a_missing_package_is_named_with_what_to_install(tmp_path: Path, package: str) -> None:
    (tmp_path / "f.tfrecord").write_bytes(b"")
    script = BLOCKED.format(package=package, published=tmp_path / "f.tfrecord", out=tmp_path / "t.npz")
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: reading ")
    assert "pip install ./core './tables[nasbench]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_but_the_conversion_imports_tensorflow() -> None:
    script = (
        "import sys, bananas_predictor.command, bananas_predictor.conversion, bananas_tables.nasbench101_conversion, "
        "bananas_tables.nasbench101_runs, bananas_tables.trial\n"
        "print([name for name in ('tensorflow', 'google.protobuf') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True).stdout == "[]\n"


@SLOW
def test_the_command_makes_a_table_that_a_search_and_a_table_trial_read(tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    run = CliRunner().invoke
    published = write(tmp_path / "nasbench_only108.tfrecord", whole())
    done = run(app, ["convert-nasbench101", str(published), str(out)])
    assert done.exit_code == 0, done.output
    assert "5 cells, 3 runs each, 108 epochs" in done.stdout
    assert "a part of the space (423,624 cells)" in done.stdout
    done = run(app, ["search", "--space", "nasbench101", "--table", str(out), "--trials", "10"])
    assert done.exit_code == 1
    assert re.search(r"^error: t\.npz, 108 epochs: no row for .* among 5", done.stderr, re.MULTILINE), done.output
    done = run(app, ["convert-nasbench101", str(tmp_path / "t.npz"), str(out)])
    assert (done.exit_code, "error: t.npz, record 1: no TFRecord file" in done.stderr) == (1, True)


@SLOW
def test_torch_goes_on_working_after_a_conversion_in_the_same_process() -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("torch")
    program = (
        "import torch\n"
        "from bananas_tables.tfrecords import import_tensorflow\n"
        "import_tensorflow()\n"
        "torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # loads torch's compiler\n"
        "print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=110)
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr[-1000:]
