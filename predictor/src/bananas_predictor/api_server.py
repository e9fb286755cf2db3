"""The cluster behind a real API server. Called by the pod only; the one module that imports the Kubernetes client.

Two followers keep the view: each lists everything in pages, then watches from there, and lists anew after an error, after
`relist_seconds`, and when the server has forgotten the version. Dicts go in and come out; `objects` reads them.
"""

import asyncio
from collections.abc import Awaitable
from time import monotonic
from types import TracebackType
from typing import Any, Final

import aiohttp
import structlog
from kubernetes.aio import client, config, watch
from kubernetes.aio.client.exceptions import ApiException

from bananas_core import constants
from bananas_predictor.errors import (
    AlreadyExistsError,
    ClusterError,
    ExpiredError,
    InputError,
    NotFoundError,
    TemporaryError,
)
from bananas_predictor.objects import Raw
from bananas_predictor.settings import PodSettings

REQUEST_SECONDS: Final = 15.0
CONNECTION_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


async def connect() -> client.ApiClient:
    """A client with the pod's service account, or, outside a cluster, with KUBECONFIG.

    Raises:
        InputError: there is neither.
    """
    try:
        config.load_incluster_config()
    except config.ConfigException as no_pod:
        try:
            await config.load_kube_config()
        except config.ConfigException as error:
            raise InputError(
                f"no cluster: neither a pod's service account ({no_pod}) nor KUBECONFIG ({error})"
            ) from error
    return client.ApiClient()


