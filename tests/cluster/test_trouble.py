"""Bad surroundings: each ends in a condition that names the field or file, and mended, the search goes on by itself."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.cluster import Cluster, condition, wait_for
from tests.support.history import phases, trials
from tests.support.processes import process_with
from tests.support.searches import table_search, training_search

FOUND_WITHIN = 30  # seconds, by the issue


def stalled(cluster: Cluster, name: str, namespace: str, reason: str) -> str:
    """The message of the search's Stalled condition once it has that reason."""

    def message() -> str:
        found = condition(cluster.get("nassearch", name, namespace), "Stalled")
        return found["message"] if found["status"] == "True" and found["reason"] == reason else ""

    return wait_for(f"Stalled because of {reason}", message, seconds=FOUND_WITHIN)


def goes_on(cluster: Cluster, name: str, namespace: str, *, seconds: float = 120) -> None:
    """Waits until the search is Complete, with its stall over."""

    def complete() -> bool:
        found = cluster.get("nassearch", name, namespace)
        return condition(found, "Complete")["status"] == "True" and condition(found, "Stalled")["status"] == "False"

    wait_for(f"{name} is Complete", complete, seconds=seconds)
    assert phases(trials(cluster, name, namespace))["Failed"] == 0


def test_a_claim_that_does_not_exist_is_named_and_no_job_is_made(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("no-claim", namespace, trials=2, data={"claim": "absent"}, table={"file": "toy.csv"}))
    message = stalled(cluster, "no-claim", namespace, "ClaimNotFound")
    assert "spec.data.claim" in message
    assert "absent" in message
    assert cluster.list("jobs", namespace) == []


def test_a_missing_checkpoint_claim_is_named_and_the_search_goes_on_once_it_exists(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(table_search("late-claim", namespace, trials=2, checkpoints={"claim": "late"}))
    assert "spec.checkpoints.claim" in stalled(cluster, "late-claim", namespace, "ClaimNotFound")
    cluster.volume("late", namespace)
    goes_on(cluster, "late-claim", namespace)


def test_an_image_that_cannot_be_pulled_is_named_and_a_right_one_mends_it(cluster: Cluster, namespace: str) -> None:
    template = {"template": {"image": "localhost/no/such:image", "imagePullPolicy": "Never"}}
    search = table_search("no-image", namespace, trials=3, trial=template)
    cluster.apply(search)
    message = stalled(cluster, "no-image", namespace, "ImageUnavailable")
    assert "localhost/no/such:image" in message
    assert "spec.trial.template.image" in message
    assert len(trials(cluster, "no-image", namespace)) <= 4, "nothing piles up"
    cluster.patch(
        "nassearch", "no-image", namespace, {"spec": {"trial": {"template": {"image": None, "imagePullPolicy": None}}}}
    )
    goes_on(cluster, "no-image", namespace)


def test_a_recipe_that_the_data_does_not_fit_is_named(cluster: Cluster, namespace: str) -> None:
    cluster.apply(training_search("unfit", namespace, trial={"recipe": {"classes": 100}}))
    message = stalled(cluster, "unfit", namespace, "RecipeInvalid")
    assert "classes" in message
    assert "100" in message
    assert phases(trials(cluster, "unfit", namespace))["Failed"] == 0


def test_a_corrupt_data_file_is_named_and_a_sound_one_mends_it(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    import numpy as np

    broken = tmp_path / "images.npz"
    broken.write_bytes(b"PK\x03\x04 this is no archive")
    folder = cluster.volume("data", namespace, broken)
    cluster.apply(
        training_search(
            "corrupt",
            namespace,
            trials=2,
            data={"claim": "data"},
            trial={"recipe": {"dataset": "npz", "file": "images.npz", "batchSize": 16, "epochs": 1, "scoreEpochs": 1}},
        )
    )
    assert "images.npz" in stalled(cluster, "corrupt", namespace, "DataInvalid")
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 255, (64, 3, 8, 8), dtype=np.uint8),
        "y_train": np.arange(64, dtype=np.int64) % 4,
        "x_test": random.integers(0, 255, (16, 3, 8, 8), dtype=np.uint8),
        "y_test": np.arange(16, dtype=np.int64) % 4,
    }
    np.savez(tmp_path / "sound.npz", **arrays)
    (folder / "images.npz").write_bytes((tmp_path / "sound.npz").read_bytes())
    goes_on(cluster, "corrupt", namespace, seconds=180)


