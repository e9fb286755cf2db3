"""The images: reading, checking and dividing a data set. Everything wrong is an error that names the file.

Called once per training. The test images are read and checked, and never used in a search.

Data sets:
  * digits: the 1,797 handwritten digits that come with scikit-learn, 8 x 8, one channel. The last 360 are the test set
    (other writers than most of the training images); the others are for training.
  * npz: arrays x_train, y_train, x_test, y_test; x uint8 (images, channels, height, width), y whole numbers from 0.

Validation images are a part of the training images, the same number of each class (but for rounding), chosen by a seed
that is the same for all trials: architectures are compared on the same images, whatever the seed of a training.

Shapes: N images, C channels, H x W pixels.
"""

import gzip
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from bananas_core.api.recipe import Recipe
from bananas_trainer.augmentation import Normalisation
from bananas_trainer.errors import DataInvalid, DataMissing, RecipeInvalid

SPLIT_SEED: Final = 0
DIGITS_TEST_IMAGES: Final = 360
CIFAR_MEAN: Final = (0.49139968, 0.48215827, 0.44653124)
CIFAR_STANDARD_DEVIATION: Final = (0.24703233, 0.24348505, 0.26158768)
_ARRAYS: Final = ("x_train", "y_train", "x_test", "y_test")
_Array = np.ndarray[Any, np.dtype[Any]]


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


@dataclass(frozen=True)
class Split:
    """Numbers of the training images that are trained on, and of those that validate."""

    training: Tensor
    validation: Tensor


def load(recipe: Recipe, data_dir: Path | None) -> Dataset:
    """Reads the data set of a recipe.

    Raises:
        DataMissing, DataInvalid: naming the file.
        RecipeInvalid: where recipe.file is no file of the data volume.
    """
    if recipe.dataset == "digits":
        return _digits()
    if recipe.file is None:
        raise RecipeInvalid("recipe.file: not set; want the name of an npz file on the data volume")
    if data_dir is None:
        raise DataMissing(f"{recipe.file}: the trial has no data volume; set data.claim of the search")
    if ".." in PurePosixPath(recipe.file).parts:
        raise RecipeInvalid(f"recipe.file: {recipe.file!r} leaves the data volume; want a file below it")
    return load_npz(data_dir / recipe.file)


def split(labels: Tensor, validation_fraction: float, seed: int = SPLIT_SEED) -> Split:
    """Divides images by their labels (N,): floor(N * fraction) of them validate, the same part of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[torch.argsort(labels[order], stable=True)]
    # Walking along the images class by class, every (1 / fraction)-th is taken.
    steps = torch.floor(torch.arange(len(labels) + 1, dtype=torch.float64) * validation_fraction)
    chosen = steps[1:] > steps[:-1]
    return Split(training=order[~chosen].sort().values, validation=order[chosen].sort().values)


def normalisation(images: Tensor) -> Normalisation:
    """Of the training part (N, C, H, W); for 3 x 32 x 32 the published constants of CIFAR-10, so that networks compare."""
    c = images.shape[1]
    if tuple(images.shape[1:]) == (3, 32, 32):
        mean, deviation = torch.tensor(CIFAR_MEAN), torch.tensor(CIFAR_STANDARD_DEVIATION)
    else:
        pixels = images.transpose(0, 1).reshape(c, -1).double() / 255
        mean, deviation = pixels.mean(1).float(), pixels.std(1, correction=0).float()
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))  # a channel of one colour
    return Normalisation(mean.view(1, c, 1, 1), deviation.view(1, c, 1, 1))


def _digits() -> Dataset:
    """Read from scikit-learn's folder without importing it, which takes 1.6 s."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataMissing("digits: scikit-learn, which brings the images, is not installed in this image")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    digest = _digest(path)
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataInvalid(f"{path}: not the digits of scikit-learn ({error})") from error
    images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels, cut = table[:, 64].astype(np.int64), len(table) - DIGITS_TEST_IMAGES
    return _dataset("digits", (images[:cut], labels[:cut], images[cut:], labels[cut:]), digest)


def load_npz(path: Path) -> Dataset:
    """Reads and checks an npz file.

    Raises:
        DataMissing, DataInvalid: naming the file and array.
    """
    digest = _digest(path)
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataInvalid(f"{path}: a single array; want an npz file with {', '.join(_ARRAYS)}")
        with file:
            missing = [name for name in _ARRAYS if name not in file.files]
            if missing:
                raise DataInvalid(
                    f"{path}: no array {', '.join(missing)}; want {', '.join(_ARRAYS)}; found {', '.join(file.files)}"
                )
            x_train, y_train, x_test, y_test = (file[name] for name in _ARRAYS)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataInvalid(f"{path}: not a readable npz file, truncated or corrupt ({error}); copy it again") from error
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        _check_arrays(path, part, x, y)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataInvalid(
            f"{path}: x_train has images {x_train.shape[1:]}, x_test {x_test.shape[1:]}; they must be alike"
        )
    return _dataset(str(path), (x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64)), digest)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(f"{path}: no such file; is it on the data volume under this name?") from error
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read ({error.strerror})") from error


def _check_arrays(path: Path, part: str, x: _Array, y: _Array) -> None:
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
    if y.dtype.kind not in "iu":
        raise DataInvalid(f"{path}: y_{part} has type {y.dtype}; want whole numbers")
    if y.shape != (len(x),):
        raise DataInvalid(f"{path}: y_{part} has shape {y.shape}; want one label for each of {len(x)} images")
    if y.min() < 0:
        raise DataInvalid(f"{path}: y_{part} has the label {y.min()}; labels are numbered from 0")


def _dataset(name: str, arrays: tuple[_Array, _Array, _Array, _Array], digest: str) -> Dataset:
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
    return Dataset(name, x_train, labels_train, x_test, labels_test, classes, digest)
