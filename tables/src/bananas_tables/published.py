"""Tells a published benchmark file from a table, to name the command that makes the one of the other. Called by `loading`.

It looks at the name and the first bytes only, and never refuses what might be a table.
"""

from pathlib import Path
from typing import Final

from bananas_core.spaces import Space

_SUFFIXES: Final[dict[Space, tuple[str, ...]]] = {
    "nasbench101": (".tfrecord",),
    "nasbench201": (".pth", ".pt", ".pbz2", ".pickle", ".pkl"),
}
_PICKLED: Final = (b"PK\x03\x04", b"BZh", b"\x80")
"""Beginnings of what torch saves (a zip file, or a bare pickle) and of a compressed pickle; no CSV file begins so."""
_RECORD: Final = slice(12, 14)
"""Where the JSON text of the first record begins in a TFRecord file: behind its length and a checksum of that."""


def how_to_convert(space: Space, path: Path) -> str | None:
    """The command that makes a table of a published file; None where it is none, or cannot be read."""
    if not _is_published(space, path):
        return None
    command = f"bananas convert-{space} {path} {path.stem}" + (".npz" if space == "nasbench101" else ".csv")
    return f"{path.name}: a published benchmark file, and no table; make one first: {command}"


def _is_published(space: Space, path: Path) -> bool:
    if path.is_dir():
        return space == "nasbench201" and any(path.glob("*.pickle.pbz2"))
    if not path.is_file():
        return False
    if path.suffix in _SUFFIXES.get(space, ()):
        return True
    try:
        with path.open("rb") as file:
            first = file.read(_RECORD.stop)
    except OSError:
        return False
    if space == "nasbench101":
        return first[_RECORD] == b'["'
    return space == "nasbench201" and first.startswith(_PICKLED)
