"""Which replica acts: a Lease that the leader renews and the others watch over. Run by `__main__`.

Whatever ends `run` ends the process: a replica that has lost the Lease, or cannot tell, is begun anew and knows nothing.
A follower takes the Lease over when it has not changed for its whole duration by the follower's own clock, so that clocks
need not agree; the leader counts from before its last renewal was sent, so that it always gives up first.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Never

import structlog

from bananas_core import constants
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import (
    AlreadyExistsError,
    ApiError,
    LeaseLostError,
    NotFoundError,
    RetryableError,
    StaleError,
)
from bananas_operator.fence import Fence, boottime
from bananas_operator.resources import LEASES, Json
from bananas_operator.settings import Settings

log = structlog.get_logger()

JITTER = 0.2
"""Followers ask at intervals up to this much longer, so that they do not ask all at once."""


class Election:
    """This replica's part in the election."""

    def __init__(
        self,
        api: KubernetesApi,
        fence: Fence,
        settings: Settings,
        *,
        clock: Callable[[], float] = boottime,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._fence = fence
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._lease: Json | None = None
        self._seen_at = clock()
        self._renewed_at = float("-inf")
        self._writing = asyncio.Lock()
        self._ended = False
        self.acquired = asyncio.Event()
        """Set for good once this replica leads: it leads until the process ends."""

    @property
    def leads(self) -> bool:
        """Whether this replica is the leader."""
        return self.acquired.is_set()

    @property
    def leader_address(self) -> str | None:
        """Where the leader's port is, as `host:port`, if it has told."""
        metadata = self._lease["metadata"] if self._lease is not None else {}
        address: str | None = (metadata.get("annotations") or {}).get(constants.ANNOTATION_ADDRESS)
        return address

    async def run(self) -> Never:
        """Becomes the leader, sooner or later, and stays it.

        Raises:
            LeaseLostError: the Lease is lost, or this replica may not have it.
        """
        try:
            await self._acquire()
            log.info("leads", identity=self._settings.identity)
            self.acquired.set()
            await self._keep()
        finally:
            self._ended = True

    async def release(self) -> None:
        """Gives the Lease away at once. Only when every write has been answered."""
        if not self.leads or self._ended or self._clock() >= self._renewed_at + self._settings.lease_seconds:
            return
        async with self._writing:
            self._ended = True
            try:
                await self._put("", self._clock())
                log.info("released the Lease")
            except ApiError as error:
                log.warning("Lease not released: the next leader waits until it expires", error=str(error))

    # --- becoming the leader ---

    async def _acquire(self) -> None:
        refused_since: float | None = None
        while True:
            wait = self._settings.lease_retry_seconds * (1 + JITTER * self._jitter())
            try:
                await self._read()
                free_in = self._free_at() - self._clock()
                if free_in <= 0:
                    return await self._renew()
                wait, refused_since = min(wait, free_in + JITTER * self._jitter()), None
            except (StaleError, AlreadyExistsError):
                log.info("another replica was quicker")
            except RetryableError as error:
                log.warning("Lease not read", error=str(error))
            except ApiError as error:  # a right or a namespace is missing; but a server that starts refuses, too
                refused_since = refused_since if refused_since is not None else self._clock()
                if self._clock() > refused_since + self._settings.renew_deadline_seconds:
                    raise LeaseLostError(f"{self._where()} cannot be had: {error}") from error
                log.warning("Lease refused", error=str(error))
            await asyncio.sleep(wait)

    async def _read(self) -> None:
        """Reads the Lease, and notes when it was seen to have changed."""
        try:
            found: Json | None = await self._api.get(
                LEASES, self._settings.operator_namespace, self._settings.lease_name
            )
        except NotFoundError:
            found = None
        if self._lease is None or found is None or found["spec"] != self._lease["spec"]:
            self._seen_at = self._clock()
        self._lease = found

    def _free_at(self) -> float:
        """From when on it may be taken. One of our own identity is of this pod's last container, which is dead."""
        spec = self._lease["spec"] if self._lease is not None else {}
        if spec.get("holderIdentity", "") in ("", self._settings.identity):
            return self._clock()
        return self._seen_at + float(spec.get("leaseDurationSeconds") or self._settings.lease_seconds)

    # --- staying it ---

    async def _keep(self) -> Never:
        while True:
            await asyncio.sleep(self._settings.lease_retry_seconds)
            left = self._renewed_at + self._settings.renew_deadline_seconds - self._clock()
            if left <= 0:
                raise LeaseLostError(f"{self._where()} was not renewed for {self._settings.renew_deadline_seconds:g} s")
            try:
                await self._renew()
            except StaleError:
                await self._look_again()
            except ApiError as error:
                log.warning("Lease not renewed", error=str(error), seconds_left=round(left, 1))

    async def _look_again(self) -> None:
        """After a conflict: somebody has edited the Lease, or taken it."""
        try:
            await self._read()
        except ApiError as error:
            log.warning("Lease not read", error=str(error))
            return
        holder = self._lease["spec"].get("holderIdentity", "") if self._lease is not None else ""
        if holder not in ("", self._settings.identity):
            raise LeaseLostError(f"{self._where()} was taken over by {holder}")

    async def _renew(self) -> None:
        async with self._writing:
            if self._ended:
                return  # released: this process ends
            sent_at = self._clock()
            await self._put(self._settings.identity, sent_at)
            self._renewed_at = sent_at
            self._fence.extend(sent_at + self._settings.lease_seconds)

    async def _put(self, holder: str, sent_at: float) -> None:
        namespace, name = self._settings.operator_namespace, self._settings.lease_name
        body = _lease(self._lease, holder, self._settings)
        if self._lease is None:
            self._lease = await self._api.create(LEASES, namespace, body)
        else:
            try:
                self._lease = await self._api.replace(LEASES, namespace, name, body)
            except NotFoundError:  # deleted by hand: made anew the next time
                self._lease = None
                raise
        self._seen_at = sent_at

    def _where(self) -> str:
        return f"Lease {self._settings.operator_namespace}/{self._settings.lease_name}"


def _lease(known: Json | None, holder: str, settings: Settings) -> Json:
    """The Lease as it is to be; with the version that was read, so that only one of two replicas gets it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    known = known or {"metadata": {"namespace": settings.operator_namespace, "name": settings.lease_name}, "spec": {}}
    metadata, spec = known["metadata"], known["spec"]
    annotations = {**(metadata.get("annotations") or {}), constants.ANNOTATION_ADDRESS: settings.own_address}
    changed = spec.get("holderIdentity") != holder
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {
            **spec,
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(settings.lease_seconds)),
            "acquireTime": now if changed else spec.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": spec.get("leaseTransitions", 0) + (changed and bool(holder)),
        },
    }
