"""The 1,797 handwritten digits that come with scikit-learn, 8 x 8, one channel.

The last 360 are the test set (other writers than most of the training images); the others are for training.
"""

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from bananas_trainer.datasets.dataset import Dataset, digest_of, make_dataset
from bananas_trainer.errors import DataInvalid, DataMissing

TEST_IMAGES: Final = 360


def load_digits() -> Dataset:
    """Read from scikit-learn's folder without importing it, which takes 1.6 s."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataMissing("digits: scikit-learn, which brings the images, is not installed in this image")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    digest = digest_of(path)
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataInvalid(f"{path}: not the digits of scikit-learn ({error})") from error
    images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels, cut = table[:, 64].astype(np.int64), len(table) - TEST_IMAGES
    return make_dataset("digits", (images[:cut], labels[:cut], images[cut:], labels[cut:]), digest)
