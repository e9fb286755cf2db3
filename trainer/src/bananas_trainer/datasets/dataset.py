"""What every reader gives, and the checks that all of them share.

Shapes: N images, C channels, H x W pixels.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bananas_trainer.errors import DataInvalid, DataMissing

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, C, H, W) and labels int64 (N,), from 0 to classes - 1."""

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int
    digest: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        c, h, w = self.x_train.shape[1:]
        return c, h, w


def digest_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataMissing, DataInvalid
    """
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(f"{path}: no such file; is it on the data volume under this name?") from error
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read ({error.strerror})") from error


def digest_of_all(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the names, relative to the folder, and the contents of files, in their order."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)} {digest_of(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def check_arrays(path: Path, part: str, x: Array, y: Array) -> None:
    """Images and labels of a part, train or test.

    Raises:
        DataInvalid: naming file and array.
    """
    if x.dtype != np.uint8:
        raise DataInvalid(f"{path}: x_{part} has type {x.dtype}; want uint8, pixels from 0 to 255")
    if x.ndim != 4 or 0 in x.shape:
        raise DataInvalid(
            f"{path}: x_{part} has shape {x.shape}; want (images, channels, height, width), none of them 0"
        )
    if x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise DataInvalid(
            f"{path}: x_{part} has shape {x.shape}, channels last; want (images, channels, height, width)"
        )
    check_labels(path, part, y, len(x))


def check_labels(path: Path, part: str, y: Array, images: int) -> None:
    """Labels of a part: whole numbers from 0, one for each image.

    Raises:
        DataInvalid: naming file and array.
    """
    if y.dtype.kind not in "iu":
        raise DataInvalid(f"{path}: y_{part} has type {y.dtype}; want whole numbers")
    if y.shape != (images,):
        raise DataInvalid(f"{path}: y_{part} has shape {y.shape}; want one label for each of {images} images")
    if not images:
        raise DataInvalid(f"{path}: y_{part} has no labels, so there are no images; want at least one")
    if y.min() < 0:
        raise DataInvalid(f"{path}: y_{part} has the label {y.min()}; labels are numbered from 0")


def make_dataset(name: str, arrays: tuple[Array, Array, Array, Array], digest: str) -> Dataset:
    """x_train, y_train, x_test, y_test as a data set whose labels are 0 to classes - 1, each with images.

    Raises:
        DataInvalid: naming the array.
    """
    _, y_train, _, y_test = arrays
    found = np.unique(y_train)
    classes = len(found)
    if found[-1] != classes - 1:
        absent = np.setdiff1d(np.arange(min(int(found[-1]), classes + 1)), found)
        raise DataInvalid(
            f"{name}: y_train has {classes} labels, the largest {found[-1]}, and no image of label {absent[0]}; "
            f"labels must be 0 to classes - 1, each with images"
        )
    if classes < 2:
        raise DataInvalid(f"{name}: y_train has one label only; want at least 2 classes")
    if y_test.max() >= classes:
        raise DataInvalid(f"{name}: y_test has the label {y_test.max()}, y_train only 0 to {classes - 1}")
    x_train, labels_train, x_test, labels_test = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    return Dataset(name, x_train, labels_train.long(), x_test, labels_test.long(), classes, digest)
