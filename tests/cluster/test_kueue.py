"""Trials in a queue of Kueue, by Kueue itself: it lets them in one by one, and none of its doings is a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import kueue
from tests.support.cluster import Cluster, Object, condition, wait_for
from tests.support.history import phases, recordings, trials
from tests.support.searches import table_search

SUSPENDED = "its Job is suspended"


@pytest.fixture
def queues(cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    if not kueue.built():
        pytest.skip("Kueue is not built: run 'make kueue' (about five minutes of CPU)")
    with kueue.kueue(cluster, tmp_path):
        yield


def jobs(cluster: Cluster, namespace: str) -> list[Object]:
    return cluster.list("jobs", namespace, "nas.bananas.dev/search")


def at_work(cluster: Cluster, namespace: str) -> list[str]:
    return [job["metadata"]["name"] for job in jobs(cluster, namespace) if job["status"].get("active")]


@pytest.mark.usefixtures("queues")
def test_kueue_admits_trials_as_its_quota_allows_and_one_that_it_evicts_goes_on_later(
    cluster: Cluster, namespace: str
) -> None:
    since = cluster.audit_position()
    cluster.apply(*kueue.queue("trials", namespace, gpus=1))
    template = {"labels": {"kueue.x-k8s.io/queue-name": "trials"}}
    cluster.apply(table_search("lined", namespace, trials=5, parallelism=2, seconds=5, trial={"template": template}))

    def waits() -> list[Object]:
        assert len(at_work(cluster, namespace)) <= 1, "one GPU is all that the queue has"
        found = trials(cluster, "lined", namespace)
        return [t for t in found if SUSPENDED in t.get("status", {}).get("message", "")]

    [waiting] = wait_for("one works, and one waits for the queue", waits, seconds=60)
    assert waiting["status"]["phase"] == "Queued"
    [running] = wait_for("one works", lambda: at_work(cluster, namespace), seconds=30)
    workload = next(
        found["metadata"]["name"]
        for found in cluster.list("workloads.kueue.x-k8s.io", namespace)
        if found["metadata"]["name"].startswith(f"job-{running}-")
    )
    cluster.patch("workload.kueue.x-k8s.io", workload, namespace, {"spec": {"active": False}})
    wait_for("Kueue has stopped it", lambda: running not in at_work(cluster, namespace), seconds=60)
    cluster.patch("workload.kueue.x-k8s.io", workload, namespace, {"spec": {"active": True}})

    def complete() -> Object | None:
        assert len(at_work(cluster, namespace)) <= 1
        search = cluster.get("nassearch", "lined", namespace)
        return search if condition(search, "Complete")["status"] == "True" else None

    search = wait_for("the search is Complete", complete, seconds=180)
    assert search is not None
    found = trials(cluster, "lined", namespace)
    assert phases(found)["Succeeded"] == 5
    cost = {tuple(t["status"][what] for what in ("attempts", "interruptions", "retries")) for t in found}
    assert cost == {(1, 0, 0)}, "what a queue does is no attempt, no interruption and no failure"
    assert set(recordings(cluster, namespace, since).values()) == {1}
