"""What is killed in the middle: the search completes all the same, and every result is recorded once."""

import json
import subprocess
import urllib.request
from collections.abc import Callable

import pytest

from tests.support.cluster import Cluster, condition, wait_for
from tests.support.history import epochs_trained, phases, recordings, trials
from tests.support.searches import table_search, training_search

SYSTEM = "bananas-system"


def kill_operator(cluster: Cluster, namespace: str, search: str) -> None:
    for pod in cluster.list("pods", SYSTEM, "app.kubernetes.io/component=operator"):
        cluster.delete("pod", pod["metadata"]["name"], SYSTEM, force=True)


def kill_predictor(cluster: Cluster, namespace: str, search: str) -> None:
    selector = f"app.kubernetes.io/component=predictor,nas.bananas.dev/search={search}"
    for pod in cluster.list("pods", namespace, selector):
        cluster.delete("pod", pod["metadata"]["name"], namespace, force=True)


def kill_trials(cluster: Cluster, namespace: str, search: str) -> None:
    selector = f"app.kubernetes.io/component=trial,nas.bananas.dev/search={search}"
    for pod in cluster.list("pods", namespace, selector):
        cluster.delete("pod", pod["metadata"]["name"], namespace, force=True)


@pytest.mark.parametrize("kill", [kill_operator, kill_predictor, kill_trials], ids=["operator", "predictor", "trials"])
def test_a_search_completes_after_a_kill_in_the_middle_with_every_result_recorded_once(
    cluster: Cluster, namespace: str, kill: Callable[[Cluster, str, str], None]
) -> None:
    since = cluster.audit_position()
    cluster.apply(table_search("hit", namespace, trials=12, parallelism=2, seconds=2))
    for done in (2, 6):
        wait_for(
            f"{done} results, and a trial that runs",
            lambda done=done: (p := phases(trials(cluster, "hit", namespace)))["Succeeded"] >= done and p["Running"],
            seconds=90,
        )
        kill(cluster, namespace, "hit")
    wait_for(
        "the search is Complete",
        lambda: condition(cluster.get("nassearch", "hit", namespace), "Complete")["status"] == "True",
        seconds=150,
    )
    found = trials(cluster, "hit", namespace)
    assert phases(found)["Succeeded"] == 12
    assert phases(found)["Failed"] == 0
    assert set(recordings(cluster, namespace, since).values()) == {1}
    if kill is kill_trials:
        assert sum(t["status"].get("interruptions", 0) for t in found) >= 1
        assert sum(t["status"].get("retries", 0) for t in found) == 0


def test_a_killed_training_goes_on_from_its_checkpoint_and_trains_no_epoch_twice(
    cluster: Cluster, namespace: str
) -> None:
    checkpoints = cluster.volume("checkpoints", namespace)
    cluster.apply(
        training_search(
            "resumed",
            namespace,
            trials=1,
            parallelism=1,
            checkpoints={"claim": "checkpoints"},
            trial={"recipe": {"epochs": 30, "scoreEpochs": 1}},
        )
    )

    def epochs() -> list[tuple[int, int]]:
        return epochs_trained(checkpoints).get("resumed-0", [])

    wait_for("three epochs", lambda: len(epochs()) >= 3, seconds=90)
    kill_trials(cluster, namespace, "resumed")
    wait_for("an epoch of the second attempt", lambda: any(attempt == 2 for attempt, _ in epochs()), seconds=90)
    wait_for(
        "the result",
        lambda: phases(trials(cluster, "resumed", namespace))["Succeeded"] == 1,
        seconds=180,
    )
    log = epochs()
    second = [epoch for attempt, epoch in log if attempt == 2]
    first = [epoch for attempt, epoch in log if attempt == 1]
    assert max(first) >= 3
    # An epoch may be logged and not yet in a checkpoint when the kill comes: that one is trained again, no other.
    assert second[0] in (max(first), max(first) + 1)
    assert second == list(range(second[0], 31))
    status = trials(cluster, "resumed", namespace)[0]["status"]
    assert status["attempts"] == 2
    assert status["interruptions"] == 1
    assert status["gpuSecondsWasted"] > 0


def test_the_operator_can_do_no_more_than_its_role_says(cluster: Cluster) -> None:
    token = cluster.kubectl("create", "token", "bananas-operator", "-n", SYSTEM, "--duration=10m").strip()
    refused = [
        ("get", "secrets", "-n", "default"),
        ("get", "nodes", "no-such-node"),
        ("get", "configmaps", "-n", "default"),
        ("delete", "nassearch", "x", "-n", "default"),
        ("delete", "namespace", "default"),
        ("get", "clusterroles"),
    ]
    for arguments in refused:
        answer = cluster.run(*arguments, token=token)
        assert answer.code != 0
        assert "Forbidden" in answer.err or "forbidden" in answer.err, (arguments, answer.err)
    for allowed in (("list", "nassearches"), ("create", "jobs"), ("patch", "nastrials", "--subresource=status")):
        assert cluster.run("auth", "can-i", *allowed, "-A", token=token).out.strip() == "yes"
    escalation = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "escalation", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }
    answer = cluster.run("create", "-f", "-", token=token, stdin=json.dumps(escalation))
    assert answer.code != 0
    assert "forbidden" in answer.err


def test_a_predictor_can_do_no_more_than_propose(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("narrow", namespace, trials=5, parallelism=0))
    account = wait_for(
        "the ServiceAccount", lambda: cluster.get("serviceaccount", "narrow-predictor", namespace), seconds=30
    )
    token = cluster.kubectl("create", "token", account["metadata"]["name"], "-n", namespace).strip()
    wait_for(
        "the RoleBinding",
        lambda: cluster.run("auth", "can-i", "create", "nastrials", "-n", namespace, token=token).out.strip() == "yes",
        seconds=30,
    )
    for verb, resource in (
        ("create", "jobs"),
        ("create", "pods"),
        ("get", "secrets"),
        ("patch", "nastrials/status"),
        ("update", "nassearches"),
        ("delete", "nassearches"),
    ):
        assert cluster.run("auth", "can-i", verb, resource, "-n", namespace, token=token).out.strip() == "no", (
            verb,
            resource,
        )
    assert cluster.run("auth", "can-i", "create", "nastrials", "-n", "default", token=token).out.strip() == "no"


def test_the_operator_s_health_and_metrics_answer(cluster: Cluster) -> None:
    port = "18080"
    forward = subprocess.Popen(
        [
            cluster.kubectl_path,
            "--kubeconfig",
            cluster.kubeconfig,
            "port-forward",
            "-n",
            SYSTEM,
            "svc/bananas-operator",
            f"{port}:8080",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert forward.stdout is not None
        assert "Forwarding" in forward.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"bananas_operator_reconcile_seconds" in answer.read()
    finally:
        forward.terminate()
        forward.wait(timeout=10)
