"""The folders `cifar-10-batches-py` and `cifar-100-python` as they are published and as torchvision lays them out.

The order of the images is that of the batches.

Shapes: N images; a row of a batch is 3 x 32 x 32 bytes, channels first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bananas_trainer.datasets.dataset import Array, Dataset, digest_of_all, make_dataset
from bananas_trainer.datasets.plain_pickle import read_plain_pickle
from bananas_trainer.errors import DataInvalid, DataMissing

_SHAPE: Final = (3, 32, 32)


@dataclass(frozen=True)
class Layout:
    """Files of a folder, and the name of the labels in them."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    classes: int


CIFAR10: Final = Layout(
    "cifar-10-batches-py", tuple(f"data_batch_{n}" for n in range(1, 6)), ("test_batch",), "labels", 10
)
CIFAR100: Final = Layout("cifar-100-python", ("train",), ("test",), "fine_labels", 100)


def load_cifar(layout: Layout, folder: Path) -> Dataset:
    """Reads the folder, or the one of the published name in it.

    Raises:
        DataMissing, DataInvalid: naming the file.
    """
    if (folder / layout.folder).is_dir():
        folder = folder / layout.folder
    if not folder.is_dir():
        raise DataMissing(f"{folder}: no such folder; want {layout.folder}, as it is published, on the data volume")
    absent = [name for name in (*layout.train, *layout.test) if not (folder / name).is_file()]
    if absent:
        raise DataMissing(
            f"{folder}: no file {', '.join(absent)}; want {', '.join((*layout.train, *layout.test))}, copy the whole folder"
        )
    digest = digest_of_all(folder, (folder / name for name in (*layout.train, *layout.test)))
    x_train, y_train = _join(_read(folder / name, layout) for name in layout.train)
    x_test, y_test = _join(_read(folder / name, layout) for name in layout.test)
    data = make_dataset(str(folder), (x_train, y_train, x_test, y_test), digest)
    if data.classes != layout.classes:
        raise DataInvalid(
            f"{folder}: images of {data.classes} classes; {layout.folder} has {layout.classes}, copy the whole folder"
        )
    return data


def is_cifar(layout: Layout, folder: Path) -> bool:
    """Whether the folder, or one in it, looks like this one."""
    return (folder / layout.folder).is_dir() or all((folder / name).is_file() for name in layout.train)


def _join(batches: Iterable[tuple[Array, Array]]) -> tuple[Array, Array]:
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _read(path: Path, layout: Layout) -> tuple[Array, Array]:
    content = read_plain_pickle(path)
    missing = [name for name in ("data", layout.labels) if name not in content]
    if missing:
        raise DataInvalid(f"{path}: no {', '.join(missing)} in it; want data and {layout.labels}, as published")
    images, labels = content["data"], content[layout.labels]
    size = int(np.prod(_SHAPE))
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != size or not len(images):
        shape = getattr(images, "shape", type(images).__name__)
        raise DataInvalid(f"{path}: data has shape {shape}; want (images, {size})")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise DataInvalid(f"{path}: {layout.labels} is no list of {len(images)} labels, one for each image")
    wrong = [label for label in labels if type(label) is not int or not 0 <= label < layout.classes]
    if wrong:
        raise DataInvalid(f"{path}: {layout.labels} has {wrong[0]!r}; want numbers from 0 to {layout.classes - 1}")
    return images.reshape(-1, *_SHAPE), np.array(labels, dtype=np.int64)
