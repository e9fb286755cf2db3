"""kopf as the doorbell: its watches put objects into the cache and searches into the queue, nothing more.

`on.event` handlers only: any other kind would write annotations and finalizers into users' objects. kopf lives in a thread
with a loop of its own: it takes the process's signals in the main thread, and when it ends it cancels whatever else runs
in its loop. Cache and queue are touched by the operator's own loop alone.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from bananas_core import constants
from bananas_operator.cache import Cache
from bananas_operator.errors import WatchesEndedError
from bananas_operator.queue import SearchKey
from bananas_operator.resources import FIELD_SELECTOR, LABEL_SELECTOR, WATCHED, Json, Resource
from bananas_operator.settings import Settings

STOP_SECONDS = 0.5
"""kopf sometimes misses that it is to stop; nothing is lost when it is cut off."""

WATCH_SECONDS = 60
"""A connection that is dead without saying so (a gateway that forgot it) would never tell anything: each ends after this, and
the next goes on from the same version. Less than `echo_seconds` and the liveness probe take to end the operator."""
WATCH_GRACE_SECONDS = 15
"""For the server to end it first."""

Hear = Callable[[Resource, str, Json], None]


async def listen(cache: Cache, ring: Callable[[SearchKey], None], settings: Settings) -> None:
    """Watches until it is cancelled, or kopf ends, which it should not.

    Raises:
        BaseException: what kopf ended with.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()
    stop = threading.Event()

    def hear(resource: Resource, event: str, item: Json) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(take, cache, ring, resource, event, item)

    def tell(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def watch() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(_watch(hear, settings, stop))
        except BaseException as found:
            error = found
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, error)

    thread = threading.Thread(target=watch, name="doorbell", daemon=True)
    thread.start()
    try:
        error = await asyncio.shield(ended)
        raise error if error is not None else WatchesEndedError("kopf has ended by itself")
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, STOP_SECONDS)


async def _watch(hear: Hear, settings: Settings, stop: threading.Event) -> None:
    try:
        await kopf.operator(
            registry=make_registry(hear),
            settings=make_settings(settings),
            standalone=True,
            identity=constants.MANAGER_OPERATOR,  # else kopf asks for the user's name, which UID 65532 has not
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=stop,
        )
    finally:
        stop.set()  # a thread of kopf's waits for it, and keeps the loop from ending


def make_registry(hear: Hear) -> kopf.OperatorRegistry:
    """A registry of our own: one handler a kind."""
    registry = kopf.OperatorRegistry()
    for resource in WATCHED:
        kopf.on.event(*_selector(resource), id=f"doorbell-{resource.plural}", registry=registry)(
            _handler(resource, hear)
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
    made.queueing.exit_timeout = 0.1  # there is nothing to finish: an event is taken at once
    made.watching.chunk_size = settings.page_size
    made.watching.server_timeout = WATCH_SECONDS  # a watch goes on where it was, without a list
    made.watching.client_timeout = WATCH_SECONDS + WATCH_GRACE_SECONDS
    made.watching.connect_timeout = settings.request_timeout_seconds
    for resource, selector in LABEL_SELECTOR.items():
        made.watching.label_selectors[_selector(resource)] = selector
    for resource, selector in FIELD_SELECTOR.items():
        made.watching.field_selectors[_selector(resource)] = selector
    return made


def _selector(resource: Resource) -> tuple[str, str, str]:
    group, _, version = resource.api_version.rpartition("/")
    return group, version, resource.plural


def _handler(resource: Resource, hear: Hear) -> Callable[..., Awaitable[None]]:
    async def handle(event: Any, **_: Any) -> None:
        hear(resource, event["type"] or "", dict(event["object"]))

    return handle


def take(cache: Cache, ring: Callable[[SearchKey], None], resource: Resource, event: str, item: Json) -> None:
    """Takes what a watch tells."""
    key = cache.key_of(resource, item)
    if event == "DELETED":
        cache.remove(resource, item)
    else:
        cache.put(resource, item, "watch")
    key = key or cache.key_of(resource, item)
    if key is not None:
        ring(key)


def _login(**kwargs: Any) -> Any:
    """As `__main__`: an explicit KUBECONFIG first, else the pod's own account."""
    login = kopf.login_with_kubeconfig if os.environ.get("KUBECONFIG") else kopf.login_with_service_account
    return login(**kwargs)
