"""A pass: observe -> plan -> apply. The table of contents of the operator.

`Reconciler.work` runs as several tasks of `__main__`; the queue gives each a search that nobody else works on. One
search's error never blocks the others.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from bananas_operator.apply import Applier
from bananas_operator.errors import ApiError, FencedError, StaleError, ThrottledError
from bananas_operator.metrics import PassMetrics
from bananas_operator.observe import Observer
from bananas_operator.plan import plan
from bananas_operator.queue import SearchKey, SearchQueue
from bananas_operator.settings import Settings

log = structlog.get_logger()

STALE_SECONDS = 0.1
"""After a first conflict: long enough for the writer before us to finish, short enough to be unseen. It doubles, because
while a watch is dead the same conflict comes again and again."""


class Reconciler:
    """Runs passes."""

    def __init__(
        self,
        queue: SearchQueue,
        observer: Observer,
        applier: Applier,
        settings: Settings,
        metrics: PassMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._queue = queue
        self._observer = observer
        self._applier = applier
        self._settings = settings
        self._metrics = metrics
        self._clock = clock

    async def reconcile(self, key: SearchKey) -> float | None:
        """One pass; returns after how many seconds another is due, if by time alone.

        Raises:
            ApiError: if the API server does not do what is asked.
        """
        now = self._clock()
        observed = await self._observer.observe(key, now)
        if observed is None:
            self._queue.forget(key)
            return None
        todo = plan(observed, now, self._settings)
        await self._applier.apply(observed, todo, now)
        return None if todo.again_at is None else max(0.0, (todo.again_at - now).total_seconds())

    async def work(self) -> None:
        """Passes for ever."""
        while True:
            key = await self._queue.take()
            try:
                with self._metrics.timed():
                    again_after = await self.reconcile(key)
            except StaleError as error:
                log.info("changed meanwhile", namespace=key.namespace, search=key.name, error=str(error))
                self._queue.failed(key, STALE_SECONDS)
            except FencedError as error:  # just taken over, and the API server does not know; or about to end
                log.info("not sent", namespace=key.namespace, search=key.name, error=str(error))
                self._queue.failed(key, STALE_SECONDS)
            except ThrottledError as error:
                self._failed(key, error, at_least=error.retry_after_seconds)
            except ApiError as error:
                self._failed(key, error)
            except Exception as error:
                log.exception("pass failed", namespace=key.namespace, search=key.name)
                self._failed(key, error)
            else:
                self._queue.done(key, again_after)

    def _failed(self, key: SearchKey, error: Exception, *, at_least: float = 0) -> None:
        wait = self._queue.failed(key, at_least=at_least)
        self._metrics.failed(type(error).__name__)
        log.warning(
            "pass failed", namespace=key.namespace, search=key.name, error=str(error), again_in_seconds=round(wait, 1)
        )
