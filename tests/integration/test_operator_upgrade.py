"""An operator of this release takes over: from one with other images in the middle of a search, and from release 0.1.0."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bananas_core import constants

from .test_operator_searches import recorded_once
from .world import conditions, search

RELEASE = Path(__file__).parents[1] / "fixtures" / "release-0.1.0"


def images(it: Any, kind: str) -> dict[str, str]:
    """Image of each object's pod, by the object's UID."""
    return {
        item["metadata"]["uid"]: item["spec"]["template"]["spec"]["containers"][0]["image"] for item in it.api.all(kind)
    }


@pytest.mark.slow
async def test_an_operator_with_other_images_kills_nothing_doubles_nothing_and_completes(
    lab: Callable[..., Any],
) -> None:
    async with lab(start=False) as it:
        it.world.seconds = 1
        it.create(search(trials=8, parallelism=2))
        it.start(tables_image="tables:old", predictor_image="predictor:old")
        await it.until("some ended and two run", lambda: it.trials("Succeeded") and len(it.trials("Running")) == 2)
        running = {job["metadata"]["uid"] for job in it.api.all("Job") if not job.get("status")}
        deployment = images(it, "Deployment")
        ended: set[str] = set()
        it.api.on_change.append(
            lambda kind, item: ended.add(item["metadata"]["uid"]) if kind == "Job" and item.get("status") else None
        )
        running -= {job["metadata"]["uid"] for job in it.api.all("Job") if job.get("status")}
        await it.kill()
        it.start(tables_image="tables:new", predictor_image="predictor:new")
        await it.until(
            "the predictor is the new one", lambda: set(images(it, "Deployment").values()) == {"predictor:new"}
        )
        assert images(it, "Deployment").keys() == deployment.keys(), "updated in place"
        await it.until("a Job of the new image", lambda: "tables:new" in images(it, "Job").values())
        assert running <= ended, "what ran under the old operator ran to its end"
        await it.phase("Complete", seconds=20)
        assert {t["status"]["attempts"] for t in it.trials("Succeeded")} == {1}
        assert len(it.trials("Succeeded")) == 8
        recorded_once(it)


async def test_a_job_that_has_not_started_is_made_anew_from_the_new_images(lab: Callable[..., Any]) -> None:
    async with lab(start=False) as it:
        it.world.refuse_pods = "exceeded quota: gpus"
        it.create(search(trials=2, parallelism=1))
        it.start(tables_image="tables:old")
        await it.stalled(constants.REASON_QUOTA_EXCEEDED)
        await it.kill()
        it.start(tables_image="tables:new")
        await it.until("the new image", lambda: set(images(it, "Job").values()) == {"tables:new"})
        it.world.refuse_pods = None
        await it.phase("Complete")
        recorded_once(it)


async def test_objects_of_release_0_1_0_are_served_and_its_searches_go_on(lab: Callable[..., Any]) -> None:
    stored = json.loads((RELEASE / "objects.json").read_text())
    async with lab(start=False, resync_seconds=0.3) as it:
        it.world.proposes = False
        for claim in ("tables", "datasets", "checkpoints", "more"):
            it.api.create("PersistentVolumeClaim", {"metadata": {"name": claim}})
        for item in stored:
            it.api.restore(item)
        before = {t["metadata"]["name"]: t for t in it.trials()}
        it.start()
        await it.until("all of running have ended", lambda: _ended(it, "running") == 4, seconds=20)
        await it.lists_again()
        for name in ("running-0", "running-1", "finished-0", "finished-1"):
            assert it.api.get("NASTrial", name)["status"] == before[name]["status"], "what has ended is never revised"
        for name in ("running-2", "running-3"):
            old, new = before[name].get("status", {}), it.api.get("NASTrial", name)["status"]
            assert new["phase"] == "Succeeded"
            assert new["attempts"] == old.get("attempts", 0) + 1
        assert it.api.get("NASTrial", "running-4")["status"]["reason"] == constants.REASON_DUPLICATE_ARCHITECTURE
        assert it.status("finished")["phase"] == "Complete"
        best = _of(stored, "finished")["status"]["best"]
        assert _kept(best, it.status("finished")["best"]) == best
        assert conditions(it.api.get("NASSearch", "finished"))["Complete"]["status"] == "True"
        assert it.status("running")["trials"]["succeeded"] == 3
        assert it.status("stalled")["phase"], "a search whose predictor told a conflict is served, too"
        recorded_once(it)


async def test_a_completed_demo_of_release_0_1_0_is_left_as_it_is(lab: Callable[..., Any]) -> None:
    stored = json.loads((RELEASE / "demo.json").read_text())
    async with lab(start=False, resync_seconds=0.3) as it:
        for item in stored:
            it.api.restore(item)
        it.start()
        await it.lists_again(2)
        found = it.api.get("NASSearch", "demo", "bananas-demo")
        old = _of(stored, "demo")["status"]
        kept = ("phase", "best", "trials", "startTime", "completionTime", "gpuSeconds")
        for key in kept:
            assert _kept(old[key], found["status"][key]) == old[key]
        assert it.api.writes(contains="/nastrials") == []
        assert it.api.writes(contains="/jobs") == []
        assert it.api.writes(contains="/deployments") == []


def _kept(old: Any, new: Any) -> Any:
    """What there was before, without the fields that have been added since."""
    return {key: new[key] for key in old} if isinstance(old, dict) else new


def _of(stored: list[Any], name: str) -> Any:
    return next(item for item in stored if item["metadata"]["name"] == name)


def _ended(it: Any, name: str) -> int:
    return sum(t["spec"]["search"] == name for phase in ("Succeeded", "Failed") for t in it.trials(phase))
