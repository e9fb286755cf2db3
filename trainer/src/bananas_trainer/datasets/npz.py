"""npz files: arrays x_train, y_train, x_test, y_test; x uint8 (images, channels, height, width), y whole numbers from 0.

Or JPEG-packed (`packed.py`): blob, offsets, y_train, y_test.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from bananas_trainer.datasets.dataset import Array, Dataset, check_arrays, check_labels, digest_of, make_dataset
from bananas_trainer.datasets.packed import Packed, decoded
from bananas_trainer.errors import DataInvalid

ARRAYS: Final = ("x_train", "y_train", "x_test", "y_test")
PACKED_ARRAYS: Final = ("blob", "offsets", "y_train", "y_test")


def load_npz(path: Path, cache_dir: Path | None = None) -> Dataset:
    """Reads and checks an npz file; decoded images of a JPEG-packed one are kept beside it, else in `cache_dir`.

    Raises:
        DataMissing, DataInvalid: naming the file and array.
    """
    digest = digest_of(path)
    arrays = _read(path)
    if "blob" in arrays:
        blob, offsets, y_train, y_test = (arrays[name] for name in PACKED_ARRAYS)
        for part, labels in (("train", y_train), ("test", y_test)):
            check_labels(path, part, labels, labels.size)
        images = decoded(Packed(path, digest, blob, offsets, len(y_train) + len(y_test)), cache_dir)
        x_train, x_test = images[: len(y_train)], images[len(y_train) :]
    else:
        x_train, y_train, x_test, y_test = (arrays[name] for name in ARRAYS)
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        check_arrays(path, part, x, y)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataInvalid(
            f"{path}: x_train has images {x_train.shape[1:]}, x_test {x_test.shape[1:]}; they must be alike"
        )
    return make_dataset(str(path), (x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64)), digest)


def _read(path: Path) -> dict[str, Array]:
    """The arrays of a plain or of a JPEG-packed file."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataInvalid(f"{path}: a single array; want an npz file with {', '.join(ARRAYS)}")
        with file:
            names = PACKED_ARRAYS if "blob" in file.files else ARRAYS
            missing = [name for name in names if name not in file.files]
            if missing:
                raise DataInvalid(
                    f"{path}: no array {', '.join(missing)}; want {', '.join(names)}; found {', '.join(file.files)}"
                )
            return {name: file[name] for name in names}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataInvalid(f"{path}: not a readable npz file, truncated or corrupt ({error}); copy it again") from error
