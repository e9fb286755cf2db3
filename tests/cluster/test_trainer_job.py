"""A winner trained to the end by a Job of one's own: the one that docs/trainer.md shows, on small data."""

import json
import re
from pathlib import Path

import numpy as np
import yaml

from tests.support.cluster import ROOT, Cluster, wait_for

SMALL = ("epochs=2", "scoreEpochs=1", "channels=2", "layers=3", "batchSize=16", "auxiliary=false", "cutout=2")


def test_the_job_of_the_docs_trains_a_winner_and_tests_it_once(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    images = {f"x_{part}": random.integers(0, 256, (64, 3, 8, 8), dtype=np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "small.npz", y_train=np.arange(64) % 4, y_test=np.arange(64) % 4, **images)
    cluster.volume("data", namespace, tmp_path / "small.npz")
    kept = cluster.volume("checkpoints", namespace)
    [text] = re.findall(r"```yaml\n(apiVersion: batch/v1.*?)```", (ROOT / "docs" / "trainer.md").read_text(), re.DOTALL)
    job = yaml.safe_load(text)
    job["metadata"]["namespace"] = namespace
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["command"][container["command"].index("/data/cifar-10-batches-py")] = "/data/small.npz"
    container["command"] += [word for field in SMALL for word in ("--set", field)]
    container["imagePullPolicy"] = "Never"
    cluster.apply(job)
    wait_for(
        "the Job is Complete", lambda: cluster.get("job", "final", namespace)["status"].get("succeeded"), seconds=90
    )
    log = [json.loads(line) for line in cluster.kubectl("logs", "job/final", "-n", namespace).splitlines()]
    assert [line["epoch"] for line in log if line["event"] == "epoch"] == [1, 2]
    report = json.loads((kept / "final" / "report.json").read_text())
    assert report["testAccuracy"] == report["validationAccuracy"]
    assert {path.name for path in (kept / "final").iterdir()} >= {"weights.safetensors", "curve.csv", "curve.svg"}
