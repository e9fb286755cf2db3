"""JPEG-packed images: image i is `blob[offsets[i]:offsets[i + 1]]`, training images first.

They are decoded once; the result is kept in a file beside the packed one, where that folder may be written, else in the
cache directory of the attempt, else only in memory. The log says which.

Shapes: N images, C channels, H x W pixels.
"""

import io
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bananas_core.attempt import write_atomically
from bananas_trainer.datasets.dataset import Array
from bananas_trainer.errors import DataInvalid, DataMissing
from bananas_trainer.log import notice, warn

_ARRAY: Final = "images"


@dataclass(frozen=True)
class Packed:
    """A packed file that was read: bytes (B,), offsets (N + 1,)."""

    path: Path
    digest: str
    blob: Array
    offsets: Array
    images: int


def decoded(packed: Packed, cache_dir: Path | None) -> Array:
    """uint8 (N, C, H, W), from the cache where it is there.

    Raises:
        DataInvalid: naming the file and the image.
    """
    _check(packed)
    name = f".{packed.path.name}.{packed.digest.removeprefix('sha256:')[:16]}.decoded.npz"
    places = [folder / name for folder in (packed.path.parent, cache_dir) if folder is not None]
    for place in places:
        images = _from_cache(place, packed.images)
        if images is not None:
            notice("images", file=str(packed.path), decoded="earlier", cache=str(place))
            return images
    began = time.monotonic()
    images = np.stack([_decode(packed, i) for i in range(packed.images)])
    seconds = round(time.monotonic() - began, 1)
    cache = _keep(places, images) or "memory only"
    notice("images", file=str(packed.path), decoded="now", seconds=seconds, cache=cache)
    return images


def _check(packed: Packed) -> None:
    path, blob, offsets = packed.path, packed.blob, packed.offsets
    if blob.dtype != np.uint8 or blob.ndim != 1:
        raise DataInvalid(f"{path}: blob has type {blob.dtype} and shape {blob.shape}; want uint8 in one row")
    if offsets.dtype.kind not in "iu" or offsets.shape != (packed.images + 1,):
        raise DataInvalid(
            f"{path}: offsets has type {offsets.dtype} and shape {offsets.shape}; want {packed.images + 1} whole numbers, one "
            f"more than there are labels"
        )
    ends = offsets.astype(np.int64)
    if ends[0] < 0 or ends[-1] > len(blob) or (np.diff(ends) <= 0).any():
        raise DataInvalid(f"{path}: offsets must grow, from 0 to at most {len(blob)}, the size of blob")


def _from_cache(place: Path, images: int) -> Array | None:
    try:
        with np.load(place, allow_pickle=False) as file:
            array: Array = file[_ARRAY]  # the zip file's checksum is compared
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        warn(f"{place}: decoded images cannot be read, so they are decoded anew ({error})")
        return None
    return array if array.dtype == np.uint8 and array.ndim == 4 and len(array) == images else None


def _keep(places: list[Path], images: Array) -> str | None:
    """The place where the images were written, None where none can be."""
    content = io.BytesIO()
    np.savez(content, images=images)  # _ARRAY
    for place in places:
        if not os.access(place.parent, os.W_OK):
            continue
        try:
            write_atomically(place, content.getvalue())
        except OSError:  # read-only or full: the next place, and memory at last
            continue
        return str(place)
    return None


def _decode(packed: Packed, number: int) -> Array:
    start, end = int(packed.offsets[number]), int(packed.offsets[number + 1])
    image = decode_image(packed.path, f"image {number}", packed.blob[start:end].tobytes())
    if image.ndim == 2:
        image = image[..., None]
    return image.transpose(2, 0, 1)


def decode_image(path: Path, what: str, content: bytes) -> Array:
    """uint8 (H, W) of a grey image, (H, W, 3) of any other.

    Raises:
        DataInvalid: naming file and image. DataMissing: where the library is not there.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - only for data of this kind
    except ImportError as error:
        raise DataMissing(f"{path}: Pillow, which decodes images, is not installed in this image") from error
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataInvalid(f"{path}: {what} cannot be decoded, truncated or corrupt ({error})") from error
