"""A table of pure noise: the predictor finds out that it foretells nothing, says so, and evolution takes over."""

import random
from itertools import product
from math import sqrt
from pathlib import Path

from bananas_core.constants import FORECASTS_JUDGED
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_predictor.health import CRITICAL
from tests.cluster.test_search import completed
from tests.support.cluster import Cluster, condition
from tests.support.history import trials
from tests.support.searches import table_search


def test_evolution_takes_over_from_a_predictor_that_says_nothing(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    noise = random.Random(0)
    texts = [Architecture.of(Nasbench201Architecture(ops=ops)).to_text() for ops in product(OPERATIONS, repeat=6)]
    rows = [f"{text},{noise.uniform(0.2, 0.9):.6f}" for text in texts]
    (tmp_path / "noise.csv").write_text("\n".join(["arch,validation_accuracy", *rows]))
    cluster.volume("tables", namespace, tmp_path / "noise.csv")
    search = table_search(
        "noise",
        namespace,
        trials=64,
        parallelism=6,
        table={"file": "noise.csv"},
        data={"claim": "tables"},
        strategy={"name": "bananas", "initialTrials": 6, "candidates": 100, "ensembleSize": 3, "fallback": "evolution"},
        trial={"template": {"resources": {"limits": {"nvidia.com/gpu": None}}}},
    )
    cluster.apply(search)
    found = completed(cluster, "noise", namespace, seconds=240)
    assert condition(found, "Stalled")["status"] == "False"
    origins = [
        t["spec"]["origin"] for t in sorted(trials(cluster, "noise", namespace), key=lambda t: t["spec"]["index"])
    ]
    evolved = [o["method"] == "mutation" and "predictedMean" not in o for o in origins]
    predictor = found["status"]["predictor"]
    assert predictor["forecasts"] >= FORECASTS_JUDGED
    told = condition(found, "PredictorUseful")
    useless = predictor["rankCorrelation"] * sqrt(predictor["forecasts"] - 1) < CRITICAL
    assert told["status"] == (
        "False" if useless or any(evolved) else "True"
    )  # one table of noise in twenty looks useful
    if any(evolved):
        assert told["reason"] == "PredictorNoBetterThanChance"
        assert "evolution proposes from now on" in told["message"]
        assert all(evolved[evolved.index(True) :])
    else:
        assert not useless or predictor["forecasts"] > FORECASTS_JUDGED, "evolution takes over at the first look"
