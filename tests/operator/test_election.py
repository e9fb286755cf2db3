"""Fence and election with a clock of their own: who may write when, whatever happens to the Lease and to the process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any, cast

import pytest

from bananas_core import constants
from bananas_operator.election import Election
from bananas_operator.errors import (
    AlreadyExistsError,
    ApiError,
    FencedError,
    LeaseLostError,
    NotFoundError,
    RefusedError,
    StaleError,
    UnreachableError,
)
from bananas_operator.fence import Fence
from bananas_operator.settings import Settings

LEASE = Settings().lease_seconds
RETRY = Settings().lease_retry_seconds


class Time:
    """Seconds that pass when the test says so; `sleep` wakes the sleepers in their order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None], asyncio.Task[Any] | None]] = []
        self.paused: asyncio.Task[Any] | None = None
        """A process that does not wake: SIGSTOP."""

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future, asyncio.current_task()))
        await future

    async def run(self, seconds: float) -> None:
        """Lets time pass, sleeper by sleeper."""
        end = self.now + seconds
        await settle()
        while due := [s for s in self._sleepers if s[0] <= end and s[2] is not self.paused]:
            sleeper = min(due, key=lambda s: s[0])
            self._sleepers.remove(sleeper)
            when, future, _ = sleeper
            self.now = max(self.now, when)
            if not future.done():
                future.set_result(None)
            await settle()
        self.now = end


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


