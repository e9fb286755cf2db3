"""The queue between doorbell and passes: each search at most once in it and in work, backoff after errors.

Called by `doorbell` and `cache` (ring) and by `reconcile` (take, done). It never looks at what a key means.
"""

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple


class SearchKey(NamedTuple):
    """What a pass is for."""

    namespace: str
    name: str


class SearchQueue:
    """Keys with the time at which they are due; a key in work that is rung again is due again when done."""

    def __init__(
        self,
        *,
        backoff_seconds: float,
        backoff_limit_seconds: float,
        clock: Callable[[], float] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._backoff = backoff_seconds
        self._limit = backoff_limit_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._jitter = jitter
        self._due: dict[SearchKey, float] = {}
        self._working: set[SearchKey] = set()
        self._failures: dict[SearchKey, int] = {}
        self._waker: asyncio.Event = asyncio.Event()

    def ring(self, key: SearchKey, after: float = 0) -> None:
        """Makes a key due; an earlier time wins. During a backoff a ring does not shorten it: errors come first."""
        when = self._clock() + after
        if key in self._failures and key in self._due and key not in self._working:
            return
        self._due[key] = min(when, self._due.get(key, when))
        self._waker.set()

    async def take(self) -> SearchKey:
        """Waits for the next key that is due and not in work, and marks it as in work."""
        while True:
            self._waker.clear()
            ready = [(when, key) for key, when in self._due.items() if key not in self._working]
            if ready:
                when, key = min(ready)
                wait = when - self._clock()
                if wait <= 0:
                    del self._due[key]
                    self._working.add(key)
                    self._waker.set()  # another worker may look for the next
                    return key
            try:
                await asyncio.wait_for(self._waker.wait(), timeout=wait if ready else None)
            except TimeoutError:
                continue

    def done(self, key: SearchKey, again_after: float | None = None) -> None:
        """Ends a pass that went well."""
        self._working.discard(key)
        self._failures.pop(key, None)
        if again_after is not None:
            self.ring(key, again_after)
        self._waker.set()

    def failed(self, key: SearchKey, backoff_seconds: float | None = None, *, at_least: float = 0) -> float:
        """Ends a pass that failed; returns the seconds until the next, at first `backoff_seconds` if given.

        `at_least` is what the API server asks for (Retry-After); what comes on top is spread, so that not all ask at once.
        """
        self._working.discard(key)
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        first = self._backoff if backoff_seconds is None else backoff_seconds
        wait = at_least + min(self._limit, first * 2.0 ** min(count, 30)) * (0.5 + self._jitter() / 2)
        self._due[key] = self._clock() + wait
        self._waker.set()
        return wait

    def forget(self, key: SearchKey) -> None:
        """Drops what is remembered of a key whose search is gone."""
        self._failures.pop(key, None)
