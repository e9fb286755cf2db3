"""What a person does to a search that runs, on the fake API server, with the operator as it ships."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.contract import FailureReport

from .world import End, conditions, report, search, trial


def patch(it: Any, **changes: Any) -> None:
    it.api.update("NASSearch", "s", lambda found: found["spec"].update(changes))


def annotate(it: Any, name: str, annotation: str) -> None:
    later = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    it.api.update("NASTrial", name, lambda t: t["metadata"].setdefault("annotations", {}).update({annotation: later}))


async def test_a_suspended_search_stops_everything_and_goes_on_where_it_was(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.seconds = 30
        it.create(search(trials=4, parallelism=3, checkpoints={"claim": "checkpoints"}))
        it.api.create("PersistentVolumeClaim", {"metadata": {"name": "checkpoints"}})
        await it.until("three run", lambda: len(it.trials("Running")) == 3)
        patch(it, suspend=True)
        status = await it.phase("Suspended")
        await it.until("nothing is left of them", lambda: not it.api.all("Job") and not it.api.all("Deployment"))
        assert conditions({"status": status})["Suspended"]["status"] == "True"
        await it.until("all wait", lambda: len(it.trials("Queued")) == 3)
        assert it.status()["inFlight"] == 3
        it.world.seconds = 0.02
        patch(it, suspend=False)
        await it.phase("Complete")
        found = [t["status"] for t in it.trials("Succeeded")]
        assert sorted(s["attempts"] for s in found) == [1, 2, 2, 2]
        assert {(s["interruptions"], s["retries"], s["gpuSecondsWasted"]) for s in found} == {(0, 0, 0)}


async def test_a_suspended_search_costs_no_writes(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.2) as it:
        it.create(search(suspend=True))
        await it.phase("Suspended")
        before = len(it.api.writes())
        lists = sum(call.method == "GET" for call in it.api.calls)
        await it.until("two more full lists", lambda: sum(c.method == "GET" for c in it.api.calls) > lists + 12)
        assert [call for call in it.api.writes()[before:] if "/events" not in call.path] == []
        assert it.api.all("Deployment") == []


async def test_a_complete_search_whose_target_is_raised_goes_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=6, parallelism=1, budget={"trials": 6, "targetAccuracy": 0}))
        status = await it.phase("Complete")
        assert conditions({"status": status})["Complete"]["reason"] == constants.REASON_TARGET_REACHED
        assert len(it.trials("Succeeded")) < 6
        await it.until("no offer is left", lambda: not it.trials("Pending"))
        assert {t["status"]["reason"] for t in it.trials("Cancelled")} <= {constants.REASON_TARGET_REACHED}
        patch(it, budget={"trials": 6, "targetAccuracy": 1})
        await it.until("the rest is done", lambda: len(it.trials("Succeeded")) == 6)
        status = await it.phase("Complete")
        assert conditions({"status": status})["Complete"]["reason"] == constants.REASON_BUDGET_USED


async def test_a_wall_clock_that_runs_out_ends_the_search_by_itself(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.seconds = 0.3
        it.create(search(parallelism=1, budget={"trials": 100, "wallClock": "2s"}))
        status = await it.phase("Complete")
        assert conditions({"status": status})["Complete"]["reason"] == constants.REASON_WALL_CLOCK_USED
        assert 0 < len(it.trials("Succeeded")) < 20


async def test_a_running_trial_that_is_given_up_is_stopped_and_its_slot_is_used_again(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.seconds = 30
        it.create(search(trials=3, parallelism=1))
        await it.until("one runs", lambda: it.trials("Running"))
        it.world.seconds = 0.02
        annotate(it, "s-0", constants.ANNOTATION_CANCEL)
        await it.phase("Complete")
        found = it.api.get("NASTrial", "s-0")["status"]
        assert (found["phase"], found["reason"]) == ("Cancelled", constants.REASON_CANCELLED_BY_USER)
        assert len(it.trials("Succeeded")) == 2, "it stays in the budget"
        await it.until("no Job is left", lambda: not it.api.all("Job"))


async def test_a_retry_ends_the_backoff_of_a_trial_that_waits(lab: Callable[..., Any]) -> None:
    text = FailureReport(kind="bananas.failure/v1", reason="x", message="once").to_message()
    async with lab(retry_backoff_seconds=600, retry_backoff_limit_seconds=600) as it:
        it.world.behaviour = lambda file: End(70, text) if file.attempt == 1 else End(message=report(file))
        it.create(search(trials=1, parallelism=1))
        await it.until("it waits", lambda: it.trials("Queued") and it.trials("Queued")[0]["status"].get("retries"))
        annotate(it, "s-0", constants.ANNOTATION_RETRY)
        await it.phase("Complete")
        assert it.api.get("NASTrial", "s-0")["status"]["attempts"] == 2


async def test_a_failed_trial_that_is_offered_again_is_admitted_although_its_architecture_is_known(
    lab: Callable[..., Any],
) -> None:
    text = FailureReport(kind="bananas.failure/v1", reason="x", message="NaN").to_message()
    async with lab() as it:
        it.world.proposes = False
        it.world.behaviour = lambda file: End(72, text) if file.trial == "s-0" else End(message=report(file))
        made = it.create(search(trials=2, parallelism=1))
        it.api.create("NASTrial", trial(made, 0))
        await it.until("it has failed", lambda: it.trials("Failed"))
        architecture = trial(made, 0)["spec"]["architecture"]
        again = trial(made, 1)
        again["spec"].update(architecture=architecture, origin={"method": "retry", "parent": 0})
        again["metadata"]["labels"] = trial(made, 0)["metadata"]["labels"]
        it.api.create("NASTrial", again)
        await it.phase("Complete")
        assert it.api.get("NASTrial", "s-1")["status"]["phase"] == "Succeeded"


async def test_a_job_that_a_queue_suspends_is_queued_and_goes_on_as_the_same_attempt(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.seconds = 1
        it.create(search(trials=1, parallelism=1))
        await it.until("it runs", lambda: it.trials("Running"))
        job = it.api.all("Job")[0]
        it.api.update("Job", "s-0-1", lambda found: found["spec"].update(suspend=True))
        pod = it.api.all("Pod")[0]
        it.api.delete("Pod", pod["metadata"]["name"])
        await it.until("it is queued", lambda: "suspended" in (_status(it, "s-0").get("message") or ""))
        assert _status(it, "s-0")["phase"] == "Queued"
        assert conditions(it.api.get("NASSearch", "s"))["Stalled"]["status"] == "False"
        assert it.api.get("Job", "s-0-1")["metadata"]["uid"] == job["metadata"]["uid"]
        it.api.update("Job", "s-0-1", lambda found: found["spec"].update(suspend=False))
        await it.phase("Complete")
        found = _status(it, "s-0")
        assert (found["attempts"], found["interruptions"], found["retries"]) == (1, 0, 0)
        assert it.api.writes(method="PATCH", contains="/jobs/") == [], "its suspend is never ours"


def _status(it: Any, name: str) -> Any:
    return it.api.get("NASTrial", name).get("status", {})


async def test_a_predictor_that_somebody_changes_by_hand_is_put_right(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.3) as it:
        it.world.seconds = 30
        it.create(search(trials=2, parallelism=2))
        await it.until("a predictor", lambda: it.api.all("Deployment"))
        want = it.api.get("Deployment", "s-predictor")["spec"]["template"]["spec"]["containers"][0]["image"]

        def meddle(found: Any) -> None:
            found["spec"]["replicas"] = 0
            found["spec"]["template"]["spec"]["containers"][0]["image"] = "example/other:1"

        def is_right() -> bool:
            spec = it.api.get("Deployment", "s-predictor")["spec"]
            return (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (1, want)

        it.api.update("Deployment", "s-predictor", meddle)
        await it.until("it is as it was", is_right)
        await it.lists_again(3)

        def puts() -> int:
            return sum(call.method == "PUT" for call in it.api.calls)

        assert puts() == 1, "and once is enough"


@pytest.mark.slow
async def test_a_webhook_that_rewrites_the_predictors_image_is_not_fought(lab: Callable[..., Any]) -> None:
    def rewrite(kind: str, item: Any) -> None:
        if kind == "Deployment":
            item["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/predictor:1"

    def puts(it: Any) -> int:
        return sum(call.method == "PUT" and "deployments" in call.path for call in it.api.calls)

    async with lab(resync_seconds=0.3) as it:  # put right at most every 0.2 s
        it.api.admission = rewrite
        it.world.seconds = 30
        it.create(search(trials=2, parallelism=2))
        await it.until("a predictor", lambda: it.api.all("Deployment"))
        await it.lists_again(4)
        assert puts(it) == 0, "the answer to the POST said it"
        await it.kill()
        it.start()  # it has forgotten the answer
        await it.until("it tries once", lambda: puts(it))
        await it.lists_again(4)
        assert puts(it) == 1
