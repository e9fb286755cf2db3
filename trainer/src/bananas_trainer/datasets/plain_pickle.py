"""Pickle files that hold plain values and arrays of bytes, read without calling anything that they name.

The batches of CIFAR are such files. The names in them that stand for NumPy's array are answered by the classes below, which
keep what they are given and do nothing; any other name ends the reading. So no file can run code.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from bananas_trainer.datasets.dataset import Array, digest_of
from bananas_trainer.errors import DataInvalid

_NUMPY: Final = frozenset({"numpy", "numpy.core.multiarray", "numpy._core.multiarray"})
_BYTES: Final = frozenset({"u1", "|u1"})


class _Refused(pickle.UnpicklingError):
    """The file holds what a data file has no need of."""


class _Type:
    """Stands for numpy.dtype: only bytes are taken."""

    def __init__(self, name: object, *_: object) -> None:
        if (name.decode() if isinstance(name, bytes) else name) not in _BYTES:
            raise _Refused(f"an array of type {name!r}; want bytes, u1")

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment, of no meaning for bytes."""


class _ArrayType:
    """Stands for numpy.ndarray."""


@dataclass
class _Pixels:
    """Stands for an array: shape and bytes."""

    shape: tuple[int, ...] = ()
    content: bytes = b""

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), tuple(shape), _Type(), bool() | int() as columns_first, bytes(content)):
                if columns_first or not all(isinstance(n, int) and n >= 0 for n in shape):
                    raise _Refused(f"an array of shape {shape}, columns first; want rows first")
                if prod(shape) != len(content):
                    raise _Refused(f"an array of shape {shape} with {len(content)} bytes")
                self.shape, self.content = shape, content
            case _:
                raise _Refused("an array without its bytes")


def _reconstruct(kind: object, *_: object) -> _Pixels:
    if kind is not _ArrayType:
        raise _Refused(f"an array of kind {kind!r}")
    return _Pixels()


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise _Refused(f"text in {encoding!r}")
    return text.encode("latin1")


_KNOWN: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    **{(module, "_reconstruct"): _reconstruct for module in _NUMPY},
    **{(module, "ndarray"): _ArrayType for module in _NUMPY},
    **{(module, "dtype"): _Type for module in _NUMPY},
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _Refused(f"it names {module}.{name}, which could run code") from None


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """The values of a file by name; arrays are NumPy's, of bytes.

    Raises:
        DataMissing, DataInvalid: naming the file.
    """
    digest_of(path)  # that it is there and can be read
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="bytes").load()
    except _Refused as error:
        raise DataInvalid(f"{path}: refused: {error}; want the file as it was published") from error
    except Exception as error:  # a corrupt pickle raises whatever its bytes happen to mean
        raise DataInvalid(f"{path}: truncated or corrupt ({type(error).__name__}: {error}); copy it again") from error
    if not isinstance(content, dict):
        raise DataInvalid(f"{path}: holds a {type(content).__name__}; want named values")
    return {_text(name): _value(value) for name, value in content.items()}


def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _value(value: object) -> Any:
    return _array(value) if isinstance(value, _Pixels) else value


def _array(pixels: _Pixels) -> Array:
    return np.frombuffer(pixels.content, np.uint8).reshape(pixels.shape)
