"""The operator's port: /healthz, /livez, /metrics, and progress posted by trainers.

Progress is checked against the cache and kept in memory by the leader; a follower sends it on. Nothing here writes to the
cluster.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_core.api.trial import TERMINAL_PHASES
from bananas_core.contract import ProgressMessage
from bananas_core.errors import ContractError
from bananas_operator.cache import Cache, owner_of
from bananas_operator.election import Election
from bananas_operator.health import Health
from bananas_operator.memory import Memory
from bananas_operator.parse import read_status
from bananas_operator.queue import SearchKey
from bananas_operator.resources import JOBS, TRIALS

log = structlog.get_logger()

MAX_BODY_BYTES = 4096
"""A progress message has at most about 600."""
FORWARDED = "X-Bananas-Forwarded"
"""Set on progress that a follower sends on: where two replicas each take the other for the leader, it ends there."""
FORWARD_SECONDS = 3
RING_SECONDS = 1.0
"""Progress of many trials makes one pass."""


class Http:
    """The handlers."""

    def __init__(
        self,
        cache: Cache,
        memory: Memory,
        registry: CollectorRegistry,
        health: Health,
        ring: Callable[[SearchKey, float], None],
        election: Election,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cache = cache
        self._memory = memory
        self._registry = registry
        self._health = health
        self._ring = ring
        self._election = election
        self._clock = clock

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post(constants.PROGRESS_PATH, self._progress)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._health.problems())

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self._health.ailments())

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _progress(self, request: web.Request) -> web.Response:
        try:
            message = ProgressMessage.read(await request.text())
        except (ContractError, UnicodeDecodeError) as error:
            return web.Response(status=400, text=f"{error}\n")
        if not self._election.leads:
            return await self._send_on(message, forwarded=FORWARDED in request.headers)
        trial = self._cache.by_uid(TRIALS, message.trial_uid)
        known = trial is not None and trial["metadata"]["name"] == message.trial
        if trial is None or not known or trial["metadata"]["namespace"] != message.namespace:
            return web.Response(
                status=404, text=f"no trial {message.namespace}/{message.trial} of UID {message.trial_uid}\n"
            )
        search_uid = owner_of(trial)
        status, _ = read_status(NASTrialStatus, trial.get("status") or {})
        current = max(status.attempts, self._newest_attempt(search_uid, message.trial_uid))
        if message.attempt != current or current <= status.settled_attempt or status.phase in TERMINAL_PHASES:
            return web.Response(
                status=409,
                text=f"attempt {message.attempt} is over; the current one is {current}, phase {status.phase}\n",
            )
        self._memory.of(search_uid).hear(message, self._clock())
        key = self._cache.key_of(TRIALS, trial)
        if key is not None:
            self._ring(key, RING_SECONDS)
        return web.Response(status=204)

    async def _send_on(self, message: ProgressMessage, *, forwarded: bool) -> web.Response:
        """The Service reaches every replica; only the leader writes: what a follower gets it sends on, once."""
        address = self._election.leader_address
        if forwarded or not address:
            return web.Response(status=503, text="this replica does not lead, and knows no leader; try again later\n")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FORWARD_SECONDS)) as session,
                session.post(
                    f"http://{address}{constants.PROGRESS_PATH}",
                    data=message.model_dump_json(by_alias=True),
                    headers={FORWARDED: "1"},
                ) as answer,
            ):
                return web.Response(status=answer.status, text=await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=f"the leader at {address} does not answer: {error}\n")

    def _newest_attempt(self, search_uid: str, trial_uid: str) -> int:
        labels = [job["metadata"]["labels"] for job in self._cache.owned(JOBS, search_uid)]
        attempts = [
            label.get(constants.LABEL_ATTEMPT, "")
            for label in labels
            if label.get(constants.LABEL_TRIAL_UID) == trial_uid
        ]
        return max((int(attempt) for attempt in attempts if attempt.isdecimal()), default=0)


def _answer(problems: list[str]) -> web.Response:
    return web.Response(status=503 if problems else 200, text="\n".join(problems) or "ok")
