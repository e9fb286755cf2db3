"""What keeps a replica from writing once it may no longer be the leader: the last thing asked before a write is sent.

`election` extends it with every renewal of the Lease, `client` asks it before each write, `__main__` closes it at the end.
It reads a clock that goes on while the process is stopped or the machine sleeps, and knows nothing of the API.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bananas_operator.errors import FencedError

UNANSWERED_SECONDS = 10
"""A write without an answer has happened by then, or never will."""


def boottime() -> float:
    """Seconds since boot, sleep of the machine included; no step of the wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Lets writes pass while enough of the Lease is left for them to be over before it ends."""

    def __init__(self, *, margin_seconds: float, clock: Callable[[], float] = boottime) -> None:
        self._margin = margin_seconds
        self._clock = clock
        self._until = float("-inf")
        self._unanswered_at = float("-inf")
        self._closed = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def extend(self, until: float) -> None:
        """The Lease is ours until then, by this fence's clock."""
        self._until = until

    @property
    def settled(self) -> bool:
        """Whether no write of ours can happen any more: none is under way, and of none has the answer just been lost."""
        return self._in_flight == 0 and self._clock() >= self._unanswered_at + UNANSWERED_SECONDS

    def close(self) -> None:
        """No write passes any more."""
        self._closed = True

    @contextmanager
    def write(self) -> Iterator[float]:
        """Around a write; gives the seconds within which it must be over.

        Raises:
            FencedError: the write must not be sent.
        """
        left = self._until - self._clock()
        if self._closed or left < self._margin:
            raise FencedError("not sent: this replica does not hold the Lease for long enough")
        self._in_flight += 1
        self._idle.clear()
        try:
            yield left - self._margin / 2
        except BaseException:
            self._unanswered_at = self._clock()
            raise
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()

    async def drained(self, seconds: float) -> bool:
        """Closes, and waits until every write under way has been answered; whether that came to pass."""
        self.close()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True
