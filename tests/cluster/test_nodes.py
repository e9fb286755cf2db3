"""Nodes that take pods away, nodes that vanish, attempts that fail or hang: each has its name, and none is lost."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Object, condition, wait_for
from tests.support.history import phases, trials
from tests.support.nodes import TAINT, TOLERATION, gpu_pod, haunt, pretend_to_run
from tests.support.searches import table_search

HIGH = "test-nodes-high"


@pytest.fixture
def high_priority(cluster: Cluster) -> Iterator[str]:
    cluster.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": HIGH}, "value": 1_000_000}
    )
    yield HIGH
    cluster.delete("priorityclass", HIGH)


@pytest.fixture
def ghost(cluster: Cluster) -> Iterator[str]:
    name = "test-nodes-ghost"
    yield name
    cluster.delete("node", name)


def running(cluster: Cluster, search: str, namespace: str, number: int = 1) -> list[Object]:
    """Pods of trials whose container runs, once there are so many, and the trials' statuses say so too."""

    def found() -> list[Object]:
        selector = f"app.kubernetes.io/component=trial,nas.bananas.dev/search={search}"
        pods = [
            pod
            for pod in cluster.list("pods", namespace, selector)
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        enough = len(pods) >= number and phases(trials(cluster, search, namespace))["Running"] >= number
        return pods if enough else []

    return wait_for(f"{number} running trials of {search}", found, seconds=60)


def done(cluster: Cluster, search: str, namespace: str, seconds: float = 120) -> Object:
    """The search's status once it is Complete."""

    def complete() -> Object | None:
        found = cluster.get("nassearch", search, namespace)
        return found if condition(found, "Complete")["status"] == "True" else None

    status: Object = wait_for(f"{search} is Complete", complete, seconds=seconds)["status"]
    return status


def _seconds_since(stamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()


def events(cluster: Cluster, namespace: str, reason: str) -> list[str]:
    return [e["message"] for e in cluster.list("events", namespace) if e["reason"] == reason]


def test_trials_preempted_by_a_pod_of_higher_priority_go_on_and_none_fails(
    cluster: Cluster, namespace: str, high_priority: str
) -> None:
    cluster.volume("checkpoints", namespace)
    cluster.apply(table_search("preempted", namespace, trials=2, seconds=12, checkpoints={"claim": "checkpoints"}))
    running(cluster, "preempted", namespace, 2)
    wait_for(
        "both have run for two seconds, for the kubelet counts whole ones",
        lambda: all(_seconds_since(t["status"]["startTime"]) > 2 for t in trials(cluster, "preempted", namespace)),
        seconds=30,
    )
    cluster.apply(gpu_pod("urgent", namespace, seconds=2, priority_class=high_priority))
    status = done(cluster, "preempted", namespace)
    assert status["interruptions"] == {"total": 2, "preemptions": 2}
    assert status["gpuSeconds"]["wasted"] > 0
    assert status["trials"]["succeeded"] == 2
    for found in trials(cluster, "preempted", namespace):
        assert found["status"]["attempts"] == 2
        assert (found["status"]["preemptions"], found["status"].get("retries", 0)) == (1, 0)
    assert "avoidedNodes" not in status or status["avoidedNodes"] == []
    assert len(events(cluster, namespace, "TrialInterrupted")) == 2


def evict(cluster: Cluster, pod: Object) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def delete(cluster: Cluster, pod: Object) -> None:
    cluster.delete("pod", pod["metadata"]["name"], pod["metadata"]["namespace"], wait=False)


def kill(_cluster: Cluster, pod: Object) -> None:
    """SIGKILL to the trainer, as the kernel sends it when the node's memory is used up."""
    uid = pod["metadata"]["uid"].replace("-", "")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            groups, command = (entry / "cgroup").read_text(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if uid in groups.replace("-", "").replace("_", "") and b"bananas_tables" in command:
            os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "preemptions"), [(evict, 1), (delete, 0), (kill, 0)], ids=["evicted", "deleted", "killed"]
)
def test_a_pod_ended_from_outside_is_an_interruption_and_told_as_what_it_was(
    cluster: Cluster, namespace: str, end: Callable[[Cluster, Object], None], preemptions: int
) -> None:
    cluster.apply(table_search("ended", namespace, trials=1, parallelism=1, seconds=15))
    [pod] = running(cluster, "ended", namespace)
    end(cluster, pod)
    assert done(cluster, "ended", namespace)["interruptions"] == {"total": 1, "preemptions": preemptions}
    [found] = trials(cluster, "ended", namespace)
    assert (found["status"]["attempts"], found["status"].get("retries", 0)) == (2, 0)


def test_a_trial_on_a_lost_node_begins_anew_elsewhere_though_its_pod_cannot_be_deleted(
    cluster: Cluster, namespace: str, ghost: str
) -> None:
    haunt(cluster, ghost)
    wants_ghost = {"matchExpressions": [{"key": TAINT, "operator": "Exists"}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": wants_ghost}]}
    template = {"template": {"tolerations": [TOLERATION], "affinity": {"nodeAffinity": preferred}}}
    cluster.apply(
        table_search("lost", namespace, trials=1, parallelism=1, trial={**template, "nodeLossTimeoutSeconds": 5})
    )

    def pods() -> list[Object]:
        return cluster.list("pods", namespace, "app.kubernetes.io/component=trial")

    [pod] = wait_for(
        "a pod on the ghost", lambda: [p for p in pods() if p["spec"].get("nodeName") == ghost], seconds=30
    )
    pretend_to_run(cluster, pod, "trainer")
    done(cluster, "lost", namespace, seconds=120)
    [found] = trials(cluster, "lost", namespace)
    status = found["status"]
    assert (status["attempts"], status["interruptions"], status.get("preemptions", 0)) == (2, 1, 0)
    assert status["node"] != ghost
    assert [fault["node"] for fault in status["nodeFaults"]] == [ghost]
    [left] = [p for p in pods() if p["metadata"]["uid"] == pod["metadata"]["uid"]]
    assert "deletionTimestamp" in left["metadata"], "it is still there: nobody can end it"


HANGS_AT_FIRST = """
import json, os, runpy, time
from bananas_core.attempt import Attempt
if json.load(open(os.environ["BANANAS_TRIAL_FILE"]))["attempt"] == 1:
    Attempt.start().progress.post(epoch=1, epochs=5)
    time.sleep(600)
runpy.run_module("bananas_tables.trial", run_name="__main__")
"""


def test_an_attempt_that_tells_no_progress_any_more_is_ended_and_tried_again(cluster: Cluster, namespace: str) -> None:
    template = {"command": ["python3", "-c", HANGS_AT_FIRST], "terminationGracePeriodSeconds": 2}
    cluster.apply(
        table_search("hung", namespace, trials=1, parallelism=1, trial={"template": template, "noProgressSeconds": 30})
    )
    done(cluster, "hung", namespace, seconds=150)
    [found] = trials(cluster, "hung", namespace)
    assert (found["status"]["attempts"], found["status"]["retries"]) == (2, 1)
    [message] = events(cluster, namespace, "AttemptFailed")
    assert "Hang" in message
    assert "noProgressSeconds" in message


def test_an_error_of_an_image_of_one_s_own_is_told_with_the_end_of_its_log(cluster: Cluster, namespace: str) -> None:
    code = "print('trains'); raise ValueError('my own image is broken')"
    cluster.apply(
        table_search(
            "broken",
            namespace,
            trials=2,
            trial={"retries": 0, "maxFailedTrials": 0, "template": {"command": ["python3", "-c", code]}},
        )
    )

    def failed() -> str:
        found = condition(cluster.get("nassearch", "broken", namespace), "Failed")
        return found["message"] if found["status"] == "True" else ""

    message = wait_for("the search has failed", failed, seconds=60)
    assert "ProgramError" in message
    assert "ValueError: my own image is broken" in message


def test_a_deadline_ends_what_runs_too_long_and_waiting_for_a_gpu_does_not_count(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(gpu_pod("busy", namespace, seconds=12))
    wait_for(
        "the GPUs are taken", lambda: cluster.get("pod", "busy", namespace)["status"]["phase"] == "Running", seconds=30
    )
    limits = {"deadlineSeconds": 6, "maxFailedTrials": 1}
    cluster.apply(table_search("in-time", namespace, trials=1, parallelism=1, seconds=1, trial=limits))
    status = done(cluster, "in-time", namespace)
    assert status["trials"]["succeeded"] == 1
    [found] = trials(cluster, "in-time", namespace)
    assert found["status"]["attempts"] == 1
    cluster.apply(table_search("too-long", namespace, trials=1, parallelism=1, seconds=60, trial=limits))
    done(cluster, "too-long", namespace)
    [found] = trials(cluster, "too-long", namespace)
    assert found["status"]["failure"]["reason"] == "DeadlineExceeded"


def test_a_volume_that_cannot_be_mounted_is_named_and_mended_the_search_goes_on(
    cluster: Cluster, namespace: str
) -> None:
    template = {
        "volumes": [{"name": "extra", "configMap": {"name": "absent"}}],
        "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    }
    cluster.apply(table_search("unmounted", namespace, trials=1, parallelism=1, trial={"template": template}))

    def stalled() -> str:
        found = condition(cluster.get("nassearch", "unmounted", namespace), "Stalled")
        return found["message"] if found["reason"] == "VolumeUnavailable" else ""

    assert 'configmap "absent" not found' in wait_for("it is named", stalled, seconds=30)
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "absent", "namespace": namespace}})
    done(cluster, "unmounted", namespace, seconds=180)


def test_more_parallelism_than_the_cluster_holds_is_a_condition_with_numbers(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("greedy", namespace, trials=3, parallelism=8))

    def told() -> str:
        found = condition(cluster.get("nassearch", "greedy", namespace), "Oversubscribed")
        return found["message"] if found["status"] == "True" else ""

    message = wait_for("it is oversubscribed", told, seconds=30)
    assert "spec.parallelism is 8" in message
    assert "nvidia.com/gpu 1" in message
    assert done(cluster, "greedy", namespace)["trials"]["succeeded"] == 3


def claim(cluster: Cluster, name: str, namespace: str, mode: str) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"accessModes": [mode], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}},
        }
    )