class Follower:
    """Follows one kind of object: lists, watches, keeps the last sight of each."""

    def __init__(
        self, api: client.CustomObjectsApi, settings: PodSettings, changed: asyncio.Event, **which: str
    ) -> None:
        """`which`: plural, and one of label_selector and field_selector."""
        self.objects: dict[str, Raw] = {}
        self.seen_at = monotonic()
        self.is_synced = False
        self._api = api
        self._settings = settings
        self._changed = changed
        self._which = {
            "group": constants.GROUP,
            "version": constants.VERSION,
            "namespace": settings.namespace,
            **which,
        }
        self._log = structlog.get_logger().bind(plural=which["plural"])

    async def follow(self) -> None:
        """For ever."""
        pause = self._settings.retry_seconds
        while True:
            try:
                version = await self.list()
                pause = self._settings.retry_seconds
                listed_at = monotonic()
                while (began := monotonic()) - listed_at < self._settings.relist_seconds:
                    version = await self._watch(version)
                    if monotonic() - began < self._settings.retry_seconds:  # as a server does that is going down
                        await asyncio.sleep(self._settings.retry_seconds)
            except ExpiredError:
                await asyncio.sleep(self._settings.retry_seconds)
            except ClusterError as error:  # also a refusal: rights may be granted later, and healthz tells
                self._log.warning("view", why=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._settings.longest_retry_seconds)

    def add(self, raw: Raw) -> None:
        """Takes over what a request of ours returned, so that the next round knows of it before the watch does.

        Not where the watch was quicker and what it brought is newer, nor over an object of another UID: which of the two is
        there now, only the watch tells.
        """
        held = self.objects.setdefault(raw["metadata"]["name"], raw)
        if _is_same(held, raw):
            self._keep(raw)

    async def list(self) -> str:
        """Lists all pages; the version to watch from."""
        objects: dict[str, Raw] = {}
        token: str | None = None
        while True:
            page: Any = await _translated(
                self._api.list_namespaced_custom_object(
                    **self._which,
                    limit=self._settings.page_size,
                    _request_timeout=REQUEST_SECONDS,
                    **({"_continue": token} if token else {}),
                )
            )
            objects |= {raw["metadata"]["name"]: raw for raw in page["items"]}
            token = page["metadata"].get("continue")
            if not token:
                break
        # Whatever was held: what is newer comes by the watch, and an etcd may have been restored.
        self.objects = objects
        self._saw()
        self.is_synced = True
        self._changed.set()
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Watches once; the version to go on from."""
        stream = watch.Watch()
        try:
            async for event in stream.stream(
                self._api.list_namespaced_custom_object,
                **self._which,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=self._settings.watch_seconds,
                # The server ends the watch; this is for a server or network that does not.
                _request_timeout=self._settings.watch_seconds + REQUEST_SECONDS,
            ):
                version = self._take(event["type"], event["raw_object"])
        except ApiException as error:
            raise translate(error) from error
        except CONNECTION_ERRORS as error:
            raise TemporaryError(f"watch: {type(error).__name__}: {error}") from error
        finally:
            await stream.close()
        self._saw()
        return version

    def _take(self, kind: str, raw: Raw) -> str:
        self._saw()
        held = self.objects.get(raw["metadata"]["name"]) if kind != "BOOKMARK" else None
        if kind in ("ADDED", "MODIFIED"):
            self._keep(raw)
        elif kind == "DELETED" and held is not None and _is_same(held, raw):
            del self.objects[raw["metadata"]["name"]]
        if kind != "BOOKMARK":
            self._changed.set()
        return str(raw["metadata"]["resourceVersion"])

    def _keep(self, raw: Raw) -> None:
        """Takes an object over, unless a newer version of it is held: answers to requests of ours overtake the watch."""
        held = self.objects.get(raw["metadata"]["name"])
        if held is None or not _is_same(held, raw) or _version(held) <= _version(raw):
            self.objects[raw["metadata"]["name"]] = raw

    def _saw(self) -> None:
        self.seen_at = monotonic()


class ApiServerCluster:
    """`Cluster` over the network, as an asynchronous context: it follows as long as it is open."""

    def __init__(self, api_client: client.ApiClient, settings: PodSettings) -> None:
        """Of the search that the settings name."""
        self._api_client = api_client
        self._api = client.CustomObjectsApi(api_client)
        self._settings = settings
        self._changed = asyncio.Event()
        self._trials = Follower(
            self._api,
            settings,
            self._changed,
            plural=constants.TRIAL_PLURAL,
            label_selector=f"{constants.LABEL_SEARCH_UID}={settings.search_uid}",
        )
        self._searches = Follower(
            self._api,
            settings,
            self._changed,
            plural=constants.SEARCH_PLURAL,
            field_selector=f"metadata.name={settings.search}",
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "ApiServerCluster":
        """Starts following."""
        self._tasks = [asyncio.create_task(f.follow()) for f in (self._trials, self._searches)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api_client.close()

    def silent_seconds(self) -> float:
        """How long one of the followers has seen nothing."""
        return monotonic() - min(self._trials.seen_at, self._searches.seen_at)

    async def wait(self, timeout_seconds: float | None) -> None:
        """Returns when something has changed since the last call, or the time is over; not before both are listed."""
        while True:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            for task in self._tasks:
                if task.done():
                    task.result()  # a follower never ends but by a defect, which must not be waited out
            if self._trials.is_synced and self._searches.is_synced:
                return

    def search(self) -> Raw | None:
        """The NASSearch of our name as last seen."""
        return self._searches.objects.get(self._settings.search)

    def trials(self) -> tuple[Raw, ...]:
        """The NASTrials with our label as last seen."""
        return tuple(self._trials.objects.values())

    async def create_trial(self, trial: Raw) -> Raw:
        """Creates a NASTrial."""
        created: Any = await _translated(
            self._api.create_namespaced_custom_object(
                **self._place(constants.TRIAL_PLURAL),
                body=trial,
                field_manager=constants.MANAGER_PREDICTOR,
                _request_timeout=REQUEST_SECONDS,
            )
        )
        self._trials.add(created)
        return dict(created)

    async def read_trial(self, name: str) -> Raw:
        """Reads a NASTrial."""
        raw: Any = await _translated(
            self._api.get_namespaced_custom_object(
                **self._place(constants.TRIAL_PLURAL), name=name, _request_timeout=REQUEST_SECONDS
            )
        )
        if (raw["metadata"].get("labels") or {}).get(constants.LABEL_SEARCH_UID) == self._settings.search_uid:
            self._trials.add(raw)
        return dict(raw)

    async def read_other(self, search: str) -> tuple[Raw, tuple[Raw, ...]]:
        """Reads another NASSearch of the namespace and its NASTrials."""
        raw: Any = await _translated(
            self._api.get_namespaced_custom_object(
                **self._place(constants.SEARCH_PLURAL), name=search, _request_timeout=REQUEST_SECONDS
            )
        )
        follower = Follower(
            self._api,
            self._settings,
            asyncio.Event(),
            plural=constants.TRIAL_PLURAL,
            label_selector=f"{constants.LABEL_SEARCH_UID}={raw['metadata']['uid']}",
        )
        await follower.list()
        return dict(raw), tuple(follower.objects.values())

    async def apply_search_status(self, search: Raw) -> None:
        """Server-side apply to the status of the NASSearch."""
        await _translated(
            self._api.patch_namespaced_custom_object_status(
                **self._place(constants.SEARCH_PLURAL),
                name=search["metadata"]["name"],
                body=search,
                field_manager=constants.MANAGER_PREDICTOR,
                force=True,
                _content_type="application/apply-patch+yaml",  # the client's own choice is a merge patch
                _request_timeout=REQUEST_SECONDS,
            )
        )

    def _place(self, plural: str) -> dict[str, str]:
        return {
            "group": constants.GROUP,
            "version": constants.VERSION,
            "namespace": self._settings.namespace,
            "plural": plural,
        }


def _is_same(one: Raw, other: Raw) -> bool:
    """Whether they are versions of one object, and not two that bore the name one after the other."""
    return bool(one["metadata"]["uid"] == other["metadata"]["uid"])


def _version(raw: Raw) -> int:
    """Greater is newer; of one object only, whose versions are whole numbers in every API server that keeps them in etcd."""
    return int(raw["metadata"]["resourceVersion"])


async def _translated(request: Awaitable[object]) -> object:
    """The answer, or an error of ours."""
    try:
        return await request
    except ApiException as error:
        raise translate(error) from error
    except CONNECTION_ERRORS as error:
        raise TemporaryError(f"{type(error).__name__}: {error}") from error


def translate(error: ApiException) -> ClusterError:  # noqa: PLR0911 - a table
    """The error of ours that an answer of the API server means."""
    body = str(error.body or "")
    text = f"{error.status} {error.reason}: {body[:500]}"
    match error.status:
        case 404:
            return NotFoundError(text)
        case 409 if '"reason":"AlreadyExists"' in body.replace(" ", ""):
            return AlreadyExistsError(text)
        case 410:
            return ExpiredError(text)
        case 403 if "because it is being terminated" in body:
            return TemporaryError(text)
        case 401 | 408 | 409 | 429:  # 401: the token is being renewed
            return TemporaryError(text)
        case code if code is None or code >= 500:
            return TemporaryError(text)
        case _:
            return ClusterError(text)
