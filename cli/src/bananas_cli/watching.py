"""`kubectl nas status --watch`: the screen again and again until the search ends.

On a terminal it is redrawn in place; elsewhere a line is printed when something has changed. A cluster that does not answer
for a while is waited for: the search does not need us.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bananas_cli.errors import Unreachable
from bananas_cli.snapshot import Snapshot
from bananas_cli.status import status_line, status_view

INTERVAL_SECONDS: Final = 1.0
LOAD: Final = 4
"""A look may take a fifth of the time: a search of thousands of trials is listed less often."""
EXIT_COMPLETE: Final = 0
EXIT_FAILED: Final = 1
EXIT_TIMEOUT: Final = 124
"""As timeout(1)."""


def watch(
    look: Callable[[], Snapshot],
    console: Console,
    clock: Callable[[], datetime],
    timeout_seconds: float | None = None,
    interval_seconds: float = INTERVAL_SECONDS,
) -> int:
    """Shows the search until it is Complete or Failed, or the time is over; the exit code.

    Raises:
        CliError: the first look failed, or the search is gone.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

            def show(snapshot: Snapshot, trouble: str) -> None:
                view = status_view(snapshot, clock())
                live.update(Group(view, Text(trouble, style="yellow")) if trouble else view, refresh=True)

            return _until_the_end(look, show, deadline, interval_seconds)
    last = ""

    def tell(snapshot: Snapshot, trouble: str) -> None:
        nonlocal last
        now = clock()
        line = trouble or status_line(snapshot, now)
        news = line.partition(", about ")[0] + line.partition(" left")[2]  # time passing is no news
        if news != last:
            last = news
            console.print(f"{now:%H:%M:%S} {line}", markup=False, highlight=False, soft_wrap=True)

    return _until_the_end(look, tell, deadline, interval_seconds)


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Remembers Ctrl-C, and gives a check that raises it anew.

    Python drops a KeyboardInterrupt that comes up in the finaliser of an object; whoever watches would have to press twice.
    """
    pressed = False

    def press(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check  # Ctrl-C is the main thread's
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _until_the_end(
    look: Callable[[], Snapshot],
    show: Callable[[Snapshot, str], None],
    deadline: float | None,
    interval_seconds: float,
) -> int:
    with _interruptible() as check:
        return _watch(look, show, check, deadline, interval_seconds)


def _watch(
    look: Callable[[], Snapshot],
    show: Callable[[Snapshot, str], None],
    check: Callable[[], None],
    deadline: float | None,
    interval_seconds: float,
) -> int:
    snapshot = look()
    trouble = ""
    while True:
        check()
        show(snapshot, trouble)
        if snapshot.search.phase == "Complete":
            return EXIT_COMPLETE
        if snapshot.search.phase == "Failed":
            return EXIT_FAILED
        if deadline is not None and time.monotonic() >= deadline:
            return EXIT_TIMEOUT
        start = time.monotonic()
        try:
            fresh, trouble = look(), ""
        except Unreachable as error:
            fresh, trouble = snapshot, f"{error}; trying again"
        pause = max(interval_seconds, LOAD * (time.monotonic() - start))
        snapshot = fresh
        if deadline is not None:
            pause = min(pause, max(0.0, deadline - time.monotonic()))
        if snapshot.search.phase not in ("Complete", "Failed"):
            check()
            time.sleep(pause)
