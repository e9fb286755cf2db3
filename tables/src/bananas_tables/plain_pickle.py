"""Pickle files that hold plain values, read without calling anything that they name. Called by the NAS-Bench-201 conversion.

Numbers, text, lists, dictionaries and sets come out as they are. The names that stand for tensors and arrays are answered by
`Inert`, which keeps nothing and does nothing, for the tables need none of them; any other name ends the reading. So no file
can run code. Files of torch.save are read without torch: the pickle in the zip file, or the fourth of those in the older form.
"""

import bz2
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from bananas_tables.errors import TableError, TableInvalid, TableMissing

TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
"""First value of a file of torch.save before release 1.6; after it come the protocol, the system, and the content."""
OnItem = Callable[[Any, Any], Any]
_NUMPY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")


class _Refused(pickle.UnpicklingError):
    """The file names what a file of results has no need of."""


class Inert:
    """Stands for a tensor, an array or a part of one, whatever it is made from."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        """Content that nobody asks for."""


class _Type:
    """Stands for numpy.dtype: keeps its name, to read scalars by it."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: object) -> None:
        """Byte order: little endian wherever these files were written."""


def _scalar(kind: object, content: object = b"") -> float | int:
    """A number of NumPy's."""
    if not isinstance(kind, _Type) or not isinstance(content, bytes):
        raise _Refused("a NumPy scalar without type and bytes")
    if kind.name.lstrip("<=|") not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
        raise _Refused(f"a NumPy scalar of type {kind.name!r}; want a number")
    import numpy as np  # noqa: PLC0415 - seldom needed

    number: float | int = np.frombuffer(content, kind.name).item()
    return number


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise _Refused(f"text in {encoding!r}")
    return text.encode("latin1")


_KNOWN: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    **{
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in (("set", set), ("frozenset", frozenset))
    },
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): Inert,
    **{(module, "scalar"): _scalar for module in _NUMPY},
    **{(module, "_reconstruct"): Inert for module in _NUMPY},
    **{
        ("torch._utils", name): Inert
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_parameter_with_state")
    },
    ("torch", "Size"): Inert,
    ("torch", "device"): Inert,
    ("torch.serialization", "_get_layout"): Inert,
}


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], on_item: OnItem) -> None:
        super().__init__(file)

        class Ordered(OrderedDict[Any, Any]):
            """Tells of what is put into it, while the rest of the file is still to be read."""

            def __setitem__(self, key: Any, value: Any) -> None:
                super().__setitem__(key, on_item(key, value))

        self._ordered = Ordered

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return self._ordered
        if module == "torch" and name.endswith("Storage") and name.isidentifier():
            return Inert
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _Refused(f"it names {module}.{name}, which could run code") from None

    def persistent_load(self, pid: object) -> Inert:  # noqa: ARG002 - where a tensor's bytes lie
        return Inert()


def read_plain_pickle(path: Path, on_item: OnItem = lambda _, value: value) -> Any:
    """The content of a pickle, of one compressed by bz2, or of a file of torch.save.

    `on_item` is told of each item that is put into an OrderedDict, and gives what is kept in the value's place: so a file that
    is too large for the memory can be made small on the way.

    Raises:
        TableError: whatever `on_item` raises.
        TableMissing: no such file.
        TableInvalid: refused, or damaged; naming the file.
    """
    try:
        with path.open("rb") as file:
            return _content(file, on_item)
    except TableError:
        raise
    except OSError as error:
        if error.strerror is None:  # what bz2 says of damaged data
            raise TableInvalid(f"{path.name}: damaged or cut off ({error}); copy it anew") from error
        raise TableMissing(f"{path}: {error.strerror}") from error
    except _Refused as error:
        raise TableInvalid(f"{path.name}: refused: {error}; want the file as it was published") from error
    except Exception as error:  # a corrupt pickle raises whatever its bytes happen to mean
        raise TableInvalid(
            f"{path.name}: damaged, cut off or no pickle ({type(error).__name__}: {error}); copy it anew"[:500]
        ) from error


def _content(file: IO[bytes], on_item: OnItem) -> Any:
    head = file.read(4)
    file.seek(0)
    if head == b"PK\3\4":
        return _from_zip(file, on_item)
    if head.startswith(b"BZh"):
        with bz2.open(file) as content:
            return _Reader(content, on_item).load()
    first = _Reader(file, on_item).load()
    if first != TORCH_MAGIC:
        return first
    for _ in ("protocol", "system"):
        _Reader(file, on_item).load()
    return _Reader(file, on_item).load()


def _from_zip(file: IO[bytes], on_item: OnItem) -> Any:
    with zipfile.ZipFile(file) as members:
        pickles = [name for name in members.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise pickle.UnpicklingError("no data.pkl in it; want a file of torch.save")
        with members.open(pickles[0]) as content:
            return _Reader(content, on_item).load()
