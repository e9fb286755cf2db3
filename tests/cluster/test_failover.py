"""Two replicas of the operator on the real cluster: the leader is killed, paused, woken; and what the fence refuses."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.support.cluster import Cluster, Object, condition, wait_for
from tests.support.history import OPERATOR, most_in_flight, phases, recordings, trials
from tests.support.processes import lives, process_with
from tests.support.searches import table_search

SYSTEM = "bananas-system"
POD_NAME = "authentication.kubernetes.io/pod-name"


def holder(cluster: Cluster) -> str:
    lease = cluster.get("lease", "bananas-operator", SYSTEM)
    return str(lease["spec"].get("holderIdentity", "")) if lease is not None else ""


def replicas(cluster: Cluster) -> list[str]:
    pods = cluster.list("pods", SYSTEM, "app.kubernetes.io/component=operator")
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def process_of(replica: str) -> int:
    return process_with(f"BANANAS_IDENTITY={replica}")


def writes_of_operator(cluster: Cluster, namespace: str, since: int) -> list[Object]:
    return [
        event
        for event in cluster.audit(since)
        if event["user"]["username"] == OPERATOR
        and event["verb"] in ("create", "patch", "update", "delete")
        and event.get("objectRef", {}).get("namespace") == namespace
        and event["objectRef"]["resource"] != "events"
        and event["responseStatus"]["code"] < 300
    ]


def seconds_until_it_acts(cluster: Cluster, namespace: str, strike: Callable[[], None]) -> float:
    """From a strike at the leader to the first write of any replica that was not under way."""
    since, at = cluster.audit_position(), datetime.now(UTC)
    strike()

    def first() -> float:
        times = [
            (datetime.fromisoformat(event["requestReceivedTimestamp"]) - at).total_seconds()
            for event in writes_of_operator(cluster, namespace, since)
        ]
        return next((seconds for seconds in times if seconds > 0.5), 0)

    return wait_for("a replica acts", first, seconds=60)


def test_a_killed_and_a_paused_leader_are_followed_within_twenty_seconds(cluster: Cluster, namespace: str) -> None:
    since = cluster.audit_position()
    cluster.apply(table_search("led", namespace, trials=60, parallelism=2, seconds=1))
    wait_for("results", lambda: phases(trials(cluster, "led", namespace))["Succeeded"] >= 3, seconds=90)
    assert len(replicas(cluster)) == 2

    killed = process_of(holder(cluster))
    after_kill = seconds_until_it_acts(cluster, namespace, lambda: os.kill(killed, signal.SIGKILL))

    def both_ready() -> bool:
        pods = cluster.list("pods", SYSTEM, "app.kubernetes.io/component=operator")
        return len([p for p in pods if condition(p, "Ready")["status"] == "True"]) == 2

    wait_for("both are ready", both_ready, seconds=60)
    paused_name = holder(cluster)
    paused = process_of(paused_name)
    after_pause = seconds_until_it_acts(cluster, namespace, lambda: os.kill(paused, signal.SIGSTOP))
    assert holder(cluster) not in (paused_name, "")
    woken_at = cluster.audit_position()
    os.kill(paused, signal.SIGCONT)
    wait_for("the woken one has ended", lambda: not lives(paused), seconds=15)
    stale = [
        e for e in writes_of_operator(cluster, namespace, woken_at) if e["user"]["extra"][POD_NAME] == [paused_name]
    ]
    assert stale == [], "a leader that was paused wrote after its Lease went"

    wait_for(
        "the search is Complete",
        lambda: condition(cluster.get("nassearch", "led", namespace), "Complete")["status"] == "True",
        seconds=180,
    )
    print(f"failover: {after_kill:.1f} s after SIGKILL, {after_pause:.1f} s after SIGSTOP")
    assert after_kill <= 20
    assert after_pause <= 20
    found = trials(cluster, "led", namespace)
    assert phases(found)["Succeeded"] == 60
    assert {t["status"]["attempts"] for t in found if t["status"]["phase"] == "Succeeded"} == {1}
    assert set(recordings(cluster, namespace, since).values()) == {1}
    assert most_in_flight(cluster, namespace, "led", since) == 2


def test_a_stopped_leader_is_followed_at_once(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("handed", namespace, trials=20, parallelism=2, seconds=1))
    wait_for("results", lambda: phases(trials(cluster, "handed", namespace))["Succeeded"] >= 2, seconds=90)
    leader = holder(cluster)
    seconds = seconds_until_it_acts(cluster, namespace, lambda: cluster.delete("pod", leader, SYSTEM, wait=False))
    print(f"failover: {seconds:.1f} s after SIGTERM")
    assert holder(cluster) != leader
    assert seconds <= 8
    wait_for(
        "the search is Complete",
        lambda: condition(cluster.get("nassearch", "handed", namespace), "Complete")["status"] == "True",
        seconds=120,
    )


def test_the_api_server_refuses_a_write_of_a_replica_that_does_not_hold_the_lease(
    cluster: Cluster, namespace: str
) -> None:
    leader = wait_for("a leader", lambda: holder(cluster), seconds=30)
    follower = wait_for("a follower", lambda: next(iter(set(replicas(cluster)) - {leader}), ""), seconds=30)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "late", "namespace": namespace},
        "spec": {
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "x", "image": "none", "resources": {}}],
                }
            }
        },
    }

    def create(replica: str) -> tuple[int, str]:
        token = cluster.kubectl(
            "create", "token", "bananas-operator", "-n", SYSTEM, "--bound-object-kind=Pod", f"--bound-object-name={replica}"
        ).strip()  # fmt: skip
        done = cluster.run("create", "--dry-run=server", "-f", "-", token=token, stdin=json.dumps(job))
        return done.code, done.err

    code, text = create(follower)
    assert code != 0
    assert "bananas-operator-fence" in text
    assert "another replica of the operator holds the Lease" in text
    assert create(leader)[0] == 0, create(leader)


@pytest.fixture(autouse=True)
def two_replicas(cluster: Cluster) -> None:
    """Each test begins with both replicas up; crash loops of an earlier one have ended."""

    def up() -> bool:
        deployment = cluster.get("deployment", "bananas-operator", SYSTEM)
        ready = deployment is not None and deployment["status"].get("readyReplicas") == 2
        return ready and holder(cluster) in replicas(cluster)

    wait_for("two ready replicas, of which one leads", up, seconds=120)