class Leases:
    """The API server's one Lease."""

    def __init__(self) -> None:
        self.item: dict[str, Any] | None = None
        self.version = 0
        self.error: ApiError | None = None
        self.writers: list[str] = []

    async def get(self, *_: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        if self.item is None:
            raise NotFoundError("no Lease")
        return deepcopy(self.item)

    async def create(self, _resource: Any, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        if self.item is not None:
            raise AlreadyExistsError("there is one")
        return self._store(body)

    async def replace(self, _resource: Any, _namespace: str, _name: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        if self.item is None:
            raise NotFoundError("no Lease")
        if body["metadata"]["resourceVersion"] != self.item["metadata"]["resourceVersion"]:
            raise StaleError("changed", status=409)
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.item = deepcopy(body)
        self.item["metadata"]["resourceVersion"] = str(self.version)
        self.writers.append(body["spec"]["holderIdentity"])
        return deepcopy(self.item)

    @property
    def holder(self) -> str:
        holder: str = self.item["spec"]["holderIdentity"] if self.item is not None else ""
        return holder


class Replica:
    """An operator's election, running."""

    def __init__(self, name: str, leases: Leases, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bananas_operator.election.asyncio", _Asyncio(time.sleep))
        settings = Settings(identity=name, address="10.0.0.1")
        self.fence = Fence(margin_seconds=settings.lease_margin_seconds, clock=lambda: time.now)
        self.election = Election(cast(Any, leases), self.fence, settings, clock=lambda: time.now, jitter=lambda: 0.5)
        self.task: asyncio.Task[Any] = asyncio.create_task(self.election.run())

    def may_write(self) -> bool:
        try:
            with self.fence.write():
                return True
        except FencedError:
            return False

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LeaseLostError):
            await self.task


class _Asyncio:
    """asyncio, with a sleep of our own."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def start(leases: Leases, time: Time, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Replica]:
    return lambda name: Replica(name, leases, time, monkeypatch)


async def test_the_first_replica_leads_and_goes_on_leading(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first, second = start("a"), start("b")
    await time.run(300)
    assert (first.election.leads, second.election.leads) == (True, False)
    assert (first.may_write(), second.may_write()) == (True, False)
    assert set(leases.writers) == {"a"}
    assert second.election.leader_address == "10.0.0.1:8080"
    assert leases.item is not None
    assert leases.item["spec"]["leaseTransitions"] == 1
    assert leases.item["metadata"]["annotations"][constants.ANNOTATION_ADDRESS] == "10.0.0.1:8080"


async def test_a_leader_that_is_gone_is_followed_within_twenty_seconds_and_not_before_its_lease_ends(
    start: Callable[[str], Replica], time: Time
) -> None:
    leader, follower = start("a"), start("b")
    for offset in (0.0, 0.4, 0.9, 1.3, 1.9):  # where in the period of renewals it dies
        await time.run(10 + offset)
        await leader.stop()
        renewed, died = leader.election._renewed_at, time.now
        while not follower.election.leads:
            assert not (leader.may_write() and follower.may_write())
            await time.run(0.1)
        assert time.now >= renewed + LEASE
        assert time.now - died < 18, "with a full list and a pass it stays under 20 s"
        leader, follower = follower, start(f"after-{offset}")


async def test_a_released_lease_is_taken_at_the_next_look(start: Callable[[str], Replica], time: Time) -> None:
    first, second = start("a"), start("b")
    await time.run(10)
    first.fence.close()
    await first.election.release()
    assert not first.may_write()
    await time.run(RETRY * 1.2)
    assert second.election.leads
    assert second.may_write()


async def test_a_leader_paused_past_its_lease_writes_nothing_and_ends(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first, second = start("a"), start("b")
    await time.run(10)
    time.paused = first.task
    await time.run(40)
    assert second.election.leads
    assert not first.may_write(), "the fence looks at the clock and not at what the process knows"
    before = list(leases.writers)
    time.paused = None  # SIGCONT
    await time.run(0)
    with pytest.raises(LeaseLostError, match="not renewed for 10 s"):
        await first.task
    assert leases.writers == before


async def test_a_leader_whose_lease_was_taken_over_ends_at_once(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first = start("a")
    await time.run(10)
    leases._store({"metadata": {}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}})
    await time.run(RETRY)
    with pytest.raises(LeaseLostError, match="taken over by x"):
        await first.task


@pytest.mark.parametrize("error", [UnreachableError("no answer"), RefusedError("no right", status=403)])
async def test_a_leader_that_cannot_renew_ends_before_its_lease_does_whatever_the_error(
    start: Callable[[str], Replica], leases: Leases, time: Time, error: ApiError
) -> None:
    first = start("a")
    await time.run(10)
    leases.error = error
    await time.run(9)
    assert not first.task.done()
    await time.run(3.5)
    with pytest.raises(LeaseLostError):
        await first.task
    assert time.now < first.election._renewed_at + LEASE


async def test_a_short_trouble_of_the_api_server_costs_no_lease(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first, second = start("a"), start("b")
    await time.run(10)
    for error in (UnreachableError("no answer"), RefusedError("starting", status=403), StaleError("x")):
        leases.error = error
        await time.run(6)
        leases.error = None
        await time.run(6)
    assert (first.election.leads, second.election.leads) == (True, False)
    assert not first.task.done()


async def test_a_follower_waits_for_an_api_server_that_does_not_answer_and_ends_where_it_has_no_right(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    leases.error = UnreachableError("no answer")
    follower = start("a")
    await time.run(600)
    assert not follower.task.done()
    leases.error = RefusedError("leases is forbidden", status=403)
    await time.run(15)
    with pytest.raises(LeaseLostError, match="forbidden"):
        await follower.task


async def test_a_lease_deleted_by_hand_is_made_anew_by_its_holder(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first = start("a")
    await time.run(10)
    leases.item = None
    await time.run(5)
    assert leases.holder == "a"
    assert first.election.leads
    assert not first.task.done()


async def test_a_lease_edited_by_hand_is_kept_by_its_holder(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    first = start("a")
    await time.run(10)
    assert leases.item is not None
    leases._store({**leases.item, "metadata": {**leases.item["metadata"], "labels": {"x": "y"}}})
    await time.run(5)
    assert not first.task.done()
    assert leases.item["metadata"]["labels"] == {"x": "y"}


async def test_a_container_begun_anew_in_its_pod_takes_the_lease_at_once(
    start: Callable[[str], Replica], time: Time
) -> None:
    first = start("a")
    await time.run(10)
    await first.stop()
    again = start("a")
    await time.run(0.1)
    assert again.election.leads


async def test_of_many_replicas_never_two_may_write(
    start: Callable[[str], Replica], leases: Leases, time: Time
) -> None:
    replicas = [start(f"r{number}") for number in range(4)]
    for step in range(400):
        await time.run(0.7)
        writers = [r for r in replicas if r.may_write()]
        assert len(writers) <= 1
        if step % 40 == 20:
            victim = next(r for r in replicas if r.election.leads and not r.task.done())
            await victim.stop()
            replicas[replicas.index(victim)] = start(f"r{step}")
    assert len(set(leases.writers)) > 5


async def test_a_fence_is_settled_only_when_no_write_can_happen_any_more() -> None:
    time = Time()
    fence = Fence(margin_seconds=3, clock=lambda: time.now)
    fence.extend(time.now + 15)
    assert fence.settled
    with fence.write() as seconds:
        assert seconds < 15
        assert not fence.settled
        assert not await fence.drained(0.01)
    assert fence.settled
    assert await fence.drained(0.01)
    with pytest.raises(FencedError), fence.write():
        raise AssertionError("a closed fence lets nothing pass")


async def test_a_write_whose_answer_was_lost_keeps_the_lease_from_being_given_away() -> None:
    time = Time()
    fence = Fence(margin_seconds=3, clock=lambda: time.now)
    fence.extend(time.now + 15)
    with pytest.raises(UnreachableError), fence.write():
        raise UnreachableError("no answer")
    assert not fence.settled
    time.now += 10
    assert fence.settled