def test_a_claim_of_one_node_is_told_and_its_trials_run_together(cluster: Cluster, namespace: str) -> None:
    claim(cluster, "disk", namespace, "ReadWriteOnce")
    cluster.volume("disk", namespace)
    cluster.apply(table_search("tied", namespace, trials=4, parallelism=2, seconds=3, checkpoints={"claim": "disk"}))
    running(cluster, "tied", namespace, 2)
    progressing = condition(cluster.get("nassearch", "tied", namespace), "Progressing")
    assert "spec.checkpoints.claim disk is of one node" in progressing["message"]
    assert done(cluster, "tied", namespace)["trials"]["succeeded"] == 4


def test_a_claim_of_one_pod_is_refused_for_two_trials_at_once(cluster: Cluster, namespace: str) -> None:
    claim(cluster, "disk", namespace, "ReadWriteOncePod")
    cluster.apply(table_search("alone", namespace, trials=2, parallelism=2, checkpoints={"claim": "disk"}))

    def reason() -> str:
        return str(condition(cluster.get("nassearch", "alone", namespace), "Stalled")["reason"])

    wait_for("it is refused", lambda: reason() == "ClaimOfOnePod", seconds=30)
    assert cluster.list("jobs", namespace) == []
    cluster.kubectl("scale", "nassearch/alone", "--replicas=1", "-n", namespace)
    wait_for("it is not", lambda: reason() == "AsExpected", seconds=30)


