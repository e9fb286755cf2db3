"""`kubectl nas plan`, `logs`, `retry` and `cancel` against the real API server and the real operator."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.test_plugin import plugin
from tests.support.cluster import Cluster, wait_for
from tests.support.history import trials
from tests.support.searches import merged, table_search

STARTED = 60  # seconds for a pod to run


def planned(cluster: Cluster, namespace: str, folder: Path, search: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Exit code and the checks by subject; the search may not be there afterwards."""
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump(search))
    done = plugin(cluster, namespace, "plan", "-f", str(path), "-o", "json")
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert cluster.get("nassearch", search["metadata"]["name"], namespace) is None
    for kind in ("jobs", "pods"):
        assert cluster.list(kind, namespace) == []
    return done.returncode, {check["subject"]: check for check in told["checks"]} | {"jobs": told["jobs"]}


def test_a_plan_that_nothing_speaks_against_is_what_the_operator_then_makes(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    search = table_search("s", namespace, trials=2, seconds=1)
    code, found = planned(cluster, namespace, tmp_path, search)
    assert code == 0
    assert {
        name: found[name]["outcome"] for name in ("NASSearch", "Job", "pod", "operator", "image", "quota", "nodes")
    } == {
        "NASSearch": "good",
        **dict.fromkeys(("Job", "pod", "operator", "image", "quota", "nodes"), "good"),
    }
    cluster.apply(search)
    job = wait_for("the first Job", lambda: cluster.get("job", found["jobs"]["first"], namespace), seconds=STARTED)
    want = found["jobs"]["sample"]["spec"]["template"]["spec"]
    made = job["spec"]["template"]["spec"]
    for field in ("securityContext", "volumes", "tolerations", "terminationGracePeriodSeconds"):
        assert json.dumps(without_defaults(made[field], want[field]), sort_keys=True) == json.dumps(
            want[field], sort_keys=True
        )
    assert made["containers"][0]["image"] == want["containers"][0]["image"] == found["jobs"]["image"]


def without_defaults(made: Any, want: Any) -> Any:
    """What the API server was given of what it has now."""
    if isinstance(made, dict) and isinstance(want, dict):
        return {key: without_defaults(made[key], want[key]) for key in want}
    if isinstance(made, list) and isinstance(want, list):
        return [without_defaults(a, b) for a, b in zip(made, want, strict=True)]
    return made


def test_a_plan_tells_what_the_api_server_would_refuse(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    code, found = planned(cluster, namespace, tmp_path, table_search("s", namespace, trials=0))
    assert code == 1
    assert "spec.budget.trials" in found["NASSearch"]["message"]

    unknown = {"template": {"affinity": {"nodeAffinity": {"wanted": 1}}}}
    code, found = planned(cluster, namespace, tmp_path, table_search("s", namespace, trials=2, trial=unknown))
    assert code == 1
    assert found["NASSearch"]["outcome"] == "good"
    assert 'unknown field "spec.template.spec.affinity.nodeAffinity.wanted"' in found["Job"]["message"]

    code, found = planned(cluster, "no-such-namespace", tmp_path, table_search("s", "no-such-namespace", trials=2))
    assert code == 1
    assert "namespace no-such-namespace is not there" in found["NASSearch"]["message"]


def test_a_plan_tells_of_quota_claims_and_room(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team", "namespace": namespace},
        "spec": {"hard": {"requests.cpu": "300m", "pods": "10"}},
    }
    cluster.apply(quota)
    wait_for(
        "the quota is counted",
        lambda: cluster.get("resourcequota", "team", namespace)["status"].get("used"),
        seconds=30,
    )
    asks = {"template": {"resources": {"requests": {"cpu": "200m", "memory": "64Mi"}}}}
    search = table_search("s", namespace, trials=4, parallelism=4, trial=asks, checkpoints={"claim": "absent"})
    code, found = planned(cluster, namespace, tmp_path, search)
    assert code == 1
    assert found["pod"]["outcome"] == "good"
    assert found["quota"]["message"].startswith("team has room for 1 trial at once (requests.cpu), for 1 now")
    assert "claim absent is not there" in found["checkpoints"]["message"]
    assert found["parallelism"]["outcome"] == "doubtful"

    more = {"template": {"resources": {"requests": {"cpu": "400m", "memory": "64Mi"}}}}
    code, found = planned(cluster, namespace, tmp_path, table_search("s", namespace, trials=4, trial=more))
    assert code == 1
    assert "exceeded quota: team" in found["pod"]["message"]


def running(cluster: Cluster, namespace: str, name: str) -> dict[str, Any] | None:
    trial = cluster.get("nastrial", name, namespace)
    return trial if trial is not None and trial.get("status", {}).get("phase") == "Running" else None


def test_logs_of_a_trial_and_of_the_predictor(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("s", namespace, trials=2, parallelism=1, seconds=60))
    wait_for("the first trial runs", lambda: running(cluster, namespace, "s-0"), seconds=STARTED)
    predictor = plugin(cluster, namespace, "logs", "s")
    assert predictor.returncode == 0, predictor.stderr
    assert predictor.stdout.startswith("{"), "the predictor writes JSON lines"
    trial = plugin(cluster, namespace, "logs", "s-0")
    assert trial.returncode == 0, trial.stderr
    assert "--attempt 7: s-0 has had 1 attempt" in plugin(cluster, namespace, "logs", "s-0", "--attempt", "7").stderr


def test_cancel_stops_a_running_trial_and_another_takes_its_slot(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("s", namespace, trials=3, parallelism=1, seconds=600))
    wait_for("the first trial runs", lambda: running(cluster, namespace, "s-0"), seconds=STARTED)
    done = plugin(cluster, namespace, "cancel", "s-0")
    assert (done.returncode, done.stdout) == (
        0,
        "s-0: attempt 1 is stopped and the trial Cancelled; another takes its slot\n",
    )

    def cancelled() -> bool:
        status = cluster.get("nastrial", "s-0", namespace)["status"]
        return (status["phase"], status.get("reason")) == ("Cancelled", "CancelledByUser")

    wait_for("it is Cancelled", cancelled, seconds=60)
    wait_for("the next one runs", lambda: running(cluster, namespace, "s-1"), seconds=STARTED)
    again = plugin(cluster, namespace, "cancel", "s-0")
    assert (again.returncode, "has ended already (Cancelled)" in again.stderr) == (1, True)


def test_retry_has_a_failed_architecture_offered_anew(cluster: Cluster, namespace: str) -> None:
    broken = {"retries": 0, "maxFailedTrials": 5, "template": {"command": ["sh", "-c", "exit 1"]}}
    cluster.apply(table_search("s", namespace, trials=8, parallelism=1, trial=broken))

    def failed() -> dict[str, Any] | None:
        found = [t for t in trials(cluster, "s", namespace) if t.get("status", {}).get("phase") == "Failed"]
        return found[0] if found else None

    trial = wait_for("a trial has failed", failed, seconds=120)
    name, architecture = trial["metadata"]["name"], trial["spec"]["architecture"]
    cluster.patch("nassearch", "s", namespace, {"spec": {"trial": {"template": {"command": None}}}})
    done: subprocess.CompletedProcess[str] = plugin(cluster, namespace, "retry", name)
    assert (done.returncode, done.stdout) == (0, f"{name}: its architecture is offered again, as a new trial\n")

    def again() -> bool:
        same = [t for t in trials(cluster, "s", namespace) if t["spec"]["architecture"] == architecture]
        return any(t.get("status", {}).get("phase") == "Succeeded" for t in same)

    wait_for("the same architecture has succeeded in another trial", again, seconds=120)


def test_retry_ends_the_wait_after_an_error(cluster: Cluster, namespace: str) -> None:
    first = {"retries": 50, "template": {"command": ["sh", "-c", "exit 1"]}}
    cluster.apply(table_search("s", namespace, trials=2, parallelism=1, trial=first))

    def waits_long() -> dict[str, Any] | None:
        status = (cluster.get("nastrial", "s-0", namespace) or {}).get("status", {})
        until = status.get("nextAttemptTime")
        left = (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds() if until else 0
        return status if status.get("phase") == "Queued" and left > 25 else None

    status = wait_for("it waits for half a minute", waits_long, seconds=200)
    done = plugin(cluster, namespace, "retry", "s-0")
    assert (done.returncode, done.stdout) == (0, f"s-0: attempt {status['attempts'] + 1} starts now\n"), done.stderr

    def next_attempt() -> bool:
        return bool(cluster.get("nastrial", "s-0", namespace)["status"]["attempts"] > status["attempts"])

    wait_for("the next attempt", next_attempt, seconds=15)


def test_a_plan_of_a_search_that_is_there_tells_what_may_be_changed(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    search = table_search("s", namespace, trials=2, parallelism=0)
    cluster.apply(search)
    path = tmp_path / "search.yaml"

    def outcome(**changed: Any) -> tuple[int, str, str]:
        path.write_text(yaml.safe_dump(merged(search, {"spec": changed})))
        done = plugin(cluster, namespace, "plan", "-f", str(path), "-o", "json")
        (check,) = [c for c in json.loads(done.stdout)["checks"] if c["subject"] == "NASSearch"]
        return done.returncode, check["outcome"], check["message"]

    assert outcome(parallelism=3) == (
        0,
        "good",
        f"s in namespace {namespace} is there already: applying the file changes it",
    )
    code, found, message = outcome(seed=5)
    assert (code, found) == (1, "bad")
    assert "spec.seed cannot change" in message
    assert cluster.get("nassearch", "s", namespace)["spec"]["parallelism"] == 0


@pytest.mark.parametrize("command", ["retry", "cancel", "logs"])
def test_a_trial_that_is_not_there_is_named_with_where_to_look(cluster: Cluster, namespace: str, command: str) -> None:
    answer = plugin(cluster, namespace, command, "absent")
    assert answer.returncode == 1
    assert f"no NASTrial absent in namespace {namespace}" in answer.stderr
