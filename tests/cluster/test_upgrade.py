"""An operator that is replaced by its next release while searches run: other images, and nothing is lost."""

import json
from collections.abc import Callable, Iterator

import pytest

from devcluster.containers import ctr
from devcluster.paths import Paths
from tests.cluster.test_search import completed
from tests.support.cluster import Cluster, Object, wait_for
from tests.support.history import most_in_flight, phases, recordings, trials
from tests.support.searches import table_search

SYSTEM = "bananas-system"
NEXT = "-next"


def next_release(image: str) -> str:
    """Another name of an image on the node, as an upgrade brings one."""
    ctr(Paths.from_environment(), "images", "tag", "--force", image, image + NEXT)
    return image + NEXT


def with_images(deployment: Object, renamed: Callable[[str], str]) -> Object:
    """The change of the operator's Deployment that gives it, and all that it makes, other images."""
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    env = [
        {"name": one["name"], "value": renamed(one["value"])}
        for one in container["env"]
        if one["name"].endswith("_IMAGE")
    ]
    changed = {"name": container["name"], "image": renamed(container["image"]), "env": env}
    return {"spec": {"template": {"spec": {"containers": [changed]}}}}


def roll_out(cluster: Cluster, change: Object) -> None:
    cluster.kubectl("patch", "deployment", "bananas-operator", "-n", SYSTEM, "-p", json.dumps(change))
    cluster.kubectl("rollout", "status", "deployment/bananas-operator", "-n", SYSTEM, "--timeout=100s")


@pytest.fixture
def deployment(cluster: Cluster) -> Iterator[Object]:
    """The operator's Deployment; put back afterwards."""
    before = cluster.get("deployment", "bananas-operator", SYSTEM)
    assert before is not None
    yield before
    roll_out(cluster, with_images(before, lambda image: image))


def test_an_upgrade_with_a_search_in_flight_loses_nothing_and_new_trials_have_the_new_images(
    cluster: Cluster, namespace: str, deployment: Object
) -> None:
    since = cluster.audit_position()
    strategy = {"name": "bananas", "initialTrials": 4}
    cluster.apply(table_search("kept", namespace, trials=16, parallelism=2, seconds=4, strategy=strategy))
    wait_for(
        "results, and a trial that runs",
        lambda: (p := phases(trials(cluster, "kept", namespace)))["Succeeded"] >= 3 and p["Running"],
        seconds=90,
    )
    roll_out(cluster, with_images(deployment, next_release))
    search = completed(cluster, "kept", namespace, seconds=180)
    found = trials(cluster, "kept", namespace)
    assert phases(found)["Succeeded"] == 16
    cost = {tuple(t["status"][what] for what in ("interruptions", "retries", "gpuSecondsWasted")) for t in found}
    assert cost == {(0, 0, 0)}, "no trial that ran was touched"
    assert set(recordings(cluster, namespace, since).values()) == {1}
    assert most_in_flight(cluster, namespace, "kept", since) == 2
    assert search["status"]["interruptions"]["total"] == 0
    images = [
        event["requestObject"]["spec"]["template"]["spec"]["containers"][0]["image"]
        for event in cluster.audit(since)
        if (event["verb"], event.get("objectRef", {}).get("resource")) == ("create", "jobs")
        and event["objectRef"]["namespace"] == namespace
        and event["responseStatus"]["code"] < 300
        and "dryRun" not in event["requestURI"]
    ]
    assert len(images) >= 16, "one whose pod still waited for a GPU is made anew, from the new image"
    assert not images[0].endswith(NEXT)
    assert images[-1].endswith(NEXT)
