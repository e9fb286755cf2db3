"""A search space that lives outside the packages, searched on the cluster with the images of its own: the example, as it is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.test_search import completed
from tests.support.cluster import ROOT, Cluster, condition, wait_for
from tests.support.history import phases, trials

EXAMPLE = ROOT / "manifests" / "examples" / "custom-space"


@pytest.fixture(scope="module")
def images(cluster: Cluster) -> dict[str, str]:
    """References of the example's two images, on the node."""
    return {name: own_image(name, EXAMPLE / f"{name}.Dockerfile", base) for name, base in BASES.items()}


BASES = {"predictor": "predictor", "trainer": "tables"}


def own_image(name: str, dockerfile: Path, base: str) -> str:
    command = [sys.executable, "-m", "devcluster", "own-image", name, str(dockerfile), "--on", base]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def example(namespace: str, images: dict[str, str]) -> dict[str, Any]:
    search: dict[str, Any] = yaml.safe_load((EXAMPLE / "search.yaml").read_text())
    search["metadata"]["namespace"] = namespace
    search["spec"]["predictor"]["image"] = images["predictor"]
    search["spec"]["trial"]["template"]["image"] = images["trainer"]
    return search


def test_the_example_completes_with_means_of_two_seeds_within_its_bounds(
    cluster: Cluster, namespace: str, images: dict[str, str]
) -> None:
    cluster.apply(example(namespace, images))
    search = completed(cluster, "branches", namespace, seconds=150)
    found = [t for t in trials(cluster, "branches", namespace) if t["status"]["phase"] == "Succeeded"]
    assert len(found) == 24
    assert all(t["status"]["parameters"] <= 600 for t in found)
    assert all(t["spec"]["architecture"]["space"] == "custom" for t in found)
    by_text: dict[str, list[Any]] = {}
    for trial in found:
        by_text.setdefault(trial["spec"]["architecture"]["custom"]["text"], []).append(trial)
    assert len(by_text) == 12
    assert all([t["spec"]["seed"] for t in group] == [0, 1] for group in by_text.values())
    assert {t["spec"]["origin"]["method"] for t in found} == {"random", "mutation"}
    means = {text: sum(t["status"]["validationAccuracy"] for t in group) / 2 for text, group in by_text.items()}
    best = search["status"]["best"]
    assert best["validationAccuracy"] == pytest.approx(max(means.values()), abs=1e-6)
    assert best["results"] == 2
    assert means[best["architecture"]] == pytest.approx(best["validationAccuracy"], abs=1e-6)


def test_rounds_on_the_cluster_begin_when_the_one_before_has_ended(
    cluster: Cluster, namespace: str, images: dict[str, str]
) -> None:
    search = example(namespace, images)
    search["spec"] |= {"mode": "batch", "batchSize": 4, "parallelism": 3, "budget": {"trials": 12}}
    search["spec"]["strategy"]["initialTrials"] = 4
    search["spec"]["trial"]["repeats"] = 1
    cluster.apply(search)
    completed(cluster, "branches", namespace, seconds=150)
    found = trials(cluster, "branches", namespace)
    assert phases(found)["Succeeded"] == 12
    created = {t["spec"]["index"]: t["metadata"]["creationTimestamp"] for t in found}
    ended = {t["spec"]["index"]: t["status"]["completionTime"] for t in found}
    for first in (4, 8):
        assert max(ended[i] for i in range(first - 4, first)) <= min(created[i] for i in range(first, first + 4))


def test_a_predictor_without_the_space_is_a_condition_that_names_it(
    cluster: Cluster, namespace: str, images: dict[str, str]
) -> None:
    search = example(namespace, images)
    search["spec"]["customSpace"] = {"entryPoint": "branches:Twigs"}
    cluster.apply(search)

    def stalled() -> Any:
        found = condition(cluster.get("nassearch", "branches", namespace), "Stalled")
        return found if found["reason"] == "CustomSpaceInvalid" else None

    found = wait_for("the search is Stalled", stalled, seconds=60)
    assert "spec.customSpace.entryPoint branches:Twigs: module branches has no Twigs" in found["message"]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"customSpace": None}, "customSpace.entryPoint must be set for space custom"),
        ({"space": "darts"}, "customSpace.entryPoint must be set for space custom, and only there"),
        ({"predictor": None}, "space custom needs a predictor that has it"),
        ({"trial": None}, "space custom needs a trainer that knows its architectures"),
        ({"customSpace": {"entryPoint": "branches.Branches"}}, "spec.customSpace.entryPoint"),
        ({"evaluator": "table"}, "space custom has no toy table: set table.file"),
        ({"constraints": {}}, "constraints must set maxParameters, maxMultiplyAdds or both"),
        ({"batchSize": 3}, "batchSize is for mode batch"),
        (
            {"strategy": {"initialTrials": 20}},
            "strategy.initialTrials (times trial.repeats) must not exceed budget.trials",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_the_field(
    cluster: Cluster, namespace: str, changes: dict[str, Any], want: str
) -> None:
    search = example(namespace, {"predictor": "mine", "trainer": "mine"})
    search["spec"] = {key: value for key, value in (search["spec"] | changes).items() if value is not None}
    answer = cluster.try_to_apply(search)
    assert answer.code != 0
    assert want in answer.err


def test_what_proposals_follow_from_cannot_change(cluster: Cluster, namespace: str) -> None:
    search = example(namespace, {"predictor": "mine", "trainer": "mine"})
    search["spec"]["parallelism"] = 0
    cluster.apply(search)
    for change, want in (
        ({"customSpace": {"entryPoint": "other:Space"}}, "spec.customSpace cannot change"),
        ({"constraints": {"maxParameters": 5}}, "spec.constraints cannot change"),
        ({"constraints": None}, "constraints cannot be added or removed"),
    ):
        changed = {**search, "spec": {key: v for key, v in (search["spec"] | change).items() if v is not None}}
        answer = cluster.try_to_apply(changed)
        assert answer.code != 0
        assert want in answer.err
