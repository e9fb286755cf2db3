"""Builders of the objects that tests apply."""

from copy import deepcopy
from typing import Any

from tests.support.cluster import Object

GPU = {"limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}, "requests": {"cpu": "100m"}}
TINY_RECIPE = {
    "dataset": "digits",
    "epochs": 2,
    "scoreEpochs": 1,
    "channels": 4,
    "layers": 3,
    "batchSize": 128,
    "auxiliary": False,
    "cutout": 0,
    "cropPadding": 0,
    "flip": False,
    "dropPath": 0,
}


def table_search(
    name: str, namespace: str, *, trials: int = 20, parallelism: int = 2, seconds: float = 0, **spec: Any
) -> Object:
    """A search that looks its accuracies up in the toy table."""
    return _search(
        name,
        namespace,
        {
            "space": "nasbench201",
            "evaluator": "table",
            "table": {"secondsPerTrial": seconds},
            "strategy": {"name": "random"},
            "budget": {"trials": trials},
            "parallelism": parallelism,
            "trial": {"template": {"resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": "20m"}}}},
        },
        spec,
    )


def training_search(name: str, namespace: str, *, trials: int = 4, parallelism: int = 2, **spec: Any) -> Object:
    """A search that trains tiny DARTS networks on handwritten digits."""
    return _search(
        name,
        namespace,
        {
            "space": "darts",
            "strategy": {"name": "random"},
            "budget": {"trials": trials},
            "parallelism": parallelism,
            "trial": {"recipe": TINY_RECIPE, "template": {"resources": GPU}},
        },
        spec,
    )


def _search(name: str, namespace: str, base: Object, changes: Object) -> Object:
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": name, "namespace": namespace},
        "spec": merged(base, changes),
    }


def merged(base: Object, changes: Object) -> Object:
    """The base with the changes laid over it, as a merge patch does: None takes a field away."""
    out = deepcopy(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = deepcopy(value)
    return out
