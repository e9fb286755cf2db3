"""Whether the loop moves: a fit that never ends, in a thread, is seen by nobody else. Written by `loop`, read by `pod`.

To wait for news is no hang, however long it takes; only a step of work that does not end is one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SHORTEST_SECONDS: Final = 300.0
"""No step is called stuck before: a processor that is throttled, or shared with trainers, makes one many times slower."""
FITS: Final = 20
"""A fit may take as long as so many of the last one: with a result or two more it takes hardly longer."""


class Pulse:
    """For how long the step under way has taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._step = ""
        self._last_fit_seconds: float | None = None

    def took(self, fit_seconds: float) -> None:
        """How long the last fit took."""
        self._last_fit_seconds = fit_seconds

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Around a step of work."""
        self._step, self._since = name, self._clock()
        try:
            yield
        finally:
            self._since = None

    def stuck(self, longest_seconds: float) -> str | None:
        """What is wrong, if the step under way takes longer than it should; no fit may take longer than `longest_seconds`."""
        last = self._last_fit_seconds
        bound = longest_seconds if last is None else min(max(SHORTEST_SECONDS, FITS * last), longest_seconds)
        since = self._since  # the loop's thread goes on meanwhile
        seconds = 0 if since is None else self._clock() - since
        return f"{self._step} has taken {seconds:.0f} s and does not end" if seconds > bound else None
