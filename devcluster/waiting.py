"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from devcluster.errors import NotReady

POLL_SECONDS = 0.05
Condition = Callable[[], bool]


def until(condition: Condition, *, what: str, deadline_seconds: float, advice: Callable[[], str] = str) -> None:
    """Returns once `condition` holds. `advice` is asked only when it did not in time: a log's tail, a pod's state."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotReady(f"{what}: not within {deadline_seconds:.0f} s. {advice()}".strip())
        time.sleep(POLL_SECONDS)
