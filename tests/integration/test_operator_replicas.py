"""Two replicas of the operator, each a process of its own, on one fake API server: one acts, whatever happens to it."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.contract import ProgressMessage, TrialFile

from .conftest import FAST, Lab
from .test_operator_port import ask, eventually, shown
from .test_operator_searches import recorded_once
from .world import End, Stuck, kubeconfig, search, succeed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

LEASE = {"lease_seconds": 7, "renew_deadline_seconds": 5, "lease_retry_seconds": 0.5, "lease_margin_seconds": 1}


@dataclass
class Replica:
    """A process."""

    name: str
    port: int
    process: asyncio.subprocess.Process

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@dataclass
class Replicas:
    """Those of a lab."""

    lab: Lab
    folder: Path
    free_port: Callable[[], int]
    all: list[Replica] = field(default_factory=list)

    async def start(self, name: str) -> Replica:
        file = self.folder / f"{name}.json"
        file.write_text(kubeconfig(self.lab.api.address, token=name))
        port = self.free_port()
        given = {**FAST, **LEASE, "progress_seconds": 0.5, "identity": name, "port": port, "address": "127.0.0.1"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BANANAS_")}
        environment |= {f"BANANAS_{key.upper()}": str(value) for key, value in given.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bananas_operator", env=environment | {"KUBECONFIG": str(file)},
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self.all.append(Replica(name, port, process))
        await eventually(port, "/healthz", 200)
        return self.all[-1]

    def leader(self) -> str:
        lease = self.lab.api.find("Lease", "bananas-operator", "bananas-system")
        return str(lease["spec"]["holderIdentity"]) if lease is not None else ""

    def writers(self, since: int = 0) -> Counter[str]:
        """By replica, the writes since that many calls; those to the Lease left out."""
        return Counter(
            c.token
            for c in self.lab.api.calls[since:]
            if c.method != "GET" and c.status < 300 and "/leases" not in c.path
        )


@pytest.fixture
def replicas(lab: Callable[..., Any], tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> Callable[[], Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Replicas]:
        async with lab(start=False) as it:
            made = Replicas(it, tmp_path, unused_tcp_port_factory)
            try:
                await made.start("a")
                await made.start("b")
                yield made
            finally:
                for replica in made.all:
                    if replica.process.returncode is None:
                        replica.send(signal.SIGKILL)
                        await replica.process.wait()

    return opened


def at_once(it: Lab) -> Callable[[], int]:
    """The largest number of Jobs that were unfinished at a time."""
    most = 0

    def count(*_: object) -> None:
        nonlocal most
        most = max(most, len([job for job in it.api.all("Job") if not job.get("status")]))

    it.api.on_change.append(count)
    return lambda: most


async def test_a_killed_leader_is_followed_and_every_result_is_recorded_once(replicas: Callable[[], Any]) -> None:
    async with replicas() as them:
        it = them.lab
        most = at_once(it)
        it.world.seconds = 0.3
        it.create(search(trials=20, parallelism=2))
        await it.until("a few results", lambda: len(it.trials("Succeeded")) >= 4)
        assert set(them.writers()) == {"a"}, "one acts"
        them.all[0].send(signal.SIGKILL)
        await it.phase("Complete", seconds=60)
        assert set(them.writers()) == {"a", "b"}
        assert len(it.trials("Succeeded")) == 20
        assert most() == 2
        recorded_once(it)


async def test_a_stopped_leader_gives_the_lease_away_and_ends_well(replicas: Callable[[], Any]) -> None:
    async with replicas() as them:
        it = them.lab
        it.world.seconds = 0.2
        it.create(search(trials=20, parallelism=2))
        await it.until("a few results", lambda: len(it.trials("Succeeded")) >= 4)
        them.all[0].send(signal.SIGTERM)
        await it.until("the other leads, and before the Lease has run out", lambda: them.leader() == "b", seconds=5)
        assert await asyncio.wait_for(them.all[0].process.wait(), 20) == 0
        await it.phase("Complete", seconds=60)
        recorded_once(it)


async def test_a_paused_leader_writes_nothing_when_it_wakes_after_its_lease_went(replicas: Callable[[], Any]) -> None:
    async with replicas() as them:
        it = them.lab
        most = at_once(it)
        it.world.seconds = 0.3
        it.create(search(trials=30, parallelism=2))
        await it.until("a few results", lambda: len(it.trials("Succeeded")) >= 4)
        them.all[0].send(signal.SIGSTOP)
        await it.until("the other acts", lambda: them.writers()["b"] > 3, seconds=30)
        since = len(it.api.calls)
        them.all[0].send(signal.SIGCONT)
        assert await asyncio.wait_for(them.all[0].process.wait(), 20) == 1
        assert them.writers(since)["a"] == 0
        assert them.leader() == "b"
        await it.phase("Complete", seconds=60)
        assert most() == 2
        recorded_once(it)


async def test_a_follower_sends_progress_on_and_tells_metrics_of_itself_alone(replicas: Callable[[], Any]) -> None:
    files: list[TrialFile] = []

    def behaviour(file: TrialFile) -> End | Stuck:
        files.append(file)
        return succeed(file)

    async with replicas() as them:
        it = them.lab
        leader, follower = them.all
        it.world.seconds, it.world.behaviour = 30, behaviour
        it.create(search(trials=1, parallelism=1))
        await it.until("it runs", lambda: it.trials("Running"))
        await shown(follower.port, f"{constants.METRIC_LEADER} 0.0")
        await shown(leader.port, f"{constants.METRIC_LEADER} 1.0")
        await shown(leader.port, f"{constants.METRIC_BUDGET_TRIALS}{{")
        await shown(follower.port, f"{constants.METRIC_BUDGET_TRIALS}{{", there=False)
        file = files[0]
        message = ProgressMessage(
            namespace="lab", trial=file.trial, trial_uid=file.trial_uid, attempt=1, epoch=2, epochs=9,
            validation_accuracy=0.5,
        ).model_dump_json(by_alias=True)  # fmt: skip
        assert (await ask(follower.port, constants.PROGRESS_PATH, "POST", message))[0] == 204
        await it.until("told", lambda: it.api.get("NASTrial", "s-0")["status"].get("progress"))
        leader.send(signal.SIGSTOP)
        status, text = await ask(follower.port, constants.PROGRESS_PATH, "POST", message)
        assert status in (503, 204), text  # not lost in silence: the leader does not answer, or the follower leads now
        leader.send(signal.SIGCONT)
