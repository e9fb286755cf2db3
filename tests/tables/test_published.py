"""A published benchmark file in the place of a table: the error names the command that makes a table of it."""

import struct
from pathlib import Path

import numpy as np
import pytest

from bananas_core.spaces import Space
from bananas_tables import load_table
from bananas_tables.errors import TableError, TableInvalid, TableMissing

RECORD = b'["00005c142e6f48ac74fdcf73e3439874", 108, "010"]'
TFRECORD = struct.pack("<Q", len(RECORD)) + b"\x01\x02\x03\x04" + RECORD + b"\x05\x06\x07\x08"


@pytest.mark.parametrize(
    ("space", "name", "content", "want"),
    [
        ("nasbench101", "nasbench_only108.tfrecord", TFRECORD, "convert-nasbench101 {path} nasbench_only108.npz"),
        ("nasbench101", "renamed", TFRECORD, "convert-nasbench101 {path} renamed.npz"),
        ("nasbench201", "NAS-Bench-201-v1_1.pth", b"\x80\x02}", "convert-nasbench201 {path} NAS-Bench-201-v1_1.csv"),
        ("nasbench201", "renamed", b"PK\x03\x04" + b"\xff" * 30, "convert-nasbench201 {path} renamed.csv"),
        ("nasbench201", "renamed", b"BZh91AY", "convert-nasbench201 {path} renamed.csv"),
    ],
)
def test_a_published_file_is_told_from_a_table(
    tmp_path: Path, space: Space, name: str, content: bytes, want: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableInvalid) as caught:
        load_table(space, path)
    assert "a published benchmark file, and no table; make one first: bananas " + want.format(path=path) in str(
        caught.value
    )


def test_a_published_folder_is_told_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    path.mkdir()
    (path / "000000.pickle.pbz2").write_bytes(b"BZh")
    with pytest.raises(TableInvalid, match="make one first: bananas convert-nasbench201"):
        load_table("nasbench201", path)


def test_what_is_no_published_file_is_left_to_the_readers(tmp_path: Path) -> None:
    with pytest.raises(TableMissing):
        load_table("nasbench101", tmp_path / "absent.tfrecord")
    npz = tmp_path / "t.npz"
    np.savez(npz, lemons=np.zeros(3))
    text = tmp_path / "t.csv"
    text.write_text('["lemons", 1]\n')
    for path in (npz, text):
        with pytest.raises(TableError) as caught:
            load_table("nasbench101", path)
        assert "published benchmark file" not in str(caught.value)