def test_a_missing_table_file_is_named(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("index,arch\n")
    cluster.volume("tables", namespace, other)
    cluster.apply(table_search("no-table", namespace, trials=2, data={"claim": "tables"}, table={"file": "absent.csv"}))
    message = stalled(cluster, "no-table", namespace, "DataMissing")
    assert "absent.csv" in message


def test_a_quota_of_zero_is_waiting_with_the_quota_s_name_and_the_search_goes_on_without_it(
    cluster: Cluster, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing", "namespace": namespace},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    cluster.apply(quota)
    cluster.apply(table_search("no-quota", namespace, trials=2))
    assert "nothing" in stalled(cluster, "no-quota", namespace, "QuotaExceeded")
    cluster.delete("resourcequota", "nothing", namespace)
    goes_on(cluster, "no-quota", namespace, seconds=180)


def test_a_template_that_the_api_server_refuses_is_shown(cluster: Cluster, namespace: str) -> None:
    template = {"template": {"affinity": {"nodeAffinity": {"nonsense": True}}}}
    cluster.apply(table_search("odd", namespace, trials=2, trial=template))
    message = stalled(cluster, "odd", namespace, "TemplateRefused")
    assert "nonsense" in message
    assert cluster.list("jobs", namespace) == []
    cluster.patch("nassearch", "odd", namespace, {"spec": {"trial": {"template": {"affinity": None}}}})
    goes_on(cluster, "odd", namespace)


def test_a_pod_that_only_pod_admission_refuses_is_shown_with_the_reason(
    cluster: Cluster, new_namespace: Callable[..., str]
) -> None:
    namespace = new_namespace()
    # A namespace label that refuses every pod of ours: a level that does not exist yet cannot be asked for, so a
    # LimitRange that no container fits stands for what only pod admission can see.
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "tiny", "namespace": namespace},
        "spec": {"limits": [{"type": "Container", "max": {"nvidia.com/gpu": "0"}}]},
    }
    cluster.apply(limits)
    cluster.apply(table_search("refused", namespace, trials=2))
    message = stalled(cluster, "refused", namespace, "PodRefused")
    assert "maximum nvidia.com/gpu usage per Container is 0" in message
    cluster.delete("limitrange", "tiny", namespace)
    goes_on(cluster, "refused", namespace, seconds=180)


def test_other_searches_go_on_beside_a_stalled_one(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("stuck", namespace, trials=2, data={"claim": "absent"}, table={"file": "toy.csv"}))
    stalled(cluster, "stuck", namespace, "ClaimNotFound")
    cluster.apply(table_search("well", namespace, trials=4))
    goes_on(cluster, "well", namespace)


def test_more_failed_trials_than_the_bound_end_the_search_with_the_reason(cluster: Cluster, namespace: str) -> None:
    # Memory too small for the trainer: every attempt is killed by the kernel, which is fatal for a trial.
    cluster.apply(
        training_search(
            "hungry",
            namespace,
            trials=6,
            trial={
                "maxFailedTrials": 1,
                "template": {"resources": {"limits": {"memory": "80Mi"}, "requests": {"memory": "10Mi"}}},
            },
        )
    )

    def failed() -> str:
        found = condition(cluster.get("nassearch", "hungry", namespace), "Failed")
        return found["message"] if found["status"] == "True" else ""

    assert "OutOfMemory" in wait_for("the search has failed", failed, seconds=120)

    def ended() -> Counter[str] | None:
        """One whose Job was there already goes on to its end."""
        found = phases(trials(cluster, "hungry", namespace))
        return None if found["Queued"] + found["Running"] + found["Pending"] else found

    assert wait_for("every trial has ended", ended, seconds=60)["Failed"] >= 2


def test_a_predictor_that_hangs_is_told_begun_anew_and_the_search_completes(cluster: Cluster, namespace: str) -> None:
    cluster.apply(table_search("hung", namespace, trials=12, parallelism=1, seconds=2))
    wait_for("a result", lambda: phases(trials(cluster, "hung", namespace))["Succeeded"] >= 2, seconds=90)
    selector = "app.kubernetes.io/component=predictor,nas.bananas.dev/search=hung"

    def answers() -> bool:
        deployment = cluster.get("deployment", "hung-predictor", namespace) or {}
        return deployment.get("status", {}).get("availableReplicas", 0) == 1

    # Whoever has never answered is starting, which is another condition.
    wait_for("the predictor answers", answers, seconds=60)
    (predictor,) = cluster.list("pods", namespace, selector)
    pid = process_with(f"BANANAS_SEARCH_UID={predictor['metadata']['labels']['nas.bananas.dev/search-uid']}")
    os.kill(pid, signal.SIGSTOP)
    found = wait_for(
        "it is told",
        lambda: (c := condition(cluster.get("nassearch", "hung", namespace), "Stalled"))["status"] == "True" and c,
        seconds=90,
    )
    assert (found["reason"], "ceased to answer" in found["message"]) == ("PredictorFailing", True)

    def restarts() -> int:
        return sum(
            status["restartCount"]
            for pod in cluster.list("pods", namespace, selector)
            for status in pod["status"].get("containerStatuses", [])
        )

    wait_for("the kubelet begins it anew", lambda: restarts() == 1, seconds=240, every=1)
    wait_for(
        "the search is Complete",
        lambda: condition(cluster.get("nassearch", "hung", namespace), "Complete")["status"] == "True",
        seconds=150,
    )
    assert phases(trials(cluster, "hung", namespace))["Succeeded"] == 12
