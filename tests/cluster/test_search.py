"""The main job: a search from apply to Complete, steered and taken away."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.cluster import Cluster, condition, wait_for
from tests.support.history import OPERATOR, accuracies, most_in_flight, phases, recordings, trials, writes
from tests.support.searches import table_search, training_search


def completed(cluster: Cluster, name: str, namespace: str, *, seconds: float) -> dict:
    """The search once it is Complete."""

    def search() -> dict | None:
        found = cluster.get("nassearch", name, namespace)
        assert condition(found, "Failed")["status"] != "True", condition(found, "Failed")["message"]
        return found if condition(found, "Complete")["status"] == "True" else None

    return wait_for(f"search {name} is Complete", search, seconds=seconds)


def test_a_search_of_20_table_trials_completes_in_under_30_seconds(cluster: Cluster, namespace: str) -> None:
    since = cluster.audit_position()
    no_gpu = {"template": {"resources": {"limits": {"nvidia.com/gpu": None}}}}
    cluster.apply(table_search("quick", namespace, trials=20, parallelism=4, trial=no_gpu))
    search = completed(cluster, "quick", namespace, seconds=30)
    found = trials(cluster, "quick", namespace)
    assert phases(found)["Succeeded"] == 20
    status = search["status"]
    assert status["phase"] == "Complete"
    assert status["trials"]["succeeded"] == 20
    assert status["inFlight"] == 0
    assert status["best"]["validationAccuracy"] == max(accuracies(found))
    assert status["observedGeneration"] == search["metadata"]["generation"]
    assert {c["type"] for c in status["conditions"]} >= {"Ready", "Progressing", "Complete", "Failed", "Stalled"}
    assert all(c["observedGeneration"] == search["metadata"]["generation"] for c in status["conditions"])
    assert set(recordings(cluster, namespace, since).values()) == {1}
    assert most_in_flight(cluster, namespace, "quick", since) <= 4
    hashes = [
        t["metadata"]["labels"]["nas.bananas.dev/architecture"] for t in found if t["status"]["phase"] == "Succeeded"
    ]
    assert len(set(hashes)) == 20
    admitted = [t["status"]["admissionTime"] for t in found if "admissionTime" in t["status"]]
    assert all(earlier <= later for earlier, later in pairwise(admitted)), "lowest index first"
    wait_for("the Jobs are gone", lambda: not cluster.list("jobs", namespace), seconds=30)
    assert cluster.get("deployment", "quick-predictor", namespace) is None


def test_a_search_with_bananas_on_a_table_chooses_trials_with_its_predictor(cluster: Cluster, namespace: str) -> None:
    strategy = {"name": "bananas", "initialTrials": 6}
    cluster.apply(table_search("chosen", namespace, trials=16, parallelism=2, strategy=strategy))
    search = completed(cluster, "chosen", namespace, seconds=120)
    found = trials(cluster, "chosen", namespace)
    methods = [t["spec"]["origin"]["method"] for t in found if t["status"]["phase"] == "Succeeded"]
    assert methods[:6] == ["random"] * 6
    assert methods.count("mutation") >= 8
    predictor = search["status"]["predictor"]
    assert predictor["resultsSeen"] >= 10
    assert predictor["fitSeconds"] > 0
    assert -1 <= predictor["rankCorrelation"] <= 1


def test_a_search_that_trains_completes_and_reports_what_it_trained(cluster: Cluster, namespace: str) -> None:
    cluster.volume("checkpoints", namespace)
    cluster.apply(training_search("trained", namespace, trials=4, parallelism=2, checkpoints={"claim": "checkpoints"}))
    search = completed(cluster, "trained", namespace, seconds=180)
    found = [t for t in trials(cluster, "trained", namespace) if t["status"]["phase"] == "Succeeded"]
    assert len(found) == 4
    for trial in found:
        status = trial["status"]
        assert 0 < status["validationAccuracy"] <= 1
        assert status["parameters"] > 0
        assert status["multiplyAdds"] > 0
        assert status["gpuSeconds"] > 0
        assert status["attempts"] == 1
        assert status["dataDigest"]
    used = search["status"]["gpuSeconds"]["used"]
    assert used == pytest.approx(sum(t["status"]["gpuSeconds"] for t in found), rel=1e-6)


def test_a_search_of_nasbench_201_trains_its_cells(cluster: Cluster, namespace: str) -> None:
    cluster.apply(training_search("cells", namespace, space="nasbench201", trials=3, parallelism=2))
    completed(cluster, "cells", namespace, seconds=180)
    found = [t for t in trials(cluster, "cells", namespace) if t["status"]["phase"] == "Succeeded"]
    assert len(found) == 3
    for trial in found:
        assert trial["spec"]["architecture"]["space"] == "nasbench201"
        assert "table" not in trial["spec"]
        assert 0 < trial["status"]["validationAccuracy"] <= 1
        assert trial["status"]["parameters"] > 0


def test_the_pods_of_a_search_ask_for_a_gpu_and_carry_no_credentials(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("looked-at", namespace, trials=2, parallelism=1, seconds=20))
    job = wait_for("a Job", lambda: next(iter(cluster.list("jobs", namespace)), None), seconds=30)
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["metadata"]["name"] == "looked-at-0-1"
    owner = job["metadata"]["ownerReferences"][0]
    trial = cluster.get("nastrial", "looked-at-0", namespace)
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("NASTrial", trial["metadata"]["uid"], True)
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_two_searches_at_once_complete_with_their_own_trials(
    cluster: Cluster, new_namespace: Callable[..., str]
) -> None:
    one, other = new_namespace(), new_namespace()
    cluster.apply(table_search("same", one, trials=8), table_search("same", other, trials=8, seed=5))
    cluster.apply(table_search("second", one, trials=8, seed=7))
    for name, namespace in (("same", one), ("same", other), ("second", one)):
        completed(cluster, name, namespace, seconds=90)
        assert phases(trials(cluster, name, namespace))["Succeeded"] == 8


def test_kubectl_scale_changes_how_many_run_and_kills_nothing(cluster: Cluster, namespace: str) -> None:
    since = cluster.audit_position()
    cluster.apply(
        table_search(
            "scaled",
            namespace,
            trials=14,
            parallelism=1,
            seconds=4,
            trial={"template": {"resources": {"limits": {"nvidia.com/gpu": None}}}},
        )
    )

    def in_flight() -> int:
        return (cluster.get("nassearch", "scaled", namespace) or {}).get("status", {}).get("inFlight", 0)

    wait_for("one trial in flight", lambda: in_flight() == 1, seconds=30)
    cluster.kubectl("scale", "nas/scaled", "-n", namespace, "--replicas=4")
    wait_for("four trials in flight", lambda: in_flight() == 4, seconds=30)
    cluster.kubectl("scale", "nas/scaled", "-n", namespace, "--replicas=0")
    wait_for("none in flight", lambda: in_flight() == 0, seconds=30)
    done = phases(trials(cluster, "scaled", namespace))["Succeeded"]
    assert done >= 4
    wait_for(  # Kubernetes tells of a Job's end later than of its pod's
        "no Job is at work",
        lambda: not [job for job in cluster.list("jobs", namespace) if job.get("status", {}).get("active")],
        seconds=30,
    )
    cluster.kubectl("scale", "nas/scaled", "-n", namespace, "--replicas=2")
    completed(cluster, "scaled", namespace, seconds=90)
    found = trials(cluster, "scaled", namespace)
    assert phases(found)["Succeeded"] == 14
    assert all(t["status"]["attempts"] == 1 for t in found if t["status"]["phase"] == "Succeeded")
    assert most_in_flight(cluster, namespace, "scaled", since) == 4


def test_a_raised_budget_lets_a_finished_search_go_on(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("more", namespace, trials=3))
    completed(cluster, "more", namespace, seconds=60)
    cluster.patch("nassearch", "more", namespace, {"spec": {"budget": {"trials": 6}}})
    wait_for(
        "six results",
        lambda: phases(trials(cluster, "more", namespace))["Succeeded"] == 6,
        seconds=60,
    )
    completed(cluster, "more", namespace, seconds=30)


def test_deleting_a_search_leaves_nothing_of_it(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("gone", namespace, trials=30, seconds=20))
    wait_for("trials run", lambda: phases(trials(cluster, "gone", namespace))["Running"] >= 1, seconds=60)
    cluster.delete("nassearch", "gone", namespace)

    def left() -> list[str]:
        kinds = "nastrials,jobs,pods,deployments,replicasets,rolebindings,serviceaccounts,configmaps,secrets"
        items = cluster.list(kinds, namespace)
        return [
            f"{i['kind']}/{i['metadata']['name']}"
            for i in items
            if i["metadata"]["name"] not in ("default", "kube-root-ca.crt")
        ]

    wait_for("nothing is left", lambda: not left(), seconds=90)


def test_a_search_made_anew_under_the_same_name_inherits_nothing(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("phoenix", namespace, trials=4, seconds=3))
    wait_for("trials run", lambda: phases(trials(cluster, "phoenix", namespace))["Running"] >= 1, seconds=60)
    cluster.delete("nassearch", "phoenix", namespace, wait=False)
    wait_for("it is gone", lambda: cluster.get("nassearch", "phoenix", namespace) is None, seconds=30)
    cluster.apply(table_search("phoenix", namespace, trials=4, seed=9))
    search = completed(cluster, "phoenix", namespace, seconds=120)
    uid = search["metadata"]["uid"]
    found = [t for t in trials(cluster, "phoenix", namespace) if t["status"]["phase"] == "Succeeded"]
    assert len(found) == 4
    assert {t["metadata"]["ownerReferences"][0]["uid"] for t in found} == {uid}


def test_a_trial_of_somebody_else_is_not_adopted_and_the_search_says_so(cluster: Cluster, namespace: str) -> None:
    foreign = {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASTrial",
        "metadata": {"name": "blocked-0", "namespace": namespace},
        "spec": {
            "search": "blocked",
            "index": 0,
            "architecture": {"space": "nasbench201", "nasbench201": {"ops": ["none"] * 6}},
            "table": {},
            "origin": {"method": "random"},
        },
    }
    cluster.apply(foreign)
    cluster.apply(table_search("blocked", namespace, trials=3))

    def message() -> str:
        search = cluster.get("nassearch", "blocked", namespace)
        stalled = condition(search, "Stalled")
        return stalled["message"] if stalled["status"] == "True" and stalled["reason"] == "NameConflict" else ""

    assert "blocked-0" in wait_for("a condition that names the trial", message, seconds=30)
    assert cluster.get("nastrial", "blocked-0", namespace).get("status") is None
    cluster.delete("nastrial", "blocked-0", namespace)
    completed(cluster, "blocked", namespace, seconds=60)


def test_a_namespace_without_a_search_is_untouched(cluster: Cluster, new_namespace: Callable[..., str]) -> None:
    searched, quiet = new_namespace(), new_namespace()
    since = cluster.audit_position()
    cluster.apply(table_search("near", searched, trials=3))
    completed(cluster, "near", searched, seconds=60)
    ours = [w for w in writes(cluster, since) if w[0] == OPERATOR or "predictor" in w[0]]
    assert ours
    assert [w for w in ours if w[3] == quiet] == []
    assert searched in {w[3] for w in ours if w[2] == "jobs"}


def test_an_idle_search_costs_no_writes(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("idle", namespace, trials=3))
    completed(cluster, "idle", namespace, seconds=60)
    wait_for("the Jobs are gone", lambda: not cluster.list("jobs", namespace), seconds=30)
    since = cluster.audit_position()
    marker = table_search("after", namespace, trials=3)
    cluster.apply(marker)  # something to wait for, so that the quiet is known to have lasted
    completed(cluster, "after", namespace, seconds=60)
    named = [
        e
        for e in cluster.audit(since)
        if e["verb"] in ("patch", "update", "create", "delete")
        and e.get("objectRef", {}).get("namespace") == namespace
        and e["objectRef"].get("resource") != "events"
        and str(e["objectRef"].get("name", "")).startswith("idle")
        and e["user"]["username"] in (OPERATOR, f"system:serviceaccount:{namespace}:idle-predictor")
    ]
    assert [(e["user"]["username"], e["verb"], e["objectRef"]["resource"], e["objectRef"]["name"]) for e in named] == []
