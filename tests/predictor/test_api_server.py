"""The border to Kubernetes against an API server of a few lines on a real socket: pages, watches, faults, what is sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from bananas_predictor.api_server import ApiServerCluster, translate
from bananas_predictor.errors import (
    AlreadyExistsError,
    ClusterError,
    ExpiredError,
    NotFoundError,
    TemporaryError,
)
from bananas_predictor.settings import PodSettings

BASE = "/apis/nas.bananas.dev/v1alpha1/namespaces/team"
SETTINGS = PodSettings("team", "lemon", "0a1b", page_size=2, watch_seconds=1, retry_seconds=0.01)

TOO_OLD = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


def trial(index: int, version: int = 1, uid: str = "first") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"lemon-{index}",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {"nas.bananas.dev/search-uid": "0a1b"},
        },
        "spec": {"index": index},
    }


class Server:
    """Lists in pages, watches from a queue, and fails when told to."""

    def __init__(self) -> None:
        self.trials = [trial(index) for index in range(5)]
        self.searches = [{"metadata": {"name": "lemon", "resourceVersion": "7", "uid": "0a1b"}}]
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.lists: list[dict[str, str]] = []
        self.watches: list[dict[str, str]] = []
        self.failures: list[tuple[int, str]] = []
        """Answers to the next lists."""
        self.posted: list[tuple[str, dict[str, str], Any]] = []
        self.answer: tuple[int, Any] = (201, {})
        """To a create, read or patch."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(f"{BASE}/nastrials", self._get)
        app.router.add_get(f"{BASE}/nassearches", self._get)
        for path in ("/nastrials", "/nastrials/{name}", "/nassearches/{name}/status"):
            app.router.add_post(BASE + path, self._send)
            app.router.add_patch(BASE + path, self._send)
        app.router.add_get(f"{BASE}/nastrials/{{name}}", self._send)
        return app

    async def _get(self, request: web.Request) -> web.StreamResponse:
        items = self.trials if request.path.endswith("nastrials") else self.searches
        query = dict(request.query)
        if query.get("watch", "").lower() == "true":
            return await self._watch(request, query)
        self.lists.append({"path": request.path, **query})
        if self.failures:
            code, reason = self.failures.pop(0)
            return web.json_response({"kind": "Status", "code": code, "reason": reason}, status=code)
        start, limit = int(query.get("continue", 0)), int(query["limit"])
        more = {"continue": str(start + limit)} if start + limit < len(items) else {}
        return web.json_response({"metadata": {"resourceVersion": "10", **more}, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        self.watches.append({"path": request.path, **query})
        response = web.StreamResponse()
        await response.prepare(request)
        if not request.path.endswith("nastrials"):
            await asyncio.sleep(0.2)
            return response
        try:
            async with asyncio.timeout(float(query["timeoutSeconds"])):
                while (event := await self.events.get()) is not None:
                    await response.write(json.dumps(event).encode() + b"\n")
        except TimeoutError:
            pass
        return response

    async def _send(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.posted.append(
            (f"{request.method} {request.path_qs}", dict(request.headers), json.loads(text) if text else None)
        )
        code, body = self.answer
        return web.json_response(body, status=code)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def address(server: Server) -> AsyncIterator[str]:
    running = TestServer(server.app())
    await running.start_server()
    yield str(running.make_url("")).rstrip("/")
    await running.close()


@pytest.fixture
async def cluster(address: str) -> AsyncIterator[ApiServerCluster]:
    configuration = client.Configuration(host=address)
    async with ApiServerCluster(client.ApiClient(configuration), SETTINGS) as opened:
        yield opened


async def until(cluster: ApiServerCluster, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await cluster.wait(0.02)


def names(cluster: ApiServerCluster) -> list[str]:
    return sorted(raw["metadata"]["name"] for raw in cluster.trials())


async def test_everything_is_listed_in_pages_by_the_uid_label_before_the_first_wait_ends(
    cluster: ApiServerCluster, server: Server
) -> None:
    await cluster.wait(None)
    assert names(cluster) == [f"lemon-{index}" for index in range(5)]
    assert cluster.search() == server.searches[0]
    pages = [query for query in server.lists if query["path"].endswith("nastrials")]
    assert [query.get("continue") for query in pages] == [None, "2", "4"]
    assert {query["labelSelector"] for query in pages} == {"nas.bananas.dev/search-uid=0a1b"}
    (searches,) = [query for query in server.lists if query["path"].endswith("nassearches")]
    assert searches["fieldSelector"] == "metadata.name=lemon"


async def test_a_watch_goes_on_from_the_list_and_brings_changes(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    server.events.put_nowait({"type": "ADDED", "object": trial(5, 11)})
    server.events.put_nowait({"type": "DELETED", "object": trial(0, 12)})
    server.events.put_nowait({"type": "MODIFIED", "object": {**trial(1, 13), "status": {"phase": "Running"}}})
    await until(cluster, lambda: any("status" in raw for raw in cluster.trials()))
    assert names(cluster) == [f"lemon-{index}" for index in range(1, 6)]
    server.events.put_nowait(None)  # the server ends the watch
    trials_watched = [query for query in server.watches if query["path"].endswith("nastrials")]
    assert trials_watched[0]["resourceVersion"] == "10"
    await until(cluster, lambda: len([q for q in server.watches if q["path"].endswith("nastrials")]) > 1)
    assert [q for q in server.watches if q["path"].endswith("nastrials")][1]["resourceVersion"] == "13"


async def test_a_version_that_is_too_old_is_answered_by_a_new_list(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    server.trials = [trial(7)]
    server.events.put_nowait({"type": "ERROR", "object": TOO_OLD})
    await until(cluster, lambda: names(cluster) == ["lemon-7"])


@pytest.mark.slow
@pytest.mark.parametrize("end", [None, {"type": "ERROR", "object": TOO_OLD}], ids=["ended", "too old"])
async def test_a_server_that_ends_every_watch_at_once_is_not_flooded(
    address: str, server: Server, end: dict[str, Any] | None
) -> None:
    for _ in range(9):
        server.events.put_nowait(end)
    settings = PodSettings("team", "lemon", "0a1b", watch_seconds=1, retry_seconds=0.2)
    loop = asyncio.get_running_loop()
    async with ApiServerCluster(client.ApiClient(client.Configuration(host=address)), settings) as cluster:
        start = loop.time()
        await until(cluster, lambda: len([q for q in server.watches if q["path"].endswith("nastrials")]) >= 4)
        assert loop.time() - start >= 3 * 0.2


async def test_lists_that_fail_are_tried_again(address: str, server: Server) -> None:
    server.failures = [(500, "InternalError"), (403, "Forbidden"), (503, "ServiceUnavailable")]
    async with ApiServerCluster(client.ApiClient(client.Configuration(host=address)), SETTINGS) as cluster:
        await asyncio.wait_for(cluster.wait(None), 10)
        assert len(cluster.trials()) == 5
        assert cluster.silent_seconds() < 5


async def test_silence_is_measured_while_nobody_answers() -> None:
    settings = PodSettings("team", "lemon", "0a1b", retry_seconds=0.01)
    nobody = client.ApiClient(client.Configuration(host="http://127.0.0.1:9"))
    async with ApiServerCluster(nobody, settings) as cluster:
        first = cluster.silent_seconds()
        async with asyncio.timeout(10):
            while cluster.silent_seconds() < first + 0.2:
                await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cluster.wait(None), 0.05)


async def test_a_created_trial_is_in_the_view_at_once(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    server.answer = (201, trial(8))
    await cluster.create_trial({"metadata": {"name": "lemon-8"}})
    assert "lemon-8" in names(cluster)
    request, _, body = server.posted[0]
    assert request == f"POST {BASE}/nastrials?fieldManager=bananas-predictor"
    assert body == {"metadata": {"name": "lemon-8"}}


async def test_an_answer_that_comes_after_the_watch_does_not_replace_what_the_watch_brought(
    cluster: ApiServerCluster, server: Server
) -> None:
    await cluster.wait(None)
    server.events.put_nowait({"type": "ADDED", "object": {**trial(8, 12), "status": {"phase": "Running"}}})
    await until(cluster, lambda: "lemon-8" in names(cluster))
    server.answer = (201, trial(8, 11))
    await cluster.create_trial({"metadata": {"name": "lemon-8"}})
    assert any(raw.get("status") == {"phase": "Running"} for raw in cluster.trials())


def phase(cluster: ApiServerCluster, name: str) -> str | None:
    (raw,) = [raw for raw in cluster.trials() if raw["metadata"]["name"] == name]
    found: str | None = raw["status"]["phase"] if "status" in raw else None
    return found


async def test_a_watch_that_lags_does_not_replace_what_an_answer_brought(
    cluster: ApiServerCluster, server: Server
) -> None:
    await cluster.wait(None)
    server.answer = (200, {**trial(1, 15), "status": {"phase": "Succeeded"}})
    await cluster.read_trial("lemon-1")
    assert phase(cluster, "lemon-1") == "Succeeded"  # newer than what was listed
    server.events.put_nowait({"type": "MODIFIED", "object": {**trial(1, 12), "status": {"phase": "Running"}}})
    server.events.put_nowait({"type": "ADDED", "object": trial(9, 13)})
    await until(cluster, lambda: "lemon-9" in names(cluster))
    assert phase(cluster, "lemon-1") == "Succeeded"
    server.events.put_nowait({"type": "MODIFIED", "object": {**trial(1, 16), "status": {"phase": "Failed"}}})
    await until(cluster, lambda: phase(cluster, "lemon-1") == "Failed")


async def test_versions_are_compared_as_numbers_and_of_one_uid_only(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    server.events.put_nowait({"type": "MODIFIED", "object": {**trial(1, 99), "status": {"phase": "Running"}}})
    server.events.put_nowait({"type": "MODIFIED", "object": {**trial(1, 100), "status": {"phase": "Failed"}}})
    await until(cluster, lambda: phase(cluster, "lemon-1") == "Failed")
    # Restored from a backup, or of another store: another object, whatever its number.
    server.events.put_nowait({"type": "ADDED", "object": {**trial(1, 5, "second"), "status": {"phase": "Pending"}}})
    await until(cluster, lambda: phase(cluster, "lemon-1") == "Pending")
    server.events.put_nowait({"type": "DELETED", "object": trial(1, 101, "first")})
    server.events.put_nowait({"type": "ADDED", "object": trial(9, 102)})
    await until(cluster, lambda: "lemon-9" in names(cluster))
    assert phase(cluster, "lemon-1") == "Pending"
    server.events.put_nowait({"type": "DELETED", "object": trial(1, 103, "second")})
    await until(cluster, lambda: "lemon-1" not in names(cluster))


async def test_an_answer_of_another_uid_waits_for_the_watch(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    server.answer = (200, {**trial(1, 50, "second"), "status": {"phase": "Pending"}})
    await cluster.read_trial("lemon-1")
    assert phase(cluster, "lemon-1") is None


async def test_a_read_trial_is_in_the_view_only_with_our_label(cluster: ApiServerCluster, server: Server) -> None:
    await cluster.wait(None)
    foreign = trial(8)
    foreign["metadata"]["labels"] = {}
    server.answer = (200, foreign)
    assert await cluster.read_trial("lemon-8") == foreign
    assert "lemon-8" not in names(cluster)
    server.answer = (200, trial(9))
    await cluster.read_trial("lemon-9")
    assert "lemon-9" in names(cluster)


async def test_the_status_is_written_by_server_side_apply(cluster: ApiServerCluster, server: Server) -> None:
    server.answer = (200, {})
    body = {"metadata": {"name": "lemon", "uid": "0a1b"}, "status": {"predictor": {"resultsSeen": 3}}}
    await cluster.apply_search_status(body)
    request, headers, sent = server.posted[0]
    assert request == f"PATCH {BASE}/nassearches/lemon/status?fieldManager=bananas-predictor&force=true"
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert sent == body


@pytest.mark.parametrize(
    ("code", "reason", "message", "want"),
    [
        (409, "AlreadyExists", "", AlreadyExistsError),
        (409, "Conflict", "", TemporaryError),
        (404, "NotFound", "", NotFoundError),
        (410, "Expired", "", ExpiredError),
        (
            403,
            "Forbidden",
            "unable to create new content in namespace team because it is being terminated",
            TemporaryError,
        ),
        (403, "Forbidden", "exceeded quota", ClusterError),
        (422, "Invalid", "spec.index", ClusterError),
        (429, "TooManyRequests", "", TemporaryError),
        (500, "InternalError", "", TemporaryError),
        (503, "ServiceUnavailable", "", TemporaryError),
    ],
)
async def test_a_refusal_becomes_an_error_that_says_whether_it_may_pass(
    cluster: ApiServerCluster, server: Server, code: int, reason: str, message: str, want: type[ClusterError]
) -> None:
    server.answer = (code, {"kind": "Status", "code": code, "reason": reason, "message": message})
    with pytest.raises(ClusterError) as caught:
        await cluster.create_trial({"metadata": {"name": "lemon-8"}})
    assert type(caught.value) is want
    assert reason in str(caught.value)


async def test_a_connection_that_breaks_may_pass() -> None:
    nobody = client.ApiClient(client.Configuration(host="http://127.0.0.1:9"))
    async with ApiServerCluster(nobody, SETTINGS) as cluster:
        with pytest.raises(TemporaryError):
            await cluster.create_trial({"metadata": {"name": "lemon-8"}})


def test_an_answer_without_a_code_may_pass() -> None:
    assert type(translate(client.ApiException(status=None, reason="reset"))) is TemporaryError
