"""The best trained to the end, and results of another search taken over."""

import json

from tests.cluster.test_search import completed
from tests.support.cluster import Cluster, condition, wait_for
from tests.support.history import trials
from tests.support.searches import table_search, training_search


def test_the_best_are_trained_to_the_end_on_all_images_and_the_winner_is_published(
    cluster: Cluster, namespace: str
) -> None:
    promote = {"top": 2, "seeds": 2, "recipe": "search", "epochs": 3}
    cluster.apply(training_search("promoted", namespace, trials=3, parallelism=2, promote=promote))
    seen_promoting = wait_for(
        "the search trains its best to the end",
        lambda: (
            (found := cluster.get("nassearch", "promoted", namespace))
            and condition(found, "Progressing")["reason"] == "Promoting"
            and found
        ),
        seconds=120,
    )
    assert condition(seen_promoting, "Complete")["status"] == "False"
    search = completed(cluster, "promoted", namespace, seconds=180)
    found = {t["metadata"]["name"]: t for t in trials(cluster, "promoted", namespace)}
    of_search = [t for t in found.values() if t["spec"]["origin"]["method"] != "promotion"]
    ranked = sorted(of_search, key=lambda t: (-t["status"].get("validationAccuracy", 0), t["spec"]["index"]))[:2]
    want = {f"{winner['metadata']['name']}-final-{seed}" for winner in ranked for seed in (1, 2)}
    assert {name for name in found if "-final-" in name} == want
    for name in want:
        status = found[name]["status"]
        assert status["phase"] == "Succeeded"
        assert status["progress"]["epochs"] == 3
        assert 0 < status["testAccuracy"] <= 1
        assert "validationAccuracy" not in status
    promotion = search["status"]["promotion"]
    assert (promotion["trainings"], promotion["ended"]) == (4, 4)
    assert [result["trial"] for result in promotion["results"]] == [winner["metadata"]["name"] for winner in ranked]
    first = [found[f"{ranked[0]['metadata']['name']}-final-{seed}"]["status"]["testAccuracy"] for seed in (1, 2)]
    assert abs(promotion["results"][0]["testAccuracy"] - sum(first) / 2) < 1e-6
    assert "testAccuracyStandardDeviation" in promotion["results"][0]
    published = cluster.get("configmap", promotion["configMap"], namespace)
    assert published["data"]["trial"] == ranked[0]["metadata"]["name"]
    assert json.loads(published["data"]["architecture.json"]) == ranked[0]["spec"]["architecture"]
    assert search["status"]["trials"]["succeeded"] == 3


def test_a_search_that_was_done_before_takes_its_results_over(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("before", namespace, trials=6, parallelism=2, seed=3))
    completed(cluster, "before", namespace, seconds=90)
    cluster.apply(table_search("again", namespace, trials=6, parallelism=1, seed=3, trial={"reuseResults": True}))
    completed(cluster, "again", namespace, seconds=90)
    before = {t["spec"]["index"]: t["status"] for t in trials(cluster, "before", namespace)}
    again = [t for t in trials(cluster, "again", namespace) if t["status"]["phase"] == "Succeeded"]
    assert [t["status"].get("reusedFrom") for t in again] == [None, *(f"before-{i}" for i in range(1, 6))]
    for trial in again:
        assert trial["status"]["validationAccuracy"] == before[trial["spec"]["index"]]["validationAccuracy"]
