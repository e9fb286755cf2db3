"""What the operator knows of the cluster: objects by kind, from watch, lists and its own writes.

`doorbell` puts what the watch tells, `Lister` replaces everything by full lists (a watch that was cut delivers no
deletions), `apply` puts the answers to its writes; `observe` reads. Never goes back to an older resourceVersion, never
brings a deleted object back. It decides nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

import structlog

from bananas_core import constants
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import ApiError, ExpiredError, NotFoundError, NotInstalledError, ThrottledError
from bananas_operator.last_words import LastWords
from bananas_operator.queue import SearchKey
from bananas_operator.resources import (
    EVENTS,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    PODS,
    SEARCHES,
    WATCHED,
    Json,
    Resource,
)
from bananas_operator.settings import Settings

log = structlog.get_logger()

Source = Literal["watch", "list", "write"]


def uid_of(item: Json) -> str:
    """UID of an object."""
    return str(item["metadata"]["uid"])


def version_of(item: Json) -> int:
    """resourceVersion as the number that it is (comparable by KEP-5504, and always so with etcd)."""
    return int(item["metadata"]["resourceVersion"])


def owner_of(item: Json) -> str:
    """What an object is found by: the search's UID label, for events the UID of what they are about, else the UID."""
    if item.get("kind") == EVENTS.kind:
        return str(item.get("involvedObject", {}).get("uid", ""))
    labels: dict[str, str] = item["metadata"].get("labels") or {}
    return labels.get(constants.LABEL_SEARCH_UID, "")


def lean(item: Json) -> Json:
    """An object without its managedFields: most of what it weighs, and nothing is decided from them."""
    return {**item, "metadata": {key: value for key, value in item["metadata"].items() if key != "managedFields"}}


class _Kind:
    """The objects of one kind, and indices by owner and by name."""

    def __init__(self) -> None:
        self.items: dict[str, Json] = {}
        self.by_owner: dict[str, dict[str, None]] = {}
        self.by_name: dict[SearchKey, str] = {}

    def put(self, item: Json) -> None:
        self.remove(uid_of(item))
        self.items[uid_of(item)] = item
        self.by_owner.setdefault(owner_of(item), {})[uid_of(item)] = None
        self.by_name[_key(item)] = uid_of(item)

    def remove(self, uid: str) -> None:
        item = self.items.pop(uid, None)
        if item is not None:
            owner = owner_of(item)
            self.by_owner[owner].pop(uid, None)
            if not self.by_owner[owner]:
                del self.by_owner[owner]
            if self.by_name.get(_key(item)) == uid:
                del self.by_name[_key(item)]

    def namesake(self, item: Json) -> Json | None:
        """Another object of this name: one of the two is gone already."""
        uid = self.by_name.get(_key(item))
        return self.items[uid] if uid is not None and uid != uid_of(item) else None


