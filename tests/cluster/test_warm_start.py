"""A search that begins with the results of another."""

from tests.cluster.test_search import completed
from tests.support.cluster import Cluster, condition, wait_for
from tests.support.history import trials
from tests.support.searches import table_search


def test_a_warm_start_chooses_from_the_first_trial_on_and_repeats_nothing(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("source", namespace, trials=12, parallelism=4))
    completed(cluster, "source", namespace, seconds=90)
    strategy = {"name": "bananas", "initialTrials": 4}
    warm = {"warmStartFrom": {"search": "source"}, "strategy": strategy, "seed": 9}
    cluster.apply(table_search("warm", namespace, trials=6, parallelism=2, **warm))
    completed(cluster, "warm", namespace, seconds=120)
    label = "nas.bananas.dev/architecture"
    hashes = {
        name: {t["metadata"]["labels"][label] for t in trials(cluster, name, namespace)} for name in ("source", "warm")
    }
    assert not hashes["source"] & hashes["warm"]
    done = [t for t in trials(cluster, "warm", namespace) if t["status"]["phase"] == "Succeeded"]
    assert {t["spec"]["origin"]["method"] for t in done} == {"mutation"}


def test_a_warm_start_from_nothing_is_stalled_and_says_so(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("cold", namespace, trials=4, warmStartFrom={"search": "nowhere"}))
    stalled = wait_for(
        "the condition Stalled",
        lambda: (c := condition(cluster.get("nassearch", "cold", namespace), "Stalled"))["status"] == "True" and c,
        seconds=60,
    )
    assert stalled["reason"] == "WarmStartUnusable"
    assert "there is no NASSearch nowhere" in stalled["message"]
