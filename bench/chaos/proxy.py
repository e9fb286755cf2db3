"""A proxy between our pods and the API server that misbehaves on command.

It speaks TLS with the API server's own certificate, and a rule of the packet filter leads to it what pods send to the
service `kubernetes`: so the operator and the predictors run as shipped and notice nothing but a bad API server. Kubernetes'
own parts, the judge and `run` pass it by. Faults strike the next requests, or every watch that is open.
"""

import asyncio
import json
import random
import shlex
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from bench.chaos.schedule import Kind
from devcluster import addresses, commands, credentials
from devcluster.paths import Paths

PORT = 16443
RULE = (
    f"PREROUTING -s {addresses.POD_RANGE} -d 10.0.0.1/32 -p tcp --dport 443 -m comment --comment bananas-chaos "
    f"-j DNAT --to-destination {addresses.HOST}:{PORT}"
)
REQUESTS = 6
"""That a fault strikes."""
WINDOW_SECONDS = 8.0
"""After which it strikes no more, however few came."""
STALL_SECONDS = (4.0, 9.0)
SLOW_SECONDS = (0.5, 3.0)
REPLAYED = 20
"""Most events of the past that a watch gets once more."""
ERRORS = (
    (429, "TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    (500, "InternalError", "an error on the server has prevented the request from succeeding"),
    (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    (504, "Timeout", "the server was unable to return a response in the time allotted"),
)
OF_THE_CONNECTION = ("host", "content-length", "connection", "transfer-encoding", "accept-encoding")
CONFLICT = (
    409,
    "Conflict",
    "the object has been modified; please apply your changes to the latest version and try again",
)


@dataclass(eq=False)
class Watch:
    """An open watch, and what it told."""

    past: deque[bytes] = field(default_factory=lambda: deque(maxlen=50))
    orders: list[Kind] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Between whom the proxy stands."""

    upstream: str
    trust: ssl.SSLContext | bool
    served: ssl.SSLContext | None
    host: str
    port: int

    @staticmethod
    def of_cluster(paths: Paths) -> "Place":
        """Before the API server, and with its certificate: no client can tell."""
        certificate = credentials.server_certificate(paths)
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate, certificate.with_suffix(".key"))
        return Place(
            f"https://{addresses.HOST}:{addresses.API_SERVER_PORT}",
            ssl.create_default_context(cafile=str(certificate)),
            served,
            addresses.HOST,
            PORT,
        )


@dataclass
class Armed:
    """A fault that waits for requests."""

    left: int
    until: float


class Proxy:
    """Runs in a thread; `strike` may be called from any other."""

    def __init__(self, place: Place, seed: int, hit: Callable[[Kind], None]) -> None:
        """`hit` is told of every request or watch that a fault struck."""
        self._place = place
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._hit = hit
        self._armed: dict[Kind, Armed] = {}
        self._watches: set[Watch] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        """Listens."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError(f"the proxy does not listen on port {self._place.port}")
        return self

    def __exit__(self, *_: object) -> None:
        """Ends, and cuts what is open."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def strike(self, kind: Kind) -> None:
        """Begins a fault of the API."""
        self._loop.call_soon_threadsafe(self._strike, kind)

    def _strike(self, kind: Kind) -> None:
        if kind in (Kind.API_ERRORS, Kind.API_SLOW, Kind.ANSWERS_LOST):
            self._armed[kind] = Armed(REQUESTS, time.monotonic() + WINDOW_SECONDS)
            return
        for watch in self._watches:
            watch.orders.append(kind)

    def _takes(self, kind: Kind) -> bool:
        """Whether a fault that waits strikes this request."""
        armed = self._armed.get(kind)
        if armed is None or armed.left <= 0 or time.monotonic() > armed.until:
            return False
        armed.left -= 1
        self._hit(kind)
        return True

    # --- serving ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.close()

    async def _start(self) -> None:
        place = self._place
        self._session = aiohttp.ClientSession(
            place.upstream,
            connector=aiohttp.TCPConnector(ssl=place.trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, place.host, place.port, ssl_context=place.served, reuse_address=True).start()

    async def _stop(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._takes(Kind.API_SLOW):
            await asyncio.sleep(self._rng.uniform(*SLOW_SECONDS))
        if self._takes(Kind.API_ERRORS):
            return self._refuse(request)
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OF_THE_CONNECTION}
        headers["Accept-Encoding"] = "identity"
        try:
            body = await request.read()
            answer = await self._session.request(
                request.method,
                request.path_qs,
                headers=headers,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type", "User-Agent"),
            )
        except (aiohttp.ClientError, OSError):
            return self._cut(request)
        async with answer:
            if request.query.get("watch") in ("1", "true") and answer.status == 200:
                return await self._watch(request, answer)
            try:
                content = await answer.read()
            except (aiohttp.ClientError, OSError):
                return self._cut(request)
        if request.method != "GET" and self._takes(Kind.ANSWERS_LOST):
            return self._cut(request)  # it was done, and nobody learns of it
        kept = {k: v for k, v in answer.headers.items() if k.lower() in ("content-type", "retry-after", "warning")}
        return web.Response(status=answer.status, body=content, headers=kept)

    def _refuse(self, request: web.Request) -> web.Response:
        kinds = (*ERRORS, CONFLICT) if request.method in ("PATCH", "PUT", "DELETE") else ERRORS
        code, reason, message = self._rng.choice(kinds)
        return web.Response(status=code, body=status(code, reason, message), content_type="application/json")

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)

    # --- watches ---

    async def _watch(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        out = web.StreamResponse(headers={"Content-Type": "application/json"})
        watch = Watch()
        self._watches.add(watch)
        try:
            await out.prepare(request)
            await self._pass_on(request, answer, out, watch)
        except (aiohttp.ClientError, ConnectionError, OSError):
            self._cut(request)
        finally:
            self._watches.discard(watch)
        return out

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, out: web.StreamResponse, watch: Watch
    ) -> None:
        buffer = b""
        following = asyncio.ensure_future(answer.content.readany())
        try:
            while True:
                done, _ = await asyncio.wait([following], timeout=0.1)
                for kind in watch.orders:
                    if await self._disturb(kind, request, out, watch):
                        return
                watch.orders.clear()
                if not done:
                    continue
                chunk = following.result()
                if not chunk:
                    return
                *lines, buffer = (buffer + chunk).split(b"\n")
                watch.past.extend(line for line in lines if line)
                if lines:
                    await out.write(b"\n".join([*lines, b""]))
                following = asyncio.ensure_future(answer.content.readany())
        finally:
            following.cancel()

    async def _disturb(self, kind: Kind, request: web.Request, out: web.StreamResponse, watch: Watch) -> bool:
        """True where the watch has ended."""
        self._hit(kind)
        if kind is Kind.WATCHES_CUT:
            self._cut(request)
            return True
        if kind is Kind.WATCHES_EXPIRED:
            gone = json.loads(status(410, "Expired", "too old resource version"))
            await out.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return True
        if kind is Kind.WATCHES_STALLED:
            await asyncio.sleep(self._rng.uniform(*STALL_SECONDS))
        elif watch.past:  # as a watch that begins at an older revision: everything since, once more
            await out.write(b"\n".join([*list(watch.past)[-self._rng.randint(1, REPLAYED) :], b""]))
        return False


def status(code: int, reason: str, message: str) -> bytes:
    """The body of an error of the API."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return json.dumps(body).encode()


class Redirected:
    """While it is open, what pods send to the API server goes to the proxy."""

    def __enter__(self) -> None:
        """Puts the rule in front of kube-proxy's."""
        remove_rule()
        commands.run(["iptables", "--wait", "-t", "nat", "-I", *shlex.split(RULE)])

    def __exit__(self, *_: object) -> None:
        """Takes it away."""
        remove_rule()


def remove_rule() -> None:
    """Also where an earlier run left it."""
    while commands.succeeds(["iptables", "--wait", "-t", "nat", "-D", *shlex.split(RULE)]):
        pass