class Cache:
    """Objects by kind and UID."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds = {resource: _Kind() for resource in WATCHED}
        self._gone: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self._untold: dict[str, float] = {}
        self._suspects: set[tuple[Resource, str, str]] = set()
        self.last_words = LastWords(clock)

    # --- in ---

    def put(self, resource: Resource, item: Json, source: Source) -> bool:
        """Takes an object; false if it is older than what is known, deleted meanwhile, or none that is watched."""
        item = lean({"kind": resource.kind, **item})  # items of a list carry no kind
        uid, version = uid_of(item), version_of(item)
        foreign = resource in LABEL_SELECTOR and not owner_of(item)  # read by its name; no watch will ever tell of it
        if uid in self._gone or foreign:
            return False
        namesake = self._kinds[resource].namesake(item)
        if (
            namesake is not None
        ):  # made anew under the same name: the older one is gone, whether or not a watch has told
            if version_of(namesake) > version:
                return False
            self._drop(resource, uid_of(namesake))
        self._listen(resource, uid, version, source)
        known = self._kinds[resource].items.get(uid)
        if known is not None and version_of(known) > version:
            return False
        self._kinds[resource].put(item)
        return known is None or version_of(known) < version

    def remove(self, resource: Resource, item: Json) -> None:
        """Drops an object that was deleted, for good: a UID never comes back."""
        self._drop(resource, uid_of(item))
        if resource is PODS:
            self.last_words.keep(item)

    def replace(self, resource: Resource, items: Iterable[Json], list_version: int) -> None:
        """Takes a full list: what it lacks is gone, unless it is younger than the list."""
        listed = {uid_of(item): item for item in items}
        for uid, item in list(self._kinds[resource].items.items()):
            if uid not in listed and version_of(item) <= list_version:
                self._drop(resource, uid)
        for item in listed.values():
            self.put(resource, item, "list")

    def suspect(self, resource: Resource, namespace: str, name: str) -> None:
        """Notes that a write to an object had no answer, or a stale one: it must be read before the next pass."""
        self._suspects.add((resource, namespace, name))

    def cleared(self, resource: Resource, namespace: str, name: str) -> None:
        """Ends a suspicion: the object has been read."""
        self._suspects.discard((resource, namespace, name))

    # --- out ---

    def search(self, key: SearchKey) -> Json | None:
        """The search of this namespace and name."""
        uid = self._kinds[SEARCHES].by_name.get(key)
        return self._kinds[SEARCHES].items.get(uid) if uid is not None else None

    def size(self) -> int:
        """Number of objects."""
        return sum(len(kind.items) for kind in self._kinds.values())

    def searches(self) -> list[Json]:
        """All searches."""
        return list(self._kinds[SEARCHES].items.values())

    def owned(self, resource: Resource, owner_uid: str) -> list[Json]:
        """Objects of a kind that carry the search's UID as label; events about the object of this UID."""
        kind = self._kinds[resource]
        return [kind.items[uid] for uid in kind.by_owner.get(owner_uid, ())]

    def of_namespace(self, resource: Resource, namespace: str) -> list[Json]:
        """Objects of a kind in a namespace, whoever owns them."""
        return [item for item in self._kinds[resource].items.values() if item["metadata"]["namespace"] == namespace]

    def by_uid(self, resource: Resource, uid: str) -> Json | None:
        """The object of this UID."""
        return self._kinds[resource].items.get(uid)

    def key_of(self, resource: Resource, item: Json) -> SearchKey | None:
        """The search that an object belongs to, if that is known."""
        if resource is SEARCHES:
            return _key(item)
        owner = owner_of(item)
        if resource is EVENTS:
            job = next((k.items[owner] for r, k in self._kinds.items() if r.kind == "Job" and owner in k.items), None)
            owner = owner_of(job) if job is not None else ""
        search = self._kinds[SEARCHES].items.get(owner)
        return _key(search) if search is not None else None

    def suspects(self, namespace: str) -> list[tuple[Resource, str, str]]:
        """Objects of a namespace that must be read before the next pass."""
        return [suspect for suspect in self._suspects if suspect[1] == namespace]

    def seconds_untold(self) -> float:
        """For how long the watch has owed us the oldest change that we know of by other ways."""
        return max((self._clock() - since for since in self._untold.values()), default=0)

    # --- private ---

    def _listen(self, resource: Resource, uid: str, version: int, source: Source) -> None:
        """A watch that is alive tells every change that a list or a write of ours has shown."""
        if source == "watch":
            self._told[uid] = max(version, self._told.get(uid, 0))
            known = self._kinds[resource].items.get(uid)
            if known is None or version_of(known) <= version:
                self._untold.pop(uid, None)
        elif resource is not EVENTS and self._told.get(uid, 0) < version:
            self._untold.setdefault(uid, self._clock())

    def _drop(self, resource: Resource, uid: str) -> None:
        item = self._kinds[resource].items.get(uid)
        self._kinds[resource].remove(uid)
        self._told.pop(uid, None)
        self._untold.pop(uid, None)
        self._gone[uid] = self._clock()
        if item is not None and resource is PODS:
            self.last_words.keep(item)

    def forget_gone(self, older_than_seconds: float) -> None:
        """Drops tombstones that no late event can need any more."""
        limit = self._clock() - older_than_seconds
        self._gone = {uid: when for uid, when in self._gone.items() if when > limit}
        self.last_words.forget(older_than_seconds)


