"""A person steers a search that runs: suspend, scale, budgets, queues, quotas, cancel and retry."""

from datetime import UTC, datetime, timedelta

from tests.support.cluster import Cluster, Object, condition, wait_for
from tests.support.history import OPERATOR, epochs_trained, most_in_flight, phases, recordings, trials, writes
from tests.support.searches import table_search, training_search

NO_GPU = {
    "limits": {"nvidia.com/gpu": None, "cpu": "1", "memory": "1Gi"},
    "requests": {"cpu": "20m", "memory": "200Mi"},
}


def search_of(cluster: Cluster, name: str, namespace: str) -> Object:
    found = cluster.get("nassearch", name, namespace)
    assert found is not None
    return found


def wait_for_phase(cluster: Cluster, name: str, namespace: str, phase: str, seconds: float) -> Object:
    wait_for(
        f"{name} is {phase}",
        lambda: search_of(cluster, name, namespace).get("status", {}).get("phase") == phase,
        seconds=seconds,
    )
    return search_of(cluster, name, namespace)


def change(cluster: Cluster, name: str, namespace: str, **spec: object) -> None:
    cluster.patch("nassearch", name, namespace, {"spec": spec})


def annotate(cluster: Cluster, trial: str, namespace: str, what: str) -> None:
    """As `kubectl nas retry` and `cancel` do; a second from now, for an end may have been stamped in this very one."""
    now = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.patch("nastrial", trial, namespace, {"metadata": {"annotations": {f"nas.bananas.dev/{what}": now}}})


def status_of(cluster: Cluster, trial: str, namespace: str) -> Object:
    return (cluster.get("nastrial", trial, namespace) or {}).get("status", {})


def test_ten_trainings_that_are_suspended_and_resumed_lose_no_finished_epoch(cluster: Cluster, namespace: str) -> None:
    checkpoints = cluster.volume("checkpoints", namespace)
    cluster.apply(
        training_search(
            "paused",
            namespace,
            trials=10,
            parallelism=10,
            checkpoints={"claim": "checkpoints"},
            trial={"recipe": {"epochs": 300, "scoreEpochs": 1}, "template": {"resources": NO_GPU}},
        )
    )

    def epochs(attempt: int) -> dict[str, list[int]]:
        return {
            name: found
            for name, log in epochs_trained(checkpoints).items()
            if (found := [epoch for number, epoch in log if number == attempt])
        }

    wait_for("an epoch of each of the ten", lambda: len(epochs(1)) == 10, seconds=240)
    change(cluster, "paused", namespace, suspend=True)
    found = wait_for_phase(cluster, "paused", namespace, "Suspended", 30)
    assert condition(found, "Suspended")["status"] == "True"
    wait_for("no pod is left", lambda: cluster.list("pods", namespace) == [], seconds=90)
    wait_for("no Job is left", lambda: cluster.list("jobs", namespace) == [], seconds=30)
    wait_for("all ten wait", lambda: phases(trials(cluster, "paused", namespace))["Queued"] == 10, seconds=30)
    first = epochs(1)
    change(cluster, "paused", namespace, suspend=False)
    wait_for("an epoch of each second attempt", lambda: len(epochs(2)) == 10, seconds=240)
    for name, log in epochs_trained(checkpoints).items():
        # An epoch that was saved but not logged yet when the attempt was stopped is logged by the next one, as the first's.
        assert len([attempt for attempt, _ in log if attempt == 1]) - len(first[name]) in (0, 1), name
        assert [epoch for _, epoch in log] == list(range(1, len(log) + 1)), "each epoch once, none lost, none again"
        assert log == sorted(log), name
    for trial in trials(cluster, "paused", namespace):
        status = trial["status"]
        assert (status["interruptions"], status["retries"], status["attempts"]) == (0, 0, 2)


