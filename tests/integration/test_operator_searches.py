"""Whole searches on the fake API server, with the operator as it ships."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.contract import FailureReport, TrialFile

from .fake_api import Fault
from .world import ARCHITECTURES, End, Stuck, conditions, report, search, succeed, trial


def failure(code: int, message: str = "the trainer says") -> End:
    text = FailureReport(kind="bananas.failure/v1", reason="x", message=message).to_message()
    return End(exit_code=code, message=text, reason="Error")


def recorded_once(it: Any) -> None:
    """Every terminal status was written once, and every attempt was one Job."""
    terminal: Counter[str] = Counter()
    for call in it.api.writes(method="PATCH", contains="/nastrials/"):
        if call.body["status"].get("phase") in ("Succeeded", "Failed", "Cancelled"):
            terminal[call.path] += 1
    assert set(terminal.values()) <= {1}
    jobs = Counter(c.body["metadata"]["name"] for c in it.api.writes(method="POST", contains="/jobs"))
    assert set(jobs.values()) <= {1}


async def test_a_search_completes_and_leaves_only_its_trials(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        made = it.create(search(trials=6, parallelism=2))
        status = await it.phase("Complete")
        await it.until("the last Job is deleted", lambda: not it.api.all("Job"))
        assert status["trials"]["succeeded"] == 6
        assert status["inFlight"] == 0
        assert {c["type"] for c in status["conditions"] if c["status"] == "True"} == {"Ready", "Complete"}
        assert {c["status"] for c in status["conditions"]} <= {"True", "False", "Unknown"}
        best = max(it.trials("Succeeded"), key=lambda t: t["status"]["validationAccuracy"])
        assert status["best"]["trial"] == best["metadata"]["name"]
        assert status["observedGeneration"] == 1
        assert made["metadata"]["uid"] in status["selector"]
        for kind in ("Job", "Pod", "Deployment", "ServiceAccount", "RoleBinding"):
            assert it.api.all(kind) == []
        recorded_once(it)


async def test_every_result_is_the_one_that_the_trainer_reported(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=4))
        await it.phase("Complete")
        for found, architecture in zip(
            sorted(it.trials(), key=lambda t: t["spec"]["index"]), ARCHITECTURES, strict=False
        ):
            want = int(architecture.hash()[:4], 16) / 0xFFFF
            assert found["status"]["validationAccuracy"] == pytest.approx(want)
            assert found["status"]["attempts"] == 1


async def test_no_more_than_parallelism_run_at_once(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        most = 0
        it.world.seconds = 0.3  # long enough for three to be under way, however busy the machine is

        def count(*_: object) -> None:
            nonlocal most
            live = [j for j in it.api.all("Job") if not j.get("status")]
            most = max(most, len(live))

        it.api.on_change.append(count)
        it.create(search(trials=9, parallelism=3))
        await it.phase("Complete")
        assert most == 3


async def test_an_idle_search_is_not_written_to(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.2) as it:
        it.world.proposes = False
        it.create(search())
        await it.until(
            "the predictor is told to be ready", lambda: conditions(it.api.get("NASSearch", "s")).get("Ready")
        )
        await it.until("ready", lambda: conditions(it.api.get("NASSearch", "s"))["Ready"]["status"] == "True")
        before = len(it.api.writes())
        lists = sum(call.method == "GET" for call in it.api.calls)
        await it.until("two more full lists", lambda: sum(c.method == "GET" for c in it.api.calls) > lists + 12)
        new = it.api.writes()[before:]
        assert [c for c in new if "serviceaccounts" not in c.path and "rolebindings" not in c.path] == []


async def test_two_searches_go_on_side_by_side_when_one_cannot(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search("bad", data={"claim": "missing"}, table={"file": "x"}))
        it.create(search("good"))
        await it.phase("Complete", "good")
        assert "spec.data.claim" in await it.stalled(constants.REASON_CLAIM_NOT_FOUND, "bad")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_search_completes_whatever_the_api_server_does(lab: Callable[..., Any], seed: int) -> None:
    rng = random.Random(seed)
    async with lab(start=False) as it:
        for _ in range(25):
            method, path = rng.choice(
                [("PATCH", "status"), ("POST", "/jobs"), ("DELETE", "/jobs"), ("POST", "deployments"), ("GET", "limit")]
            )
            status, reason = rng.choice(
                [(500, "InternalError"), (429, "TooManyRequests"), (409, "Conflict"), (503, "x")]
            )
            if method == "GET" and status == 409:
                status, reason = 410, "Expired"
            lost = rng.random() < 0.4
            it.api.faults.append(Fault(method, path, status, reason, answer_lost=lost and method != "GET"))
        rng.shuffle(it.api.faults)
        it.create(search(trials=8, parallelism=3))
        it.start(resync_seconds=0.3)
        await it.phase("Complete", seconds=20)
        assert len(it.trials("Succeeded")) == 8
        recorded_once(it)


@pytest.mark.slow
async def test_an_operator_that_is_killed_again_and_again_records_every_result_once(lab: Callable[..., Any]) -> None:
    rng = random.Random(5)
    async with lab() as it:
        it.world.seconds = 0.1
        it.create(search(trials=12, parallelism=3))
        for _ in range(5):
            want = len(it.api.writes()) + rng.randint(3, 9)
            await it.until("something moves", lambda want=want: len(it.api.writes()) >= want)
            await it.kill()
            it.start()
        await it.phase("Complete", seconds=20)
        assert len(it.trials("Succeeded")) == 12
        assert {t["status"]["attempts"] for t in it.trials()} == {1}
        recorded_once(it)


async def test_a_watch_that_was_cut_goes_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=10))
        for count in (1, 3, 5):
            await it.until("results", lambda n=count: len(it.trials("Succeeded")) >= n)
            it.api.cut_watches()
        await it.phase("Complete")


# --- attempts ---


async def test_interrupted_and_failed_attempts_are_followed_by_others(lab: Callable[..., Any]) -> None:
    def behaviour(file: TrialFile) -> End | Stuck:
        if file.attempt == 1 and file.trial == "s-0":
            return End(exit_code=143, reason="Error", disrupted=True)
        if file.attempt == 1 and file.trial == "s-1":
            return failure(70)
        return succeed(file)

    async with lab() as it:
        it.world.behaviour = behaviour
        it.create(search(trials=3))
        await it.phase("Complete")
        first, second = it.api.get("NASTrial", "s-0")["status"], it.api.get("NASTrial", "s-1")["status"]
        assert (first["attempts"], first["interruptions"], first["retries"]) == (2, 1, 0)
        assert (second["attempts"], second["interruptions"], second["retries"]) == (2, 0, 1)
        assert [e["reason"] for e in it.api.all("Event")].count(constants.EVENT_TRIAL_INTERRUPTED) == 1
        recorded_once(it)


async def test_a_trial_that_fails_for_good_keeps_its_reason_and_the_search_goes_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.behaviour = lambda file: failure(72, "loss is NaN") if file.trial == "s-1" else succeed(file)
        it.create(search(trials=3))
        status = await it.phase("Complete")
        assert status["trials"] == {
            "pending": 0,
            "queued": 0,
            "running": 0,
            "succeeded": 2,
            "failed": 1,
            "cancelled": 0,
        }
        assert it.api.get("NASTrial", "s-1")["status"]["failure"] == {
            "reason": constants.REASON_DIVERGED,
            "message": "loss is NaN",
        }
        want = ["s-1-1"]  # kept for its log
        await it.until("other Jobs are gone", lambda: [j["metadata"]["name"] for j in it.api.all("Job")] == want)


async def test_more_failures_than_the_search_bears_end_it(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.behaviour = lambda _: failure(72, "loss is NaN")
        it.create(search(trials=9, trial={"maxFailedTrials": 2}))
        await it.phase("Failed")
        found = conditions(it.api.get("NASSearch", "s"))["Failed"]
        assert found["reason"] == constants.REASON_TOO_MANY_FAILED_TRIALS
        assert "loss is NaN" in found["message"]
        await it.until("the predictor is gone", lambda: not it.api.all("Deployment"))
        await it.until("no trial waits", lambda: not it.trials("Pending"))


@pytest.mark.parametrize("kind", ["Job", "Pod", "NASTrial"])
async def test_what_is_deleted_by_hand_in_the_middle_is_made_up_for(lab: Callable[..., Any], kind: str) -> None:
    async with lab() as it:
        it.world.seconds = 2
        it.create(search(trials=3, parallelism=1))
        await it.until("one runs", lambda: it.trials("Running"))
        name = it.api.all(kind)[0]["metadata"]["name"]
        job = it.api.all("Job")[0]
        it.api.delete(kind, name)
        if kind == "Pod":  # the Job controller of a real cluster sees that its pod is gone
            it.api.update("Job", job["metadata"]["name"], _fail)
        it.world.seconds = 0.02
        if kind == "NASTrial":
            # The predictor of these tests counts what is there, so it proposes the deleted index anew.
            await it.until(
                "all done", lambda: len(it.trials("Succeeded")) == 3 or it.status().get("phase") == "Complete"
            )
            return
        await it.phase("Complete")
        found = it.api.get("NASTrial", "s-0")["status"]
        assert (found["phase"], found["attempts"], found["interruptions"]) == ("Succeeded", 2, 1)
        recorded_once(it)


def _fail(job: Any) -> None:
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": "pod deleted"}]}


async def test_a_report_of_another_attempt_is_not_believed(lab: Callable[..., Any]) -> None:
    def behaviour(file: TrialFile) -> End | Stuck:
        if file.attempt == 1:
            return End(message=report(file.model_copy(update={"attempt": 7})))
        return succeed(file)

    async with lab() as it:
        it.world.behaviour = behaviour
        it.create(search(trials=1, parallelism=1))
        await it.phase("Complete")
        found = it.api.get("NASTrial", "s-0")["status"]
        assert (found["attempts"], found["retries"]) == (2, 1)
        assert found["validationAccuracy"] == pytest.approx(accuracy_of("s-0"))


def accuracy_of(name: str) -> float:
    return int(ARCHITECTURES[int(name.split("-")[1])].hash()[:4], 16) / 0xFFFF


# --- what holds a search up, and what ends it ---


async def test_a_claim_that_is_made_later_lets_the_search_go_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(data={"claim": "tables"}, table={"file": "t.csv"}))
        message = await it.stalled(constants.REASON_CLAIM_NOT_FOUND)
        assert "spec.data.claim" in message
        assert "tables" in message
        assert it.api.writes(method="POST", contains="/jobs") == []
        it.api.create("PersistentVolumeClaim", {"metadata": {"name": "tables"}})
        status = await it.phase("Complete")
        assert conditions({"status": status})["Stalled"]["status"] == "False"


async def test_a_template_that_is_refused_is_told_before_a_trial_is_admitted(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.api.refuse_create["Job"] = (422, "spec.template.spec.containers[0].resources.requests: Invalid value")
        it.create(search())
        assert "resources.requests" in await it.stalled(constants.REASON_TEMPLATE_REFUSED)
        assert it.trials("Queued") == []
        del it.api.refuse_create["Job"]
        await it.phase("Complete")


async def test_pods_that_a_quota_refuses_are_told_and_go_on_when_it_is_raised(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.refuse_pods = 'pods "s-0-1-x" is forbidden: exceeded quota: gpus'
        it.create(search())
        assert "exceeded quota: gpus" in await it.stalled(constants.REASON_QUOTA_EXCEEDED)
        assert it.trials("Failed") == []
        it.world.refuse_pods = None
        await it.phase("Complete")


async def test_a_stuck_image_is_told_and_another_template_goes_on_at_once(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.behaviour = lambda _: Stuck("ErrImagePull", "not found")
        it.create(search(trial={"template": {"image": "nowhere/x:1"}}))
        assert "nowhere/x:1" in await it.stalled(constants.REASON_IMAGE_UNAVAILABLE)
        it.world.behaviour = succeed
        it.api.update("NASSearch", "s", lambda s: s["spec"]["trial"]["template"].update(image="mine/x:2"))
        await it.phase("Complete")
        assert {t["status"].get("retries", 0) for t in it.trials()} == {0}


async def test_missing_data_stalls_one_trial_tries_again_and_the_search_goes_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.behaviour = lambda _: failure(66, "/bananas/data/t.csv: No such file")
        it.create(search(trials=5, parallelism=3))
        assert "/bananas/data/t.csv" in await it.stalled(constants.REASON_DATA_MISSING)
        await it.until("a probe", lambda: any(t["status"].get("attempts", 0) > 2 for t in it.trials("Queued")))
        others = [t for t in it.trials("Queued") if t["status"].get("attempts", 0) > 1]
        assert len(others) == 1, "one trial probes, the others wait"
        assert it.trials("Failed") == []
        it.world.behaviour = succeed
        status = await it.phase("Complete")
        assert status["trials"]["failed"] == 0


async def test_a_foreign_job_of_the_wanted_name_is_left_alone_and_told(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        foreign = it.api.create("Job", {"metadata": {"name": "s-0-1"}, "status": {"active": 1}})
        it.create(search(trials=2, parallelism=1))
        assert "s-0-1" in await it.stalled(constants.REASON_NAME_CONFLICT)
        assert it.api.get("Job", "s-0-1") == foreign
        it.api.delete("Job", "s-0-1")
        await it.phase("Complete")


def _refused(it: Any, path: str) -> int:
    return sum(c.method == "POST" and c.status == 409 and c.path.endswith(path) for c in it.api.calls)


async def test_a_foreign_predictor_deployment_is_left_alone_and_told(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.proposes = False  # what a foreign Deployment would not do
        foreign = it.api.create("Deployment", {"metadata": {"name": "s-predictor"}, "status": {"x": 1}})
        it.create(search())
        assert "s-predictor" in await it.stalled(constants.REASON_NAME_CONFLICT)
        await it.until("it is tried again and again", lambda: _refused(it, "/deployments") >= 5)
        assert it.api.get("Deployment", "s-predictor") == foreign
        it.world.proposes = True
        it.api.delete("Deployment", "s-predictor")
        await it.phase("Complete")


async def test_trials_of_a_search_of_the_same_name_made_anew_are_not_taken_over(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.2) as it:
        it.world.proposes = False
        first = it.create(search())
        it.api.create("NASTrial", trial(first, 0))
        await it.until("admitted", lambda: it.trials("Queued") or it.trials("Running") or it.trials("Succeeded"))
        stray = trial(first, 1)
        it.api.delete("NASSearch", "s")
        it.create(search())
        await it.until("the new one is seen", lambda: it.status().get("phase"))
        it.api.create("NASTrial", stray)  # its owner is gone, the garbage collector is slow
        await it.lists_again(2)
        assert it.trials("Pending") == it.trials()
        assert it.status()["trials"]["pending"] == 0


async def test_a_deleted_search_leaves_nothing_and_is_forgotten(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.2) as it:
        it.world.seconds = 0.2
        it.create(search())
        await it.until("it runs", lambda: it.trials("Running"))
        it.api.delete("NASSearch", "s")
        await it.until(
            "nothing but Events and the Lease", lambda: {k for k, _, _ in it.api.objects} <= {"Event", "Lease"}
        )
        await it.lists_again()  # a pass that was under way has ended
        writes = len(it.api.writes())
        await it.lists_again()
        assert {kind for kind, _, _ in it.api.objects} <= {"Event", "Lease"}
        assert it.api.writes()[writes:] == []


# --- changes while it runs ---


async def test_scaling_to_nothing_stops_admission_and_up_again_goes_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=20))
        await it.until("some are done", lambda: len(it.trials("Succeeded")) >= 3)
        it.api.update("NASSearch", "s", lambda s: s["spec"].update(parallelism=0))
        await it.until("nothing in flight", lambda: it.status()["inFlight"] == 0)
        assert conditions(it.api.get("NASSearch", "s"))["Progressing"]["reason"] == constants.REASON_NO_PARALLELISM
        assert len(it.trials("Succeeded")) < 20
        it.api.update("NASSearch", "s", lambda s: s["spec"].update(parallelism=4))
        await it.phase("Complete")


async def test_a_raised_budget_makes_a_complete_search_go_on(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.create(search(trials=3))
        await it.phase("Complete")
        it.api.update("NASSearch", "s", lambda s: s["spec"]["budget"].update(trials=6))
        await it.until("six", lambda: it.status()["trials"]["succeeded"] == 6)
        await it.phase("Complete")
        recorded_once(it)


async def test_equal_architectures_are_trained_once(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.architectures = [ARCHITECTURES[i] for i in (0, 0, 1, 1, 0, 2, 3)]
        it.create(search(trials=4))
        status = await it.phase("Complete")
        assert status["trials"]["succeeded"] == 4
        assert status["trials"]["cancelled"] >= 3
        trained = [t["metadata"]["labels"][constants.LABEL_ARCHITECTURE] for t in it.trials("Succeeded")]
        assert len(set(trained)) == 4


async def test_an_exhausted_space_completes_the_search(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        it.world.architectures = ARCHITECTURES[:3]
        it.create(search(trials=9))
        await it.until("three", lambda: len(it.trials("Succeeded")) == 3)
        it.api.update("NASSearch", "s", lambda s: s["status"].update(predictor={"exhausted": True}))
        status = await it.phase("Complete")
        assert conditions({"status": status})["Complete"]["reason"] == constants.REASON_SPACE_EXHAUSTED
        assert status["predictor"] == {"exhausted": True}, "the predictor's part is its own"


async def test_more_objects_than_a_page_holds_are_all_seen(lab: Callable[..., Any]) -> None:
    async with lab(start=False, page_size=3) as it:
        it.world.proposes = False
        made = it.create(search(trials=10, parallelism=4))
        for index in range(10):
            it.api.create("NASTrial", trial(made, index))
        it.start()
        await it.phase("Complete")
        assert len(it.trials("Succeeded")) == 10


async def test_a_namespace_that_is_going_is_no_stall(lab: Callable[..., Any]) -> None:
    async with lab(resync_seconds=0.2) as it:
        text = "unable to create new content in namespace lab because it is being terminated"
        for kind in ("Job", "Deployment", "ServiceAccount", "RoleBinding"):
            it.api.refuse_create[kind] = (403, f'x "y" is forbidden: {text}')
        it.create(search())
        await it.until("it was tried", lambda: [c for c in it.api.calls if c.status == 403])
        await it.lists_again(2)
        assert conditions(it.api.get("NASSearch", "s")).get("Stalled", {}).get("status") != "True"


async def test_a_write_whose_answer_was_lost_is_read_before_anything_else_is_decided(lab: Callable[..., Any]) -> None:
    async with lab(start=False) as it:
        it.world.proposes = False
        made = it.create(search(trials=2, parallelism=1))
        for index in range(2):
            it.api.create("NASTrial", trial(made, index))
        it.api.deaf.add("NASTrial")  # no watch makes up for it
        it.api.faults += [Fault("PATCH", "nastrials/s-0/status", answer_lost=True) for _ in range(2)]
        it.start()
        await it.phase("Complete")
        recorded_once(it)


async def test_a_trial_that_bears_the_label_but_is_not_controlled_by_the_search_is_left_alone(
    lab: Callable[..., Any],
) -> None:
    async with lab() as it:
        it.world.proposes = False
        made = it.create(search())
        stray = trial(made, 0)
        del stray["metadata"]["ownerReferences"]
        it.api.create("NASTrial", stray)
        it.api.create("NASTrial", trial(made, 1))
        await it.until("the other is done", lambda: it.trials("Succeeded"))
        assert [t["metadata"]["name"] for t in it.trials("Pending")] == ["s-0"]
        assert it.status()["trials"]["pending"] == 0


# --- what the operator finds around it ---


def node(name: str, gpus: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {
            "allocatable": {"pods": "110", "nvidia.com/gpu": str(gpus)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


WITH_GPU = {"template": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}


async def test_parallelism_that_the_nodes_cannot_hold_is_a_condition_until_they_can(lab: Callable[..., Any]) -> None:
    async with lab(claim_seconds=0.2, node_seconds=0.2) as it:
        it.world.behaviour = lambda _file: Stuck("ContainerCreating")
        it.api.create("Node", node("a", 2))
        it.create(search(parallelism=4, trial=WITH_GPU))

        def oversubscribed() -> Any:
            return conditions(it.api.get("NASSearch", "s")).get("Oversubscribed", {})

        await it.until("oversubscribed", lambda: oversubscribed().get("status") == "True")
        assert oversubscribed()["reason"] == constants.REASON_TOO_FEW_NODES
        assert "spec.parallelism is 4" in oversubscribed()["message"]
        it.api.create("Node", node("b", 2))
        await it.until("enough nodes", lambda: oversubscribed().get("status") == "False")


async def test_an_operator_that_may_not_list_nodes_and_quotas_works_on(lab: Callable[..., Any]) -> None:
    async with lab(start=False) as it:
        it.api.faults.append(Fault("GET", "/(nodes|resourcequotas)", 403, "Forbidden", times=1000))
        it.create(search(trials=3))
        it.start()
        await it.until("it does not know", lambda: conditions(it.api.get("NASSearch", "s")).get("Oversubscribed"))
        assert conditions(it.api.get("NASSearch", "s"))["Oversubscribed"]["reason"] == constants.REASON_NODES_UNKNOWN
        await it.phase("Complete")


async def test_a_volume_that_cannot_be_mounted_is_named_and_mended_the_search_goes_on(lab: Callable[..., Any]) -> None:
    async with lab(mount_seconds=0.1) as it:
        mended = False
        it.world.behaviour = lambda file: succeed(file) if mended else Stuck("ContainerCreating")
        it.create(search(trials=3, parallelism=1))
        pod = await it.until("a pod", lambda: next(iter(it.api.all("Pod")), None))
        about = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        event = {"reason": "FailedMount", "message": 'configmap "absent" not found', "involvedObject": about}
        it.api.create("Event", {"metadata": {"generateName": "mount-"}, "type": "Warning", **event})
        assert "absent" in await it.stalled(constants.REASON_VOLUME_UNAVAILABLE)
        mended = True
        await it.phase("Complete")
        assert len(it.trials("Succeeded")) == 3


async def test_a_claim_that_only_one_node_can_mount_brings_the_pods_together(lab: Callable[..., Any]) -> None:
    async with lab() as it:
        claim = {"metadata": {"name": "disk"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        it.api.create("PersistentVolumeClaim", claim)
        it.world.behaviour = lambda _file: Stuck("ContainerCreating")
        it.create(search(checkpoints={"claim": "disk"}))
        job = await it.until("a Job", lambda: next(iter(it.api.all("Job")), None))
        affinity = job["spec"]["template"]["spec"]["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        want = term["labelSelector"]["matchLabels"]
        assert want.items() <= job["spec"]["template"]["metadata"]["labels"].items()


async def test_a_trial_that_a_person_makes_anew_does_not_find_the_checkpoints_of_the_other(
    lab: Callable[..., Any],
) -> None:
    async with lab() as it:
        it.world.proposes = False
        it.world.behaviour = lambda _file: Stuck("ContainerCreating")
        it.api.create("PersistentVolumeClaim", {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteMany"]}})
        made = it.create(search(checkpoints={"claim": "c"}))
        directories = []
        for _ in range(2):
            it.api.create("NASTrial", trial(made, 0))
            pod = await it.until("a pod", lambda: next(iter(it.api.all("Pod")), None))
            file = TrialFile.read(pod["metadata"]["annotations"][constants.ANNOTATION_TRIAL_FILE])
            directories.append(file.checkpoint_dir)
            it.api.delete("NASTrial", "s-0")
            await it.until("its pod is gone", lambda: not it.api.all("Pod"))
        assert len(set(directories)) == 2
        assert all(
            str(directory).startswith(f"/bananas/checkpoints/{made['metadata']['uid']}/s-0-")
            for directory in directories
        )