def _key(item: Json) -> SearchKey:
    return SearchKey(item["metadata"].get("namespace", ""), item["metadata"]["name"])


class Lister:
    """Fills the cache by full lists, page by page, at the start and every `resync_seconds`."""

    def __init__(
        self,
        api: KubernetesApi,
        cache: Cache,
        settings: Settings,
        ring: Callable[[SearchKey], None],
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._ring = ring
        self._clock = clock
        self._last: float | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self.after_list: list[Callable[[], None]] = []
        """What else drops things when everything has just been listed."""
        self.ready = asyncio.Event()
        self.not_installed: str | None = None
        """Which kind the last list did not find at all, if it was so."""

    def seconds_since_list(self) -> float | None:
        """Age of the last full list; None before the first."""
        return None if self._last is None else self._clock() - self._last

    async def run(self) -> None:
        """Lists for ever; an error is tried again with backoff."""
        failures = 0
        while True:
            try:
                await self.list_all()
                failures, self.not_installed = 0, None
                wait = self._settings.resync_seconds
            except ApiError as error:
                failures += 1
                self.not_installed = error.message if isinstance(error, NotInstalledError) else None
                wait = min(self._settings.error_backoff_limit_seconds, 2.0 ** min(failures, 10) / 2)
                if isinstance(error, ThrottledError):
                    wait = max(wait, error.retry_after_seconds)
                log.warning("list failed", error=str(error), again_in_seconds=wait)
            await self._pause(wait)

    async def list_anew(self) -> None:
        """Waits for a full list that begins after this call: what another replica has done until now is in it."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._wake.set()
        await waiting

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    async def list_all(self) -> None:
        """One full list of every kind, then every search's bell."""
        self._wake.clear()
        waiting = list(self._waiting)
        for resource in WATCHED:
            items: list[Json] = []
            versions: list[int] = []
            for namespace in self._settings.namespaces or (None,):
                found, version = await self._list(resource, namespace)
                items += found
                versions.append(version)
            self._cache.replace(resource, items, min(versions))
        self._last = self._clock()
        self._cache.forget_gone(2 * self._settings.resync_seconds)
        for call in self.after_list:
            call()
        self.ready.set()
        for search in self._cache.searches():
            self._ring(_key(search))
        for future in waiting:
            self._waiting.remove(future)
            if not future.done():
                future.set_result(None)

    async def _list(self, resource: Resource, namespace: str | None) -> tuple[list[Json], int]:
        query = [("limit", str(self._settings.page_size))]
        if resource in LABEL_SELECTOR:
            query.append(("labelSelector", LABEL_SELECTOR[resource]))
        if resource in FIELD_SELECTOR:
            query.append(("fieldSelector", FIELD_SELECTOR[resource]))
        for _ in range(3):  # a continuation that expired twice in a row is an overloaded server: back off
            try:
                return await self._list_once(resource, namespace, query)
            except ExpiredError:
                log.info("list expired, begins anew", kind=resource.kind)
        raise ExpiredError(f"list of {resource.plural}: the continuation expired three times")

    async def _list_once(
        self, resource: Resource, namespace: str | None, query: list[tuple[str, str]]
    ) -> tuple[list[Json], int]:
        items: list[Json] = []
        try:
            page = await self._api.list_page(resource, namespace, query)
        except NotFoundError as error:  # of a list: not even an empty one
            hint = f"{resource.kind} ({resource.api_version}) is not known to the API server; apply manifests/crds"
            raise NotInstalledError(hint, status=404) from error
        version = version_of(page)  # of the first page: later pages show the same snapshot
        while True:
            items += map(lean, page.get("items") or ())
            following = page["metadata"].get("continue")
            if not following:
                return items, version
            page = await self._api.list_page(resource, namespace, [*query, ("continue", following)])
