"""One line for each step: what it does, and how long it took or that it was done before.

All output of this program goes through here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Step:
    """What the body of a step may say about itself; the line is printed when the body ends."""

    def __init__(self) -> None:
        self.skipped = False
        self.outcome = ""

    def skip(self, why: str) -> None:
        self.skipped, self.outcome = True, why

    def note(self, outcome: str) -> None:
        self.outcome = outcome


def say(line: str) -> None:
    # stderr: the answers of `env`, `status` and `images` on stdout stay readable by programs.
    print(f"devcluster: {line}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str, *, slow: str = "") -> Iterator[Step]:
    """`slow` says beforehand how long to wait for a step that would else look hung."""
    if slow:
        say(f"{title} ({slow}) ...")
    started = time.monotonic()
    current = Step()
    try:
        yield current
    except BaseException:
        say(f"{title}: failed after {time.monotonic() - started:.1f} s")
        raise
    if current.skipped:
        say(f"{title}: {current.outcome}")
    else:
        say(f"{title}: {current.outcome or 'done'}, {time.monotonic() - started:.1f} s")
