"""The API as it is: late, lossy, refusing, without CRDs, and edited by people in the middle of a search."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from bananas_core import constants

from .fake_api import Fault
from .test_operator_port import ask, eventually, shown
from .test_operator_searches import recorded_once
from .world import conditions, search, trial

KINDS = ("NASSearch", "NASTrial", "Job", "Pod", "Deployment", "Event")


async def test_crds_that_are_installed_after_the_start_are_served_and_watched(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(start=False, port=unused_tcp_port) as it:
        it.api.missing = {"NASSearch", "NASTrial"}
        it.start()
        await shown(unused_tcp_port, "NASSearch (nas.bananas.dev/v1alpha1) is not known", path="/healthz")
        await eventually(unused_tcp_port, "/healthz", 503)
        assert await eventually(unused_tcp_port, "/livez", 200) == "ok", "a new process could do no better"
        it.api.missing = {"NASTrial"}  # one by one, as kubectl applies them
        await it.until("it looks again", lambda: [c for c in it.api.calls if "nastrials" in c.path and c.status == 404])
        it.api.missing = set()
        await eventually(unused_tcp_port, "/healthz", 200)
        it.create(search(trials=3))
        await it.phase("Complete")  # the next full list comes in five minutes
        assert it.operator is not None


@pytest.mark.slow
async def test_crds_that_are_replaced_while_it_runs_are_watched_again(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=3))
        await it.phase("Complete")
        it.api.delete("NASSearch", "s")
        it.api.missing = {"NASSearch", "NASTrial"}
        it.api.cut_watches()
        asked = len(it.api.calls)
        await it.until("it asks in vain", lambda: [c for c in it.api.calls[asked:] if c.status == 404])
        it.api.missing = set()
        it.create(search("again", trials=3))
        it.restarts = True
        await it.phase("Complete", "again", seconds=20)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_watches_that_lag_each_on_its_own_are_cut_and_replay_change_nothing(
    lab: Callable[..., Any], seed: int
) -> None:
    rng = random.Random(seed)
    async with lab(resync_seconds=0.5) as it:
        it.world.seconds = 0.05
        most = 0

        def count(*_: object) -> None:
            nonlocal most
            most = max(most, len([job for job in it.api.all("Job") if not job.get("status")]))

        it.api.on_change.append(count)
        it.create(search(trials=12, parallelism=3))
        for done in range(1, 12, 2):
            await it.until(f"{done} results", lambda done=done: len(it.trials("Succeeded")) >= done, seconds=20)
            it.api.lag = {kind: rng.choice((0, 0, 0.05, 0.3)) for kind in KINDS}
            for kind in rng.sample(KINDS, 3):
                it.api.replay(kind, rng.randint(1, 10))
            if rng.random() < 0.5:
                it.api.cut_watches()
            it.api.deaf = set(rng.sample(KINDS, rng.randint(0, 2)))
        it.api.lag, it.api.deaf = {}, set()
        await it.phase("Complete", seconds=20)
        assert len(it.trials("Succeeded")) == 12
        assert most <= 3
        recorded_once(it)


async def test_a_server_that_asks_for_patience_is_given_it(lab: Callable[..., Any]) -> None:
    async with lab(start=False) as it:
        it.api.retry_after = 1
        it.api.faults += [Fault("POST", "/jobs", 429, "TooManyRequests", times=2)]
        it.create(search(trials=2))
        it.start()
        await it.phase("Complete", seconds=15)
        jobs = [c for c in it.api.calls if c.method == "POST" and c.path.endswith("/jobs")]
        assert [c.status for c in jobs[:2]] == [429, 429]
        assert all(after.at - before.at >= 1 for before, after in pairwise(jobs[:3]))


async def test_one_trial_whose_status_is_refused_holds_up_nothing_but_itself(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(port=unused_tcp_port) as it:
        refusal = Fault("PATCH", "nastrials/s-1/status", 422, "Invalid", "status.novel: Invalid value", times=10**6)
        it.api.faults.append(refusal)
        it.create(search(trials=6, parallelism=2))
        await it.until("the others end", lambda: len(it.trials("Succeeded")) == 5)
        assert "s-1" in await it.stalled(constants.REASON_STATUS_REFUSED)
        it.api.faults.clear()
        await it.phase("Complete")
        assert len(it.trials("Succeeded")) == 6
        await shown(unused_tcp_port, f'{constants.METRIC_REFUSED_WRITES}_total{{action="WriteTrial"}}')


async def test_a_refused_result_keeps_its_slot_is_told_and_is_recorded_when_it_is_accepted(
    lab: Callable[..., Any],
) -> None:
    async with lab() as it:
        it.world.seconds = 0.2
        it.create(search(trials=4, parallelism=2))
        await it.until("it runs", lambda: "s-0" in [t["metadata"]["name"] for t in it.trials("Running")])
        it.api.faults.append(
            Fault("PATCH", "nastrials/s-0/status", 403, "Forbidden", "denied by policy x", times=10**6)
        )
        message = await it.stalled(constants.REASON_STATUS_REFUSED)
        assert "s-0" in message
        assert "denied by policy x" in message
        await it.until("the others end", lambda: len(it.trials("Succeeded")) == 3)
        assert it.api.find("Job", "s-0-1") is not None, "a result that is not recorded is kept"
        it.api.faults.clear()
        await it.phase("Complete")
        assert conditions(it.api.get("NASSearch", "s"))["Stalled"]["status"] == "False"
        recorded_once(it)


async def test_a_trial_whose_status_another_release_wrote_is_named_and_left_alone_and_the_others_go_on(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(start=False, port=unused_tcp_port) as it:
        it.world.proposes = False
        made = it.create(search(trials=3, parallelism=2))
        for index in range(3):
            it.api.create("NASTrial", trial(made, index))
        status = {"phase": "Exploded", "attempts": 1}
        it.api.update("NASTrial", "s-1", lambda t: t.update(status=status))
        it.start()
        await it.until("the others end", lambda: len(it.trials("Succeeded")) == 2)
        message = await it.stalled(constants.REASON_INVALID_STATUS)
        assert "s-1" in message
        assert "status.phase" in message
        assert "Exploded" in message
        assert it.api.get("NASTrial", "s-1")["status"] == status
        await shown(unused_tcp_port, f"{constants.METRIC_BUDGET_TRIALS}{{")
        it.api.delete("NASTrial", "s-1")
        it.api.create("NASTrial", trial(made, 3))
        await it.phase("Complete")


async def test_a_search_whose_status_another_release_wrote_is_served_and_its_metrics_are_told(
    lab: Callable[..., Any], unused_tcp_port: int
) -> None:
    async with lab(start=False, port=unused_tcp_port) as it:
        it.create(search(trials=3))
        it.api.update("NASSearch", "s", lambda s: s.update(status={"phase": "Dreaming", "novel": 1, "trials": 7}))
        it.create(search("other", trials=2))
        it.start()
        await it.phase("Complete")
        await it.phase("Complete", "other")
        assert it.status()["novel"] == 1, "what another release wrote beside ours stays"
        assert (await ask(unused_tcp_port, "/metrics"))[0] == 200


async def test_a_search_of_the_same_name_made_anew_in_the_middle_begins_from_nothing(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.seconds = 0.3
        first = it.create(search(trials=4))
        await it.until("it runs", lambda: it.trials("Running"))
        it.api.delete("NASSearch", "s")
        second = it.create(search(trials=3))
        await it.phase("Complete")
        uids = {t["metadata"]["ownerReferences"][0]["uid"] for t in it.trials()}
        assert uids == {second["metadata"]["uid"]} != {first["metadata"]["uid"]}
        assert it.status()["trials"]["succeeded"] == 3


async def test_a_trial_deleted_by_hand_gives_its_place_in_the_budget_back(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=3, parallelism=1))
        await it.phase("Complete")
        it.api.delete("NASTrial", "s-1")
        await it.until("another takes its place", lambda: len(it.trials("Succeeded")) == 3)
        await it.phase("Complete")
        assert it.status()["trials"]["succeeded"] == 3
