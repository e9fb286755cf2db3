"""Folders of images: `train/CLASS/NAME.png` and `test/CLASS/NAME.png`, all of one size. Any format that Pillow reads.

Classes are numbered in the order of their names; the order of the images is that of their paths.

Shapes: N images, C channels (1 where all images are grey, else 3), H x W pixels.
"""

from pathlib import Path
from typing import Final

import numpy as np

from bananas_trainer.datasets.dataset import Array, Dataset, digest_of_all, make_dataset
from bananas_trainer.datasets.packed import decode_image
from bananas_trainer.errors import DataInvalid, DataMissing

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
_PARTS: Final = ("train", "test")


def load_folder(folder: Path) -> Dataset:
    """Reads all images.

    Raises:
        DataMissing, DataInvalid: naming the folder or file.
    """
    for part in _PARTS:
        if not (folder / part).is_dir():
            raise DataMissing(f"{folder / part}: no such folder; want train/CLASS/NAME.png and test/CLASS/NAME.png")
    classes = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    if len(classes) < 2:
        raise DataInvalid(f"{folder / 'train'}: {len(classes)} folders of classes; want at least 2")
    files = {part: _files(folder / part, classes) for part in _PARTS}
    digest = digest_of_all(folder, (path for part in _PARTS for path, _ in files[part]))
    images = _same_size([path for part in _PARTS for path, _ in files[part]])
    cut = len(files["train"])
    y_train, y_test = (np.array([label for _, label in files[part]], dtype=np.int64) for part in _PARTS)
    return make_dataset(str(folder), (images[:cut], y_train, images[cut:], y_test), digest)


def _files(part: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """(path, label) of every image of a part."""
    unknown = sorted(path.name for path in part.iterdir() if path.is_dir() and path.name not in classes)
    if unknown:
        raise DataInvalid(f"{part / unknown[0]}: a class that is not in train; the classes are {', '.join(classes)}")
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        inside = sorted(part.joinpath(name).glob("*")) if part.joinpath(name).is_dir() else []
        images = [path for path in inside if path.suffix.lower() in SUFFIXES]
        if not images and part.name == "train":
            raise DataInvalid(f"{part / name}: no image in it; want files such as NAME.png")
        found += [(path, label) for path in images]
    if not found:
        raise DataInvalid(f"{part}: no image in it; want CLASS/NAME.png")
    return found


def _same_size(paths: list[Path]) -> Array:
    """uint8 (N, C, H, W)."""
    images = [decode_image(path, "the image", _content(path)) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            (h, w), (first_h, first_w) = image.shape[:2], images[0].shape[:2]
            raise DataInvalid(f"{path}: {w} x {h} pixels, but {paths[0]} has {first_w} x {first_h}; want one size")
    if all(image.ndim == 2 for image in images):
        return np.stack(images)[:, None]
    coloured = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    return np.stack(coloured).transpose(0, 3, 1, 2)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read ({error.strerror})") from error
