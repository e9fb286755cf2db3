"""Processes of the development cluster's pods, which are processes of this machine: to be killed and paused."""

from pathlib import Path


def process_with(variable: str) -> int:
    """The process whose environment has this `NAME=value`.

    Raises:
        LookupError: if there is none.
    """
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue
    raise LookupError(f"no process with {variable}")


def lives(pid: int) -> bool:
    """Whether it runs, or is stopped; not so a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
