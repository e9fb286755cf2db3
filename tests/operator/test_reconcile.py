"""Passes that go wrong."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry

from bananas_operator.errors import StaleError
from bananas_operator.metrics import PassMetrics
from bananas_operator.queue import SearchKey, SearchQueue
from bananas_operator.reconcile import STALE_SECONDS, Reconciler

from .builders import SETTINGS

KEY = SearchKey("lab", "s")


class Queue(SearchQueue):
    """A queue that notes its backoffs and does not wait for them."""

    def __init__(self) -> None:
        super().__init__(backoff_seconds=1, backoff_limit_seconds=30, jitter=lambda: 1.0, clock=lambda: self.time)
        self.time = 0.0
        self.waits: list[float] = []

    def failed(self, key: SearchKey, backoff_seconds: float | None = None) -> float:
        self.waits.append(super().failed(key, backoff_seconds))
        self.time += self.waits[-1]
        return self.waits[-1]


class Observer:
    """Meets the same conflict in every pass, as with a watch that is dead."""

    passes = 0

    async def observe(self, *_: Any) -> None:
        self.passes += 1
        if self.passes > 8:
            raise asyncio.CancelledError
        raise StaleError("the object has changed")


async def test_a_conflict_that_comes_again_and_again_is_tried_ever_more_seldom() -> None:
    queue = Queue()
    reconciler = Reconciler(
        queue,
        cast(Any, Observer()),
        cast(Any, None),
        SETTINGS,
        PassMetrics(CollectorRegistry()),
        lambda: datetime.now(UTC),
    )
    queue.ring(KEY)
    with contextlib.suppress(asyncio.CancelledError):
        await reconciler.work()
    assert queue.waits == [STALE_SECONDS * 2**n for n in range(8)]