def test_scaling_from_8_to_2_to_8_kills_nothing(cluster: Cluster, namespace: str) -> None:
    since = cluster.audit_position()
    cluster.apply(
        table_search(
            "scaled",
            namespace,
            trials=28,
            parallelism=8,
            seconds=5,
            trial={"template": {"resources": {"limits": {"nvidia.com/gpu": None}}}},
        )
    )

    def scale(replicas: int) -> None:
        cluster.kubectl("scale", "nas/scaled", f"--replicas={replicas}", "-n", namespace)

    def flying() -> int:
        found = phases(trials(cluster, "scaled", namespace))
        return found["Queued"] + found["Running"]

    wait_for("eight in flight", lambda: flying() == 8, seconds=90)
    scale(2)
    wait_for("the surplus has finished", lambda: flying() <= 2, seconds=90)
    done = phases(trials(cluster, "scaled", namespace))["Succeeded"]
    wait_for(
        "two more are done", lambda: phases(trials(cluster, "scaled", namespace))["Succeeded"] >= done + 2, seconds=90
    )
    assert flying() <= 2
    scale(8)
    wait_for("eight in flight again", lambda: flying() == 8, seconds=60)
    wait_for_phase(cluster, "scaled", namespace, "Complete", 120)
    found = trials(cluster, "scaled", namespace)
    assert phases(found)["Succeeded"] == 28
    assert {
        (t["status"]["attempts"], t["status"]["interruptions"]) for t in found if t["status"]["phase"] == "Succeeded"
    } == {(1, 0)}
    assert set(recordings(cluster, namespace, since).values()) == {1}
    assert most_in_flight(cluster, namespace, "scaled", since) == 8
    ours = (OPERATOR, f"system:serviceaccount:{namespace}:scaled-predictor")
    of_trials = [
        verb
        for user, verb, resource, where in writes(cluster, since)
        if user in ours and resource in ("nastrials", "jobs") and where == namespace
    ]
    assert len(of_trials) <= 6 * 28, "undisturbed, a trial takes few writes"


def test_a_wall_clock_ends_a_search_and_raised_bounds_let_it_go_on(cluster: Cluster, namespace: str) -> None:
    cluster.apply(
        table_search("bounded", namespace, seconds=1, parallelism=2, budget={"trials": 200, "wallClock": "8s"})
    )
    found = wait_for_phase(cluster, "bounded", namespace, "Complete", 90)
    assert condition(found, "Complete")["reason"] == "WallClockUsed"
    done = phases(trials(cluster, "bounded", namespace))["Succeeded"]
    assert 0 < done < 200
    wait_for("no offer is left", lambda: not phases(trials(cluster, "bounded", namespace))["Pending"], seconds=20)
    wait_for("the predictor is gone", lambda: cluster.list("deployments", namespace) == [], seconds=30)
    change(cluster, "bounded", namespace, budget={"wallClock": None, "trials": done + 3})
    found = wait_for_phase(cluster, "bounded", namespace, "Running", 30)
    assert "completionTime" not in found["status"]
    found = wait_for_phase(cluster, "bounded", namespace, "Complete", 90)
    assert condition(found, "Complete")["reason"] == "BudgetUsed"
    assert phases(trials(cluster, "bounded", namespace))["Succeeded"] == done + 3


