"""Lists of nodes and quotas, asked now and then and shared by all searches. Called by `facts`; it decides nothing.

Not watched: they are for advice and for the choice of a node, which bear a minute's delay, and an operator without the
right to list them works on without. So no error of the API server leaves this module.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from bananas_core.workload.surroundings import NodeView, QuotaView, node_view, quota_view
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import ApiError, RefusedError
from bananas_operator.resources import NODES, QUOTAS, Json, Resource
from bananas_operator.settings import Settings

log = structlog.get_logger()
V = TypeVar("V", NodeView, QuotaView)


@dataclass(frozen=True)
class _Answer:
    views: tuple[Any, ...] | None
    good_until: datetime


class Inventory:
    """What there is in the cluster beside searches."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._answers: dict[tuple[Resource, str | None], _Answer] = {}
        self._lock = asyncio.Lock()

    async def nodes(self, now: datetime) -> tuple[NodeView, ...] | None:
        """All nodes; None where they may not be listed."""
        return await self._ask(NODES, None, node_view, now)

    async def quotas(self, namespace: str, now: datetime) -> tuple[QuotaView, ...] | None:
        """The quotas of a namespace that hold for all its pods; None where they may not be listed."""
        return await self._ask(QUOTAS, namespace, quota_view, now)

    async def _ask(
        self, resource: Resource, namespace: str | None, parse: Callable[[Json], V | None], now: datetime
    ) -> tuple[V, ...] | None:
        async with self._lock:  # searches that ask at once get one answer
            known = self._answers.get((resource, namespace))
            if known is not None and now < known.good_until:
                return known.views
            answer = await self._fresh(resource, namespace, parse, now, known.views if known is not None else None)
            self._answers[resource, namespace] = answer
            return answer.views

    async def _fresh(
        self,
        resource: Resource,
        namespace: str | None,
        parse: Callable[[Json], Any],
        now: datetime,
        last: tuple[Any, ...] | None,
    ) -> _Answer:
        settings = self._settings
        try:
            items = await self._list(resource, namespace)
        except RefusedError as error:
            log.warning("may not list", kind=resource.kind, namespace=namespace, error=str(error))
            return _Answer(None, now + timedelta(seconds=settings.forbidden_seconds))
        except ApiError as error:
            log.info("not listed", kind=resource.kind, namespace=namespace, error=str(error))
            return _Answer(last, now + timedelta(seconds=settings.recheck_seconds))
        views = tuple(view for item in items if (view := parse(item)) is not None)
        return _Answer(views, now + timedelta(seconds=settings.node_seconds))

    async def _list(self, resource: Resource, namespace: str | None) -> list[Json]:
        query = [("limit", str(self._settings.page_size))]
        items: list[Json] = []
        page = await self._api.list_page(resource, namespace, query)
        while True:
            items += page.get("items") or ()
            following = page["metadata"].get("continue")
            if not following:
                return items
            page = await self._api.list_page(resource, namespace, [*query, ("continue", following)])