def test_after_two_failures_in_a_row_on_a_node_the_next_attempt_goes_to_another(
    cluster: Cluster, namespace: str, ghost: str
) -> None:
    template = {"command": ["python3", "-c", "raise SystemExit(1)"], "tolerations": [TOLERATION]}
    cluster.apply(
        table_search("unlucky", namespace, trials=1, parallelism=1, trial={"template": template, "retries": 9})
    )

    def retries() -> int:
        return sum(t.get("status", {}).get("retries", 0) for t in trials(cluster, "unlucky", namespace))

    wait_for("two failures", lambda: retries() == 2, seconds=90)
    haunt(cluster, ghost)
    search = wait_for(
        "the node is avoided",
        lambda: (s := cluster.get("nassearch", "unlucky", namespace)) and s["status"].get("avoidedNodes") and s,
        seconds=30,
    )
    [bad] = search["status"]["avoidedNodes"]
    assert f"node {bad} is avoided" in condition(search, "Progressing")["message"]
    assert any(bad in message for message in events(cluster, namespace, "NodeAvoided"))

    def third() -> str:
        pods = cluster.list("pods", namespace, "app.kubernetes.io/component=trial,nas.bananas.dev/attempt=3")
        return str(pods[0]["spec"].get("nodeName", "")) if pods else ""

    assert wait_for("the third attempt has a node", third, seconds=60) == ghost
