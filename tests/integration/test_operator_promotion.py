"""The best of a search trained to the end, on the fake API server, with the operator as it ships."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api import Recipe
from bananas_core.contract import FailureReport, Report, TrialFile

from .world import End, accuracy, search, trial

FINALS = ["s-1-final-1", "s-1-final-2"]
PROMOTE = {"top": 1, "seeds": 2, "recipe": "search"}


def trained(file: TrialFile) -> End:
    """As the trainer reports: without validation images, the test accuracy stands for both."""
    final = file.recipe is not None and file.recipe.test_at_end
    made = Report(
        kind="bananas.report/v1",
        trial_uid=file.trial_uid,
        attempt=file.attempt,
        validation_accuracy=0.9 + file.seed / 100 if final else accuracy(file),
        test_accuracy=0.9 + file.seed / 100 if final else None,
        epochs=3,
    )
    return End(message=made.to_message())


def begin(it: Any, trials: int = 2, **spec: Any) -> Any:
    """A search with its proposals, of which the second is the best."""
    it.world.proposes, it.world.behaviour = False, trained
    found = it.create(search(trials=trials, evaluator="train", promote=PROMOTE, **spec))
    ordered = sorted(it.world.architectures[:2], key=lambda a: a.hash()[:4])
    for index, architecture in enumerate(ordered):
        propose(it, found, index, architecture)
    return found


def propose(it: Any, found: Any, index: int, architecture: Any) -> None:
    made = trial(found, index, architecture)
    del made["spec"]["table"]
    made["spec"]["recipe"] = Recipe().to_kubernetes()
    it.api.create("NASTrial", made)


def patch(it: Any, **changes: Any) -> None:
    def change(found: Any) -> None:
        found["spec"].update(changes)
        found["spec"] = {key: value for key, value in found["spec"].items() if value is not None}

    it.api.update("NASSearch", "s", change)


def finals(it: Any) -> dict[str, Any]:
    return {t["metadata"]["name"]: t.get("status", {}) for t in it.trials() if "-final-" in t["metadata"]["name"]}


async def first_runs(it: Any) -> Any:
    """A search of which the first training to the end runs, and goes on until `lose`; the second waits for its slot."""

    def starts(file: TrialFile) -> End:
        it.world.seconds = 60 if file.trial == FINALS[0] and file.attempt == 1 else 0.02
        return trained(file)

    found = begin(it, parallelism=1)
    it.world.behaviour = starts
    await it.until("the first is trained to the end", lambda: finals(it).get(FINALS[0], {}).get("phase") == "Running")
    return found


def lose(it: Any, name: str) -> None:
    """Its first pod is gone, as with its node: the next attempt is a short one."""
    (pod,) = (p for p in it.api.all("Pod") if p["metadata"]["name"].startswith(f"{name}-1-"))
    it.api.delete("Pod", pod["metadata"]["name"])
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    it.api.update("Job", f"{name}-1", lambda job: job.update(status=failed))


async def test_the_winner_is_published_and_its_trainings_have_a_test_accuracy_alone(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        begin(it)
        status = await it.phase("Complete")
        assert status["promotion"]["results"][0]["testAccuracy"] == 0.915
        found = finals(it)
        assert sorted(found) == FINALS
        assert [found[name]["testAccuracy"] for name in FINALS] == [0.91, 0.92]
        assert all("validationAccuracy" not in found[name] for name in FINALS)
        assert it.api.get("ConfigMap", "s-best")["data"]["trial"] == "s-1"


@pytest.mark.slow
async def test_a_winner_that_is_deleted_or_changed_is_published_anew(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.3) as it:
        begin(it)
        await it.phase("Complete")
        data = it.api.get("ConfigMap", "s-best")["data"]
        it.api.delete("ConfigMap", "s-best")
        await it.until("it is back", lambda: it.api.find("ConfigMap", "s-best"))
        assert it.api.get("ConfigMap", "s-best")["data"] == data
        it.api.update("ConfigMap", "s-best", lambda found: found.update(data={"trial": "s-0"}))
        await it.until("it is right", lambda: it.api.get("ConfigMap", "s-best")["data"] == data)
        before = len(it.api.writes())
        await it.lists_again(3)
        assert it.api.writes()[before:] == [], "what is there and right costs no write"


async def test_a_promotion_that_is_removed_and_restored_is_done_in_full(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        await first_runs(it)
        patch(it, promote=None)
        await it.until("the second is withdrawn", lambda: finals(it)[FINALS[1]].get("reason") == "Withdrawn")
        patch(it, promote=PROMOTE)
        await it.until("it is made again", lambda: f"{FINALS[1]}-r2" in finals(it))
        lose(it, FINALS[0])
        await it.until("both are done", lambda: (it.status().get("promotion") or {}).get("configMap"))
        assert sorted(finals(it)) == [*FINALS, f"{FINALS[1]}-r2"]
        result = it.status()["promotion"]["results"][0]
        assert (result["succeeded"], result["failed"], result["testAccuracy"]) == (2, 0, 0.915)


async def test_a_budget_raised_in_a_promotion_is_followed_by_the_rest_of_it(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        found = await first_runs(it)
        patch(it, budget={"trials": 3})
        await it.until("the search goes on", lambda: it.api.all("Deployment"))
        assert finals(it)[FINALS[1]].get("phase", "Pending") == "Pending"
        lose(it, FINALS[0])
        await it.until("the first is done", lambda: finals(it)[FINALS[0]].get("phase") == "Succeeded")
        assert finals(it)[FINALS[1]].get("phase", "Pending") == "Pending"
        propose(it, found, 2, min(it.world.architectures, key=lambda a: a.hash()[:4]))
        await it.until("both are done", lambda: (it.status().get("promotion") or {}).get("configMap"))
        assert sorted(finals(it)) == FINALS
        assert it.status()["promotion"]["results"][0]["succeeded"] == 2
        assert len([t for t in it.trials("Succeeded") if t["metadata"]["name"] in ("s-0", "s-1", "s-2")]) == 3


async def test_another_recipe_is_trained_anew_and_never_mixed_in(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        begin(it)
        await it.phase("Complete")
        patch(it, promote={**PROMOTE, "epochs": 7, "seeds": 3})
        await it.until("three of the new ones are done", lambda: it.status()["promotion"].get("ended") == 3)
        await it.phase("Complete")
        new = {t["metadata"]["name"] for t in it.trials() if t["spec"]["recipe"]["epochs"] == 7}
        assert new == {"s-1-final-1-r2", "s-1-final-2-r2", "s-1-final-3"}
        assert it.status()["promotion"]["results"][0]["succeeded"] == 3


async def test_a_failed_training_is_made_again_when_a_person_asks(lab: Callable[..., Any]) -> None:
    text = FailureReport(kind="bananas.failure/v1", reason="x", message="NaN").to_message()
    async with lab() as it:
        begin(it)
        it.world.behaviour = lambda file: End(72, text) if file.trial == FINALS[0] else trained(file)
        status = await it.phase("Complete")
        result = status["promotion"]["results"][0]
        assert (result["succeeded"], result["failed"], result["testAccuracy"]) == (1, 1, 0.92)
        later = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        mark = {constants.ANNOTATION_RETRY: later}
        it.api.update("NASTrial", FINALS[0], lambda t: t["metadata"]["annotations"].update(mark))
        await it.until("it has a result", lambda: it.status()["promotion"]["results"][0].get("succeeded") == 2)
        await it.phase("Complete")
        assert sorted(finals(it)) == [FINALS[0], f"{FINALS[0]}-r2", FINALS[1]]
        assert it.api.get("ConfigMap", "s-best")["data"]["testAccuracy"] == "0.915"
