"""The proxy passes everything on, and misbehaves exactly as it is told."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bench.chaos.proxy import REQUESTS, Place, Proxy
from bench.chaos.schedule import Kind


class Upstream:
    """An API server with one watch and a counter of writes."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.events: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            out = web.StreamResponse()
            await out.prepare(request)
            while (event := await self.events.get()) is not None:
                await out.write(json.dumps(event).encode() + b"\n")
            return out
        if request.method != "GET":
            self.writes.append(await request.text())
        return web.json_response(
            {
                "path": request.path_qs,
                "token": request.headers.get("Authorization"),
                "type": request.headers.get("Content-Type"),
            }
        )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Lab:
    """Upstream, proxy and client."""

    def __init__(self, upstream: Upstream, proxy: Proxy, client: aiohttp.ClientSession, hits: Counter[Kind]) -> None:
        self.upstream, self.proxy, self.client, self.hits = upstream, proxy, client, hits

    async def strike(self, kind: Kind) -> None:
        self.proxy.strike(kind)
        done = asyncio.Event()
        own = asyncio.get_running_loop()
        self.proxy._loop.call_soon_threadsafe(lambda: own.call_soon_threadsafe(done.set))
        await done.wait()


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    there, here = free_port(), free_port()
    await web.TCPSite(runner, "127.0.0.1", there).start()
    hits: Counter[Kind] = Counter()
    place = Place(f"http://127.0.0.1:{there}", True, None, "127.0.0.1", here)
    with Proxy(place, 1, lambda kind: hits.update([kind])) as proxy:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{here}") as client:
            yield Lab(upstream, proxy, client, hits)
    for _ in range(2):
        upstream.events.put_nowait(None)
    await runner.cleanup()


async def test_requests_pass_with_query_and_credentials(lab: Lab) -> None:
    async with lab.client.get("/api/v1/pods?limit=5", headers={"Authorization": "Bearer x"}) as answer:
        assert answer.status == 200
        assert await answer.json() == {"path": "/api/v1/pods?limit=5", "token": "Bearer x", "type": None}


async def test_errors_strike_as_many_requests_as_said_and_do_nothing(lab: Lab) -> None:
    await lab.strike(Kind.API_ERRORS)
    statuses = []
    for _ in range(REQUESTS + 3):
        async with lab.client.patch("/x", data="w") as answer:
            statuses.append(answer.status)
    assert all(status in (409, 429, 500, 503, 504) for status in statuses[:REQUESTS])
    assert statuses[REQUESTS:] == [200] * 3
    assert len(lab.upstream.writes) == 3
    assert lab.hits == {Kind.API_ERRORS: REQUESTS}


async def test_a_lost_answer_is_one_to_a_write_that_was_done(lab: Lab) -> None:
    await lab.strike(Kind.ANSWERS_LOST)
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await lab.client.post("/x", data="w")
    assert lab.upstream.writes == ["w"]
    async with lab.client.get("/x") as answer:
        assert answer.status == 200


async def watch(lab: Lab) -> aiohttp.ClientResponse:
    answer = await lab.client.get("/x?watch=1")
    for number in range(3):
        lab.upstream.events.put_nowait({"type": "ADDED", "number": number})
    for number in range(3):
        assert json.loads(await answer.content.readline())["number"] == number
    return answer


async def test_a_watch_that_is_replayed_tells_the_newest_once_more(lab: Lab) -> None:
    answer = await watch(lab)
    await lab.strike(Kind.WATCHES_REPLAYED)
    last = None
    while last != 2:
        last = json.loads(await answer.content.readline())["number"]
    lab.upstream.events.put_nowait({"type": "ADDED", "number": 3})
    assert json.loads(await answer.content.readline())["number"] == 3
    assert lab.hits == {Kind.WATCHES_REPLAYED: 1}


async def test_a_watch_that_expires_says_410_and_ends(lab: Lab) -> None:
    answer = await watch(lab)
    await lab.strike(Kind.WATCHES_EXPIRED)
    event = json.loads(await answer.content.readline())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert await answer.content.readline() == b""


async def test_a_watch_that_is_cut_breaks_off(lab: Lab) -> None:
    answer = await watch(lab)
    await lab.strike(Kind.WATCHES_CUT)
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await answer.content.readline()


@pytest.mark.slow
async def test_a_watch_that_stalls_loses_nothing(lab: Lab) -> None:
    answer = await watch(lab)
    await lab.strike(Kind.WATCHES_STALLED)
    began = asyncio.get_running_loop().time()
    lab.upstream.events.put_nowait({"type": "ADDED", "number": 3})
    assert json.loads(await answer.content.readline())["number"] == 3
    assert asyncio.get_running_loop().time() - began > 2
