"""An API server of our own on a real socket, with faults: for the operator's layers that talk to one.

It keeps what those layers rely on: resourceVersions that rise, 409 for a stale one, the split of status from spec, UID
preconditions, paging over one snapshot, watches, background deletion of what is owned. Everything else of Kubernetes is
tested on a real cluster.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

Object = dict[str, Any]

RESOURCES = {
    ("nas.bananas.dev", "v1alpha1", "nassearches"): "NASSearch",
    ("nas.bananas.dev", "v1alpha1", "nastrials"): "NASTrial",
    ("batch", "v1", "jobs"): "Job",
    ("", "v1", "pods"): "Pod",
    ("", "v1", "events"): "Event",
    ("", "v1", "namespaces"): "Namespace",
    ("", "v1", "serviceaccounts"): "ServiceAccount",
    ("", "v1", "configmaps"): "ConfigMap",
    ("", "v1", "persistentvolumeclaims"): "PersistentVolumeClaim",
    ("", "v1", "nodes"): "Node",
    ("", "v1", "resourcequotas"): "ResourceQuota",
    ("apps", "v1", "deployments"): "Deployment",
    ("coordination.k8s.io", "v1", "leases"): "Lease",
    ("rbac.authorization.k8s.io", "v1", "rolebindings"): "RoleBinding",
}
KINDS = {kind: key for key, kind in RESOURCES.items()}
WITH_STATUS = ("NASSearch", "NASTrial", "Job", "Pod", "Deployment")
PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>status))?$"
)
SET = re.compile(r"([^,&\s]+) in \(([^)]*)\)")
"""A term of a label selector that names several values."""


@dataclass
class Fault:
    """What happens to the next requests that match: before they are done, or after (the answer is lost)."""

    method: str
    path: str
    status: int = 500
    reason: str = "InternalError"
    message: str = "fault of a test"
    times: int = 1
    answer_lost: bool = False

    def matches(self, request: web.Request) -> bool:
        return self.times > 0 and request.method == self.method and re.search(self.path, request.path_qs) is not None


@dataclass(frozen=True)
class Call:
    """A request that was made."""

    method: str
    path: str
    status: int
    body: Any = None
    query: str = ""
    token: str = ""
    """Who asked, where a test gives its operators tokens of their own."""
    at: float = field(default_factory=time.monotonic)


class StatusError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message or reason


@dataclass
class FakeApi:
    """The server's state. Tests may read and change it directly."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    """Kinds whose watches tell nothing at the moment (and never make good for it)."""
    lag: dict[str, float] = field(default_factory=dict)
    """Kind -> seconds by which its watches are late at the moment."""
    missing: set[str] = field(default_factory=set)
    """Kinds that the server does not have: their CRDs are not installed."""
    retry_after: float | None = None
    """Seconds in the header Retry-After of every 429."""
    on_change: list[Callable[[str, Object], None]] = field(default_factory=list)
    refuse_create: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Kind -> (status, message) of every create, dry runs included."""
    admission: Callable[[str, Object], None] = lambda _kind, _item: None
    """A mutating webhook: changes whatever is to be made or replaced."""
    version: int = 1000
    address: str = ""
    _watchers: list[tuple[str, str | None, str, asyncio.Queue[Object | None]]] = field(default_factory=list)
    _snapshots: dict[str, tuple[int, list[Object]]] = field(default_factory=dict)
    _history: list[tuple[int, str, str, Object]] = field(default_factory=list)

    # --- for tests ---

    def get(self, kind: str, name: str, namespace: str = "lab") -> Object:
        return deepcopy(self.objects[kind, namespace, name])

    def find(self, kind: str, name: str, namespace: str = "lab") -> Object | None:
        found = self.objects.get((kind, namespace, name))
        return deepcopy(found) if found is not None else None

    def all(self, kind: str, namespace: str = "lab") -> list[Object]:
        return [deepcopy(item) for (k, ns, _), item in self.objects.items() if k == kind and ns == namespace]

    def create(self, kind: str, body: Object, namespace: str = "lab") -> Object:
        item = deepcopy(body)
        metadata = item.setdefault("metadata", {})
        if "generateName" in metadata and "name" not in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        if (kind, namespace, metadata["name"]) in self.objects:
            raise StatusError(409, "AlreadyExists", f"{kind} {metadata['name']} already exists")
        group, version, _ = KINDS[kind]
        item["kind"], item["apiVersion"] = kind, f"{group}/{version}" if group else version
        metadata["namespace"] = namespace
        metadata["uid"] = str(uuid.uuid4())
        metadata.setdefault("creationTimestamp", _now())
        metadata["generation"] = 1
        if kind in WITH_STATUS and kind.startswith("NAS"):
            item.pop("status", None)
        self._store(kind, item, "ADDED")
        return deepcopy(item)

    def restore(self, item: Object) -> None:
        """An object as it lay in etcd: with its UID and status."""
        self.version = max(self.version, int(item["metadata"]["resourceVersion"]))
        self._store(item["kind"], deepcopy(item), "ADDED")

    def update(self, kind: str, name: str, change: Callable[[Object], None], namespace: str = "lab") -> Object:
        """What a controller of Kubernetes, or a person, does to an object."""
        item = self.get(kind, name, namespace)
        spec = deepcopy(item.get("spec"))
        change(item)
        if item.get("spec") != spec:
            item["metadata"]["generation"] += 1
        self._store(kind, item, "MODIFIED")
        return deepcopy(item)

    def delete(self, kind: str, name: str, namespace: str = "lab") -> None:
        item = self.objects.pop((kind, namespace, name))
        self.version += 1
        item = deepcopy(item)
        item["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", kind, item)
        uid = item["metadata"]["uid"]
        owned = [
            key
            for key, other in self.objects.items()
            if uid in [owner["uid"] for owner in other["metadata"].get("ownerReferences") or ()]
        ]
        for other_kind, ns, other_name in owned:
            if (other_kind, ns, other_name) in self.objects:
                self.delete(other_kind, other_name, ns)

    def writes(self, *, method: str | None = None, contains: str = "") -> list[Call]:
        """Successful writes; dry runs and renewals of the operator's Lease left out."""
        return [
            call
            for call in self.calls
            if call.method != "GET"
            and call.status < 300
            and "dryRun" not in call.query
            and "/leases" not in call.path
            and (method is None or call.method == method)
            and contains in call.path
        ]

    # --- state ---

    def _store(self, kind: str, item: Object, event: str) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.objects[kind, item["metadata"]["namespace"], item["metadata"]["name"]] = deepcopy(item)
        self._tell(event, kind, item)
        for listener in self.on_change:
            listener(kind, item)

    def _tell(self, event: str, kind: str, item: Object) -> None:
        self._history.append((self.version, event, kind, deepcopy(item)))
        if kind in self.deaf:
            return
        for watched, namespace, selector, queue in self._watchers:
            if watched == kind and namespace in (None, item["metadata"]["namespace"]) and _selected(item, selector):
                queue.put_nowait({"type": event, "object": deepcopy(item)})

    def replay(self, kind: str, count: int) -> None:
        """Tells the last events of a kind once more, as a watch does that was begun anew too early."""
        events = [(event, item) for _, event, of_kind, item in self._history if of_kind == kind][-count:]
        for watched, _, selector, queue in self._watchers:
            for event, item in events:
                if watched == kind and _selected(item, selector):
                    queue.put_nowait({"type": event, "object": deepcopy(item)})

    def cut_watches(self) -> None:
        """Ends all watches, as a restart of the API server does."""
        for *_, queue in self._watchers:
            queue.put_nowait(None)

    # --- HTTP ---

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeApi"]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.cut_watches()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        fault = next((fault for fault in self.faults if fault.matches(request)), None)
        if fault is not None:
            fault.times -= 1
            if fault.answer_lost:
                self._answer(request, body)  # it happens, and nobody learns of it
                self.calls.append(Call(request.method, request.path, 200, body, request.query_string, _token(request)))
                if request.transport is not None:
                    request.transport.close()
                return web.Response(status=500)
            self.calls.append(
                Call(request.method, request.path, fault.status, body, request.query_string, _token(request))
            )
            return _status(StatusError(fault.status, fault.reason, fault.message), self.retry_after)
        if self._is_missing(request.path):
            self.calls.append(Call(request.method, request.path, 404, body, request.query_string, _token(request)))
            return _status(StatusError(404, "NotFound", "the server could not find the requested resource"))
        if request.query.get("watch") in ("true", "1"):
            return await self._watch(request)
        try:
            answer, code = self._answer(request, body), 200
        except StatusError as error:
            self.calls.append(
                Call(request.method, request.path, error.code, body, request.query_string, _token(request))
            )
            return _status(error)
        self.calls.append(Call(request.method, request.path, code, body, request.query_string, _token(request)))
        return web.json_response(answer, status=code)

    def _is_missing(self, path: str) -> bool:
        match = PATH.match(path)
        return match is not None and RESOURCES.get(_resource(match)) in self.missing

    def _answer(self, request: web.Request, body: Any) -> Object:
        if request.path in ("/api", "/apis") or re.fullmatch(r"/apis?(/[^/]+)?/v[^/]+", request.path):
            return _discovery(request.path, self.missing)
        match = PATH.match(request.path)
        if match is None:
            raise StatusError(404, "NotFound", f"no path {request.path}")
        kind = RESOURCES[_resource(match)]
        namespace, name, sub = match["namespace"], match["name"], match["sub"]
        if request.method == "GET":
            return deepcopy(self._existing(kind, namespace, name)) if name else self._list(kind, namespace, request)
        if request.method == "POST":
            return self._post(kind, namespace, body, request)
        change = {
            "PATCH": lambda: self._patch(kind, namespace, name, sub, body),
            "PUT": lambda: self._put(kind, namespace, name, body),
            "DELETE": lambda: (
                self._delete(kind, namespace, name, body or {}) if name else self._delete_all(kind, namespace, request)
            ),
        }
        return change[request.method]()

    def _existing(self, kind: str, namespace: str, name: str) -> Object:
        try:
            return self.objects[kind, namespace, name]
        except KeyError:
            raise StatusError(404, "NotFound", f"{kind} {name} not found") from None

    def _list(self, kind: str, namespace: str | None, request: web.Request) -> Object:
        query = request.query
        token = query.get("continue")
        if token is not None:
            if token not in self._snapshots:
                raise StatusError(410, "Expired", "the continuation is too old")
            seen_at, items = self._snapshots.pop(token)
        else:
            selector = _selector_of(request)
            seen_at = self.version  # later pages show this moment, and say so: a watch goes on from it
            items = [
                deepcopy(item)
                for (k, ns, _), item in sorted(self.objects.items())
                if k == kind and namespace in (None, ns) and _selected(item, selector)
            ]
        limit = int(query.get("limit", "0")) or len(items) or 1
        page, rest = items[:limit], items[limit:]
        metadata: Object = {"resourceVersion": str(seen_at)}
        if rest:
            metadata["continue"] = uuid.uuid4().hex
            self._snapshots[metadata["continue"]] = seen_at, rest
        for item in page:  # as a real server: items of a list carry neither
            item.pop("kind", None)
            item.pop("apiVersion", None)
        group, version, _ = KINDS[kind]
        return {
            "kind": f"{kind}List",
            "apiVersion": f"{group}/{version}" if group else version,
            "metadata": metadata,
            "items": page,
        }

    def _post(self, kind: str, namespace: str, body: Object, request: web.Request) -> Object:
        if kind in self.refuse_create:
            code, message = self.refuse_create[kind]
            raise StatusError(code, "Forbidden" if code == 403 else "Invalid", message)
        self.admission(kind, body)
        if request.query.get("dryRun") == "All":
            return body
        made = self.create(kind, body, namespace)
        owners = {owner["uid"] for owner in made["metadata"].get("ownerReferences") or ()}
        if owners and owners.isdisjoint(item["metadata"]["uid"] for item in self.objects.values()):
            self.delete(kind, made["metadata"]["name"], namespace)  # the garbage collector: its owner is gone
        return made

    def _patch(self, kind: str, namespace: str, name: str, sub: str | None, body: Object) -> Object:
        item = deepcopy(self._existing(kind, namespace, name))
        given = body.get("metadata") or {}
        for key, reason in (("uid", "Conflict"), ("resourceVersion", "Conflict")):
            if key in given and given[key] != item["metadata"][key]:
                raise StatusError(409, reason, f"{key} is {item['metadata'][key]}, not {given[key]}")
        before = deepcopy(item)
        part = {"status": body.get("status")} if sub == "status" else {k: v for k, v in body.items() if k != "status"}
        _merge(item, part)
        item["metadata"] = {**before["metadata"], **({} if sub else item["metadata"])}
        if item == before:
            return item
        if item.get("spec") != before.get("spec"):
            item["metadata"]["generation"] += 1
        self._store(kind, item, "MODIFIED")
        return item

    def _put(self, kind: str, namespace: str, name: str, body: Object) -> Object:
        before = self._existing(kind, namespace, name)
        self.admission(kind, body)
        metadata = {**before["metadata"], **body["metadata"]}
        item = {**deepcopy(body), "metadata": metadata, "status": before.get("status", {})}
        self._store(kind, item, "MODIFIED")
        return item

    def _delete(self, kind: str, namespace: str, name: str, options: Object) -> Object:
        item = self._existing(kind, namespace, name)
        want = (options.get("preconditions") or {}).get("uid")
        if want is not None and want != item["metadata"]["uid"]:
            raise StatusError(409, "Conflict", f"the UID is {item['metadata']['uid']}, not {want}")
        owned = [
            other
            for other in self.objects.values()
            if item["metadata"]["uid"] in [owner["uid"] for owner in other["metadata"].get("ownerReferences") or ()]
        ]
        if options.get("propagationPolicy") == "Foreground" and owned:
            for going in (item, *owned):  # each of the owned ends in its own time, and the owner with the last of them
                self.update(
                    going["kind"],
                    going["metadata"]["name"],
                    lambda found: found["metadata"].setdefault("deletionTimestamp", _now()),
                    namespace,
                )
            return self.get(kind, name, namespace)
        self.delete(kind, name, namespace)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}

    def _delete_all(self, kind: str, namespace: str, request: web.Request) -> Object:
        deleted = self._list(kind, namespace, request)
        for item in deleted["items"]:
            self.delete(kind, item["metadata"]["name"], namespace)
        return deleted

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        match = PATH.match(request.path)
        assert match is not None
        kind = RESOURCES[_resource(match)]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        queue: asyncio.Queue[Object | None] = asyncio.Queue()
        selector = _selector_of(request)
        since = int(request.query.get("resourceVersion", self.version))
        for version, event, of_kind, item in self._history:
            if version > since and of_kind == kind and kind not in self.deaf and _selected(item, selector):
                queue.put_nowait({"type": event, "object": item})
        watcher = (kind, match["namespace"], selector, queue)
        self._watchers.append(watcher)
        try:
            while (told := await queue.get()) is not None:
                await asyncio.sleep(self.lag.get(kind, 0))
                await response.write(json.dumps(told).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            self._watchers.remove(watcher)
        return response


def _token(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _selector_of(request: web.Request) -> str:
    return "&".join(filter(None, (request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))))


def _selected(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for key, values in SET.findall(selector):
        if labels.get(key) not in values.split(","):
            return False
    for term in filter(None, re.split("[,&]", SET.sub("", selector))):
        key, equals, value = term.partition("=")
        if key.startswith(("involvedObject.", "metadata.", "reason")) and "/" not in key:
            found: Any = item
            for part in key.split("."):
                found = found.get(part, {})
            if found != value:
                return False
        elif (equals and labels.get(key) != value) or (not equals and key not in labels):
            return False
    return True


def _merge(into: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value)
        else:
            into[key] = deepcopy(value)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _resource(match: re.Match[str]) -> tuple[str, str, str]:
    return match["group"] or "", match["version"], match["plural"]


def _status(error: StatusError, retry_after: float | None = None) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
    }
    headers = {"Retry-After": f"{retry_after:g}"} if error.code == 429 and retry_after is not None else {}
    return web.json_response(body, status=error.code, headers=headers)


def _discovery(path: str, missing: set[str]) -> Object:
    groups = sorted(
        {(group, version) for (group, version, _), kind in RESOURCES.items() if group and kind not in missing}
    )
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                    "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                }
                for group, version in groups
            ],
        }
    parts = path.strip("/").split("/")
    group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}
        for (g, v, plural), kind in RESOURCES.items()
        if (g, v) == (group, version) and kind not in missing
    ]
    resources += [{**r, "name": f"{r['name']}/status"} for r in resources if r["kind"] in WITH_STATUS]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }
