"""kopf as the doorbell: its watches put objects into the cache and searches into the queue, nothing more.

`on.event` handlers only: any other kind would write annotations and finalizers into users' objects.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from bananas_operator.cache import Cache
from bananas_operator.queue import SearchKey
from bananas_operator.resources import FIELD_SELECTOR, LABEL_SELECTOR, WATCHED, Json, Resource
from bananas_operator.settings import Settings


def make_registry(cache: Cache, ring: Callable[[SearchKey], None]) -> kopf.OperatorRegistry:
    """A registry of our own: one handler a kind."""
    registry = kopf.OperatorRegistry()
    for resource in WATCHED:
        kopf.on.event(*_selector(resource), id=f"doorbell-{resource.plural}", registry=registry)(
            _handler(resource, cache, ring)
        )
    kopf.on.login(registry=registry, id="login", retries=3, backoff=2.0)(_login)
    return registry


def make_settings(settings: Settings) -> kopf.OperatorSettings:
    """kopf with everything off that writes, or that lists what is not ours."""
    made = kopf.OperatorSettings()
    made.process.ultimate_exiting_timeout = None  # the kubelet sees to that
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.watching.chunk_size = settings.page_size
    made.watching.connect_timeout = settings.request_timeout_seconds
    for resource, selector in LABEL_SELECTOR.items():
        made.watching.label_selectors[_selector(resource)] = selector
    for resource, selector in FIELD_SELECTOR.items():
        made.watching.field_selectors[_selector(resource)] = selector
    return made


def _selector(resource: Resource) -> tuple[str, str, str]:
    group, _, version = resource.api_version.rpartition("/")
    return group, version, resource.plural


def _handler(resource: Resource, cache: Cache, ring: Callable[[SearchKey], None]) -> Callable[..., Awaitable[None]]:
    async def hear(event: Any, **_: Any) -> None:
        item: Json = dict(event["object"])
        key = cache.key_of(resource, item)
        if event["type"] == "DELETED":
            cache.remove(resource, item)
        else:
            cache.put(resource, item, "watch")
        key = key or cache.key_of(resource, item)
        if key is not None:
            ring(key)

    return hear


def _login(**kwargs: Any) -> Any:
    """As `__main__`: an explicit KUBECONFIG first, else the pod's own account."""
    login = kopf.login_with_kubeconfig if os.environ.get("KUBECONFIG") else kopf.login_with_service_account
    return login(**kwargs)