def test_a_job_that_somebody_suspends_is_queued_and_goes_on_as_the_same_attempt(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(
        table_search(
            "queued",
            namespace,
            trials=1,
            parallelism=1,
            seconds=10,
            trial={
                "template": {
                    "labels": {"kueue.x-k8s.io/queue-name": "team"},
                    "annotations": {"scheduling.volcano.sh/queue-name": "team"},
                }
            },
        )
    )
    wait_for("it runs", lambda: status_of(cluster, "queued-0", namespace).get("phase") == "Running", seconds=90)
    job, pod = (
        cluster.get("job", "queued-0-1", namespace),
        cluster.list("pods", namespace, "batch.kubernetes.io/job-name")[0],
    )
    assert job is not None
    for made in (job, pod):
        assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
        assert made["metadata"]["annotations"]["scheduling.volcano.sh/queue-name"] == "team"
    since = cluster.audit_position()
    cluster.patch("job", "queued-0-1", namespace, {"spec": {"suspend": True}})
    wait_for(
        "it is queued", lambda: "suspended" in status_of(cluster, "queued-0", namespace).get("message", ""), seconds=60
    )
    found = search_of(cluster, "queued", namespace)
    assert status_of(cluster, "queued-0", namespace)["phase"] == "Queued"
    assert condition(found, "Progressing")["reason"] == "JobsSuspended"
    assert condition(found, "Stalled")["status"] == "False"
    cluster.patch("job", "queued-0-1", namespace, {"spec": {"suspend": False}})
    wait_for_phase(cluster, "queued", namespace, "Complete", 90)
    status = status_of(cluster, "queued-0", namespace)
    assert (status["phase"], status["attempts"], status["interruptions"], status["retries"]) == ("Succeeded", 1, 0, 0)
    ours = [
        event
        for event in cluster.audit(since)
        if event.get("objectRef", {}).get("resource") == "jobs"
        and event["verb"] in ("patch", "update")
        and event["user"]["username"] == OPERATOR
    ]
    assert ours == [], "a Job's suspend is never ours"


def test_a_quota_for_one_trial_makes_the_others_wait_and_the_search_completes_by_itself(
    cluster: Cluster, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "one-gpu", "namespace": namespace},
        "spec": {"hard": {"requests.nvidia.com/gpu": "1"}},
    }
    cluster.apply(quota)
    cluster.apply(table_search("squeezed", namespace, trials=4, parallelism=2, seconds=4))

    def waits() -> bool:
        progressing = condition(search_of(cluster, "squeezed", namespace), "Progressing")
        return progressing["reason"] == "QuotaExceeded" and "one-gpu" in progressing["message"]

    wait_for("the quota is named", waits, seconds=90)
    assert condition(search_of(cluster, "squeezed", namespace), "Stalled")["status"] == "False"
    wait_for_phase(cluster, "squeezed", namespace, "Complete", 240)
    found = trials(cluster, "squeezed", namespace)
    assert phases(found)["Succeeded"] == 4
    assert {
        (t["status"]["attempts"], t["status"]["retries"]) for t in found if t["status"]["phase"] == "Succeeded"
    } == {(1, 0)}


def test_a_running_trial_is_given_up_and_a_failed_one_tried_again(cluster: Cluster, namespace: str) -> None:
    cluster.apply(
        table_search(
            "steered",
            namespace,
            trials=3,
            parallelism=1,
            seconds=30,
            trial={"template": {"command": ["python3", "-c", "import sys; sys.exit(72)"]}},
        )
    )
    wait_for(
        "the first has failed", lambda: status_of(cluster, "steered-0", namespace).get("phase") == "Failed", seconds=90
    )
    change(cluster, "steered", namespace, parallelism=0)
    change(cluster, "steered", namespace, trial={"template": {"command": None}}, budget={"trials": 8})
    wait_for(
        "nothing is in flight", lambda: search_of(cluster, "steered", namespace)["status"]["inFlight"] == 0, seconds=60
    )
    change(cluster, "steered", namespace, parallelism=1)

    def running() -> list[str]:
        return [
            t["metadata"]["name"]
            for t in trials(cluster, "steered", namespace)
            if t.get("status", {}).get("phase") == "Running"
        ]

    [name] = wait_for("one runs", running, seconds=90)
    annotate(cluster, name, namespace, "cancel")
    wait_for("it is cancelled", lambda: status_of(cluster, name, namespace)["phase"] == "Cancelled", seconds=60)
    status = status_of(cluster, name, namespace)
    assert (status["reason"], status["interruptions"]) == ("CancelledByUser", 0)
    wait_for(
        "its Job is gone", lambda: cluster.list("jobs", namespace, f"nas.bananas.dev/trial={name}") == [], seconds=30
    )
    annotate(cluster, "steered-0", namespace, "retry")

    def again() -> list[Object]:
        origin = {"method": "retry", "parent": 0}
        return [t for t in trials(cluster, "steered", namespace) if t["spec"]["origin"] == origin]

    [offered] = wait_for("it is offered again", again, seconds=60)
    first = cluster.get("nastrial", "steered-0", namespace)
    assert first is not None
    assert offered["spec"]["architecture"] == first["spec"]["architecture"]
    assert first["status"]["phase"] == "Failed", "its record stays"
    assert offered["spec"]["seed"] == first["spec"]["seed"]
    wait_for(
        "it runs, for it is no duplicate",
        lambda: status_of(cluster, offered["metadata"]["name"], namespace).get("phase") in ("Running", "Succeeded"),
        seconds=180,
    )
