"""The long-running processes, known by a mark in their environment.

A pid file can be missing (we were killed before writing it) or stale (the number was given to somebody else's
process). The environment that a process was started with can be neither: the kernel keeps it, children inherit it
(containerd's shims do), and nobody else's process has ours. Every signal goes through a pidfd whose mark was read
after it was opened, so it cannot hit a process that came later under the same number.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import commands, waiting
from devcluster.errors import NotReady

MARK_STATE = "BANANAS_DEVCLUSTER_STATE"
MARK_PART = "BANANAS_DEVCLUSTER_PART"
BUILDER = "images"  # the part of what builds images, with or without a cluster
MARK_RECIPE = "BANANAS_DEVCLUSTER_RECIPE"


@dataclass(frozen=True)
class Process:
    pid: int
    state: Path
    part: str
    recipe: str
    leader: bool  # started by us directly; False for the children of such a process


@dataclass(frozen=True)
class Daemon:
    """One part of the cluster: its command line and the files that it reads."""

    part: str
    argv: tuple[str, ...]
    files: Mapping[Path, str] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        text = repr((self.argv, sorted((str(path), content) for path, content in self.files.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(state: Path | None = None) -> list[Process]:
    """All marked processes, of the cluster in `state` or of any."""
    found = (read(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in found if process and (state is None or process.state == state)]


def of_cluster(state: Path) -> list[Process]:
    return [process for process in find(state) if process.part != BUILDER]


def builders(state: Path) -> list[Process]:
    return [process for process in find(state) if process.part == BUILDER]


def leaders(state: Path) -> dict[str, Process]:
    return {process.part: process for process in of_cluster(state) if process.leader}


def read(pid: int) -> Process | None:
    """None when it is not marked, or is there no more."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        marks = dict(
            pair.decode(errors="replace").split("=", 1) for pair in pairs if pair.startswith(b"BANANAS_DEVCLUSTER_")
        )
        if MARK_STATE not in marks:
            return None
        # The name of the program, in parentheses, may hold spaces; the session is the 4th field after it.
        session = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, ValueError):  # it ended meanwhile, or it is not ours to read
        return None
    return Process(pid, Path(marks[MARK_STATE]), marks.get(MARK_PART, ""), marks.get(MARK_RECIPE, ""), session == pid)


def start(daemon: Daemon, *, state: Path, log: Path) -> Process:
    """Writes the daemon's files and starts it in a session of its own."""
    for path, content in daemon.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    log.parent.mkdir(parents=True, exist_ok=True)
    marks = {MARK_STATE: str(state), MARK_PART: daemon.part, MARK_RECIPE: daemon.recipe}
    with log.open("ab") as output:
        child = subprocess.Popen(
            daemon.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=commands.environment(marks),
            start_new_session=True,
            cwd="/",
        )
    process = Process(child.pid, state, daemon.part, daemon.recipe, leader=True)
    # For a moment of its start a program has no environment that could be read.
    waiting.until(lambda: alive(process) or child.poll() is not None, what=daemon.part, deadline_seconds=10)
    return process


def ensure(daemon: Daemon, *, state: Path, log: Path) -> bool:
    """True when it had to be started: it did not run, or ran with another command line or other files."""
    running = leaders(state).get(daemon.part)
    if running and running.recipe == daemon.recipe:
        return False
    if running:
        stop([running])
    start(daemon, state=state, log=log)
    return True


def alive(process: Process) -> bool:
    return read(process.pid) == process


def stop(processes: Iterable[Process], *, deadline_seconds: float = 8.0) -> None:
    """SIGTERM to all at once, SIGKILL to those that still live at the deadline; returns when all are gone."""
    with contextlib.ExitStack() as stack:
        handles = [handle for process in processes if (handle := _open(process, stack)) is not None]
        for number, seconds in ((signal.SIGTERM, deadline_seconds), (signal.SIGKILL, 5.0)):
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            handles = _still_alive(handles, seconds)
    if handles:
        raise NotReady(f"{len(handles)} processes did not end although they were sent SIGKILL (stuck in the kernel?)")


def _open(process: Process, stack: contextlib.ExitStack) -> int | None:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, handle)
    return handle if alive(process) else None


def _still_alive(handles: list[int], seconds: float) -> list[int]:
    """Those of `handles` that did not end within `seconds`. A pidfd becomes readable when its process ends."""
    deadline = time.monotonic() + seconds
    waiting_for = set(handles)
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    while waiting_for and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            waiting_for.discard(handle)
    return sorted(waiting_for)


def wait_ready(
    part: str, condition: waiting.Condition, *, state: Path, log: Path, deadline_seconds: float = 60.0
) -> None:
    """Waits for `condition`; fails at once, with the end of the log, when the process has ended."""

    def ready_or_dead() -> bool:
        return condition() or part not in leaders(state)

    waiting.until(ready_or_dead, what=part, deadline_seconds=deadline_seconds, advice=lambda: tail(log))
    if part not in leaders(state):
        raise NotReady(f"{part} ended by itself. {tail(log)}")


def tail(log: Path, lines: int = 12) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return f"It wrote no log ({log})."
    return f"The end of {log}:\n" + "\n".join(text.splitlines()[-lines:])
