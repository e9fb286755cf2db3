"""TFRecord files, read by tensorflow, record by record. Called by the conversion of the published NASBench-101 files.

The only module that imports tensorflow, and only when a file is read: importing it takes seconds and 600 MB, which neither a
search nor a trial has to spare. Must never pass over a damaged record.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bananas_tables.errors import ReaderMissing, TableInvalid, TableMissing

EXTRA: Final = "pip install ./core './tables[nasbench]' in the checkout of Bananas"
BATCH: Final = 1024
"""Records that tensorflow hands over at once: one by one would take ten times as long."""
BUFFER: Final = 1 << 20
"""Bytes read at once."""
FRAME: Final = 16
"""Bytes around a record: its length (8), a checksum of that (4), and one of the content (4)."""


def read_records(path: Path, progress: Callable[[int, int], None] | None = None) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and content of each record. `progress` is told of bytes read, and of how many there are.

    Raises:
        ReaderMissing: tensorflow is not installed.
        TableMissing: no such file.
        TableInvalid: naming the record that is damaged or cut off.
    """
    size = _size(path)
    tf = import_tensorflow()
    batches = iter(tf.data.TFRecordDataset(str(path), buffer_size=BUFFER).batch(BATCH))
    number = consumed = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            break
        except tf.errors.DataLossError:
            raise _damaged(tf, path, number) from None
        except tf.errors.OpError as error:
            raise TableMissing(f"{path}: {error.message}") from error
        for content in batch.numpy():
            number += 1
            consumed += FRAME + len(content)
            yield number, content
        if progress is not None:
            progress(consumed, size)
    if consumed != size:  # tensorflow takes a file that ends within the length of a record for whole
        raise TableInvalid(
            f"{path.name}, record {number + 1}: cut off, {size - consumed} bytes of it are there; copy the file anew"
        )


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise TableMissing(f"{path}: {error.strerror}") from error


def _damaged(tf: Any, path: Path, passed: int) -> TableInvalid:
    """Which record it was: a batch with a damaged record in it is lost as a whole."""
    number = passed
    try:
        for _ in tf.data.TFRecordDataset(str(path), buffer_size=BUFFER).skip(passed):
            number += 1
    except tf.errors.DataLossError as error:
        if number == 0 and "TFRecord file?" in error.message:
            return TableInvalid(f"{path.name}, record 1: no TFRecord file, or damaged; want nasbench_only108.tfrecord")
        if "truncated" in error.message:
            return TableInvalid(f"{path.name}, record {number + 1}: cut off; copy the file anew")
    return TableInvalid(f"{path.name}, record {number + 1}: damaged, its checksum does not fit; copy the file anew")


def import_tensorflow() -> Any:
    """tensorflow, imported so that torch goes on working in the same process.

    Both bring an LLVM of their own, and tensorflow's must be the second: torch's (in triton, which torch loads late, for its
    compiler) ends the process if it finds options of the same names registered.

    Raises:
        ReaderMissing: tensorflow is not installed.
    """
    if "torch" in sys.modules:
        with suppress(ImportError):  # torch for CPUs only has none
            import_module("triton")
    with _native_messages_kept() as messages:
        try:
            import tensorflow  # noqa: PLC0415 - see the head of this module
        except ImportError as error:
            raise ReaderMissing(f"reading TFRecord files needs tensorflow ({error}): {EXTRA}") from error
        except Exception as error:  # a broken installation raises whatever it trips over
            raise ReaderMissing(f"tensorflow does not start ({error}): {EXTRA}; {messages()[-300:]}") from error
        tensorflow.config.list_physical_devices()  # looks for GPUs, and says that there are none
    return tensorflow


@contextmanager
def _native_messages_kept() -> Iterator[Callable[[], str]]:
    """Keeps from the terminal what tensorflow's C++ part says at its start, which no setting of its own does."""
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)

        def messages() -> str:
            kept.seek(0)
            return " ".join(kept.read().decode(errors="replace").split())

        try:
            yield messages
        finally:
            os.dup2(before, 2)
            os.close(before)
