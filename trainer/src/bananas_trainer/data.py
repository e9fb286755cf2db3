"""The images of a training: which data set a recipe or a person means, and how it is divided.

Called once per training. The readers are in `datasets`; everything wrong in a file is an error that names it. The test
images are read and checked, and never used in a search.

Validation images are a part of the training images, the same number of each class (but for rounding), chosen by a seed
that is the same for all trials: architectures are compared on the same images, whatever the seed of a training.

Shapes: N images, C channels, H x W pixels.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import torch
from torch import Tensor

from bananas_core.api.recipe import Dataset as Kind
from bananas_core.api.recipe import Recipe
from bananas_trainer.augmentation import Normalisation
from bananas_trainer.datasets.cifar import CIFAR10, CIFAR100, is_cifar, load_cifar
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.datasets.digits import load_digits
from bananas_trainer.datasets.folder import load_folder
from bananas_trainer.datasets.npz import load_npz
from bananas_trainer.errors import DataInvalid, DataMissing, RecipeInvalid

SPLIT_SEED: Final = 0
CIFAR_MEAN: Final = (0.49139968, 0.48215827, 0.44653124)
CIFAR_STANDARD_DEVIATION: Final = (0.24703233, 0.24348505, 0.26158768)


@dataclass(frozen=True)
class Split:
    """Numbers of the training images that are trained on, and of those that validate."""

    training: Tensor
    validation: Tensor


def load(recipe: Recipe, data_dir: Path | None, cache_dir: Path | None = None) -> Dataset:
    """Reads the data set of a recipe.

    Raises:
        DataMissing, DataInvalid: naming the file.
        RecipeInvalid: where recipe.file is no file of the data volume.
    """
    if recipe.dataset == "digits":
        return load_digits()
    if recipe.file is None:
        raise RecipeInvalid(
            f"recipe.file: not set; want the name of the file or folder of dataset {recipe.dataset} on the data volume"
        )
    if data_dir is None:
        raise DataMissing(f"{recipe.file}: the trial has no data volume; set data.claim of the search")
    if ".." in PurePosixPath(recipe.file).parts:
        raise RecipeInvalid(f"recipe.file: {recipe.file!r} leaves the data volume; want a file below it")
    return read(recipe.dataset, data_dir / recipe.file, cache_dir)


def read(kind: Kind, path: Path, cache_dir: Path | None = None) -> Dataset:
    """Reads a data set of that kind from its file or folder.

    Raises:
        DataMissing, DataInvalid: naming the file.
    """
    match kind:
        case "digits":
            return load_digits()
        case "npz":
            return load_npz(path, cache_dir)
        case "cifar10":
            return load_cifar(CIFAR10, path)
        case "cifar100":
            return load_cifar(CIFAR100, path)
        case "folder":
            return load_folder(path)


def kind_of(path: Path) -> Kind:
    """What a person means by a path.

    Raises:
        DataMissing, DataInvalid: naming it.
    """
    if not path.exists():
        raise DataMissing(f"{path}: no such file or folder; want digits, an npz file or a folder of a data set")
    if not path.is_dir():
        return "npz"
    for kind, layout in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        if is_cifar(layout, path) or path.name == layout.folder:
            return "cifar10" if kind == "cifar10" else "cifar100"
    if (path / "train").is_dir():
        return "folder"
    raise DataInvalid(
        f"{path}: no folder of a known data set; want {CIFAR10.folder}, {CIFAR100.folder}, or images as train/CLASS/NAME.png "
        f"and test/CLASS/NAME.png"
    )


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
