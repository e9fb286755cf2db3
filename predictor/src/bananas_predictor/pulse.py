"""Whether the loop moves: a fit that never ends, in a thread, is seen by nobody else. Written by `loop`, read by `pod`.

To wait for news is no hang, however long it takes; only a step of work that does not end is one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """For how long the step under way has taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._step = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Around a step of work."""
        self._step, self._since = name, self._clock()
        try:
            yield
        finally:
            self._since = None

    def stuck(self, longer_than_seconds: float) -> str | None:
        """What is wrong, if the step under way takes longer than any should."""
        since = self._since  # the loop's thread goes on meanwhile
        seconds = 0 if since is None else self._clock() - since
        return f"{self._step} has taken {seconds:.0f} s and does not end" if seconds > longer_than_seconds else None
