"""Files of small images for the trainer's tests."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(colour: int | tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> Image.Image:
    """An image of one colour, grey where that is one number."""
    return Image.new("L" if isinstance(colour, int) else "RGB", size, colour)


def pack(path: Path, **changes: Any) -> Path:
    """A JPEG-packed file of 12 training and 6 test images, 8 x 8, of one colour each and 3 classes; changes replace arrays."""
    parts = []
    for n in range(18):
        content = io.BytesIO()
        picture((10 * n, 100, 200), (8, 8)).save(content, "JPEG", quality=95)
        parts.append(content.getvalue())
    arrays = {
        "blob": np.frombuffer(b"".join(parts), np.uint8),
        "offsets": np.cumsum([0, *map(len, parts)]).astype(np.int64),
        "y_train": np.arange(12) % 3,
        "y_test": np.arange(6) % 3,
    }
    np.savez(path, **{**arrays, **changes})
    return path
