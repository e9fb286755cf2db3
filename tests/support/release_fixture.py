"""`make fixture`: keeps what a release stored in users' clusters, so that later ones can be tried on it.

Written once, at the end of the work on a release, to tests/fixtures/release-VERSION and never changed afterwards:
  crds/           the CRDs as shipped;
  objects.json    searches and trials in every phase, every field set somewhere, as the API server gives them back;
  demo.json       the objects of the demo, if the development cluster holds one that is Complete.

tests/core/test_releases.py reads them. The objects must not be made by a program of a later release.
"""

import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.api.recipe import Recipe
from bananas_core.api.trial import Origin, TableSpec
from bananas_core.names import trial_name
from bananas_core.spaces import Architecture
from tests.support.cluster import ROOT, Cluster

Object = dict[str, Any]
FIXTURES = ROOT / "tests" / "fixtures"
NAMESPACE = "lab"
DEMO = "bananas-demo"

DARTS = Architecture.model_validate(
    {
        "space": "darts",
        "darts": {
            cell: [
                {"op": "sep_conv_3x3", "input": 0},
                {"op": "skip_connect", "input": 1},
                {"op": "dil_conv_5x5", "input": 2},
                {"op": "max_pool_3x3", "input": 0},
                {"op": "sep_conv_5x5", "input": 3},
                {"op": "avg_pool_3x3", "input": 1},
                {"op": "dil_conv_3x3", "input": 4},
                {"op": "none", "input": 2},
            ]
            for cell in ("normal", "reduce")
        },
    }
)
CELL_101 = Architecture.model_validate(
    {"space": "nasbench101", "nasbench101": {"adjacency": "110101", "ops": ["conv3x3-bn-relu", "maxpool3x3"]}}
)
CELL_201 = Architecture.model_validate(
    {
        "space": "nasbench201",
        "nasbench201": {
            "ops": ["nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3"]
        },
    }
)
RECIPE = {
    "dataset": "npz",
    "file": "images/cifar10.npz",
    "classes": 10,
    "epochs": 3,
    "scoreEpochs": 2,
    "precision": "bfloat16",
}
TEMPLATE = {
    "image": "registry.example/trainer:1",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"requests": {"cpu": 2}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
    "nodeSelector": {"pool": "spot"},
    "tolerations": [
        {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}
    ],
    "affinity": {"podAffinity": {}},
    "priorityClassName": "low",
    "runtimeClassName": "nvidia",
    "schedulerName": "volcano",
    "terminationGracePeriodSeconds": 120,
    "command": ["python3"],
    "args": ["-m", "mine"],
    "labels": {"kueue.x-k8s.io/queue-name": "nas"},
    "annotations": {"team": "vision"},
    "env": [
        {"name": "LEVEL", "value": "debug"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        {"name": "URL", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": False}}},
    ],
    "volumes": [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "settings", "configMap": {"name": "c"}},
        {"name": "keys", "secret": {"secretName": "s"}},
        {"name": "more", "persistentVolumeClaim": {"claimName": "more"}},
    ],
    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "readOnly": False, "subPath": "a"}],
}
PLACEMENT = {
    key: TEMPLATE[key] for key in ("image", "imagePullPolicy", "imagePullSecrets", "resources", "nodeSelector")
} | {key: TEMPLATE[key] for key in ("tolerations", "affinity", "priorityClassName")}
FAILURE = {
    "reason": constants.REASON_OUT_OF_DEVICE_MEMORY,
    "message": "the network needs 11.2 GiB, the device has 8 GiB",
}


def at(minutes: int) -> str:
    return f"2026-11-25T12:{minutes:02d}:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 2,
        "lastTransitionTime": at(30),
    }


def search(name: str, spec: Object, status: Object) -> Object:
    """A search with every default written out, as the API server stores it."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.SEARCH_KIND,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "generation": 2,
            "resourceVersion": "1000",
            "creationTimestamp": at(0),
        },
        "spec": NASSearchSpec.model_validate(spec).to_kubernetes(),
        "status": NASSearchStatus.model_validate(status).to_kubernetes(),
    }


def trial(owner: str, index: int, architecture: Architecture, status: Object, **spec: Any) -> Object:
    """A trial of a search."""
    made = NASTrialSpec.model_validate(
        {"search": owner, "index": index, "architecture": architecture, "origin": Origin(method="random"), **spec}
    )
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRIAL_KIND,
        "metadata": {
            "name": trial_name(owner, index),
            "namespace": NAMESPACE,
            "uid": f"uid-of-{trial_name(owner, index)}",
            "generation": 1,
            "resourceVersion": str(2000 + index),
            "creationTimestamp": at(index),
            "labels": {
                constants.LABEL_NAME: constants.APP_NAME,
                constants.LABEL_COMPONENT: "trial",
                constants.LABEL_SEARCH: owner,
                constants.LABEL_SEARCH_UID: f"uid-of-{owner}",
                constants.LABEL_ARCHITECTURE: architecture.hash(),
            },
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.SEARCH_KIND,
                    "name": owner,
                    "uid": f"uid-of-{owner}",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": made.to_kubernetes(),
        "status": NASTrialStatus.model_validate(status).to_kubernetes(),
    }


def finished() -> list[Object]:
    """A search over a table that is Complete."""
    owner = "finished"
    spec = {
        "space": "nasbench201",
        "evaluator": "table",
        "table": {"file": "nb201.csv", "secondsPerTrial": 1.5},
        "strategy": {"name": "random"},
        "budget": {"trials": 1},
        "data": {"claim": "tables"},
    }
    status = {
        "phase": "Complete",
        "observedGeneration": 2,
        "conditions": [
            condition(constants.CONDITION_READY, "True", constants.REASON_COMPLETED),
            condition(constants.CONDITION_PROGRESSING, "False", constants.REASON_COMPLETED),
            condition(constants.CONDITION_COMPLETE, "True", constants.REASON_BUDGET_USED, "1 of 1 trials ended"),
            condition(constants.CONDITION_FAILED, "False", constants.REASON_ALL_GOOD),
            condition(constants.CONDITION_STALLED, "False", constants.REASON_ALL_GOOD),
        ],
        "trials": {"succeeded": 1, "cancelled": 1},
        "selector": f"{constants.LABEL_SEARCH_UID}=uid-of-{owner}",
        "best": {"trial": trial_name(owner, 0), "validationAccuracy": 0.91, "architecture": CELL_201.to_text()},
        "startTime": at(1),
        "completionTime": at(2),
    }
    table = TableSpec(file="nb201.csv", seconds_per_trial=1.5)
    result = {
        "phase": "Succeeded",
        "validationAccuracy": 0.91,
        "testAccuracy": 0.905,
        "attempts": 1,
        "settledAttempt": 1,
        "startTime": at(1),
        "completionTime": at(2),
    }
    dropped = {"phase": "Cancelled", "reason": constants.REASON_BUDGET_EXHAUSTED, "message": "all were admitted"}
    return [
        search(owner, spec, status),
        trial(owner, 0, CELL_201, result, table=table),
        trial(owner, 1, CELL_201, {**dropped, "completionTime": at(2)}, table=table),
    ]


def running() -> list[Object]:
    """A search that trains, with every field of its spec set, and a trial in every other phase."""
    owner = "running"
    spec = {
        "space": "darts",
        "strategy": {"name": "bananas", "initialTrials": 2, "encoding": "path", "acquisition": "its"},
        "parallelism": 3,
        "budget": {"trials": 8},
        "seed": 7,
        "data": {"claim": "datasets"},
        "checkpoints": {"claim": "checkpoints"},
        "trial": {"recipe": RECIPE, "template": TEMPLATE, "deadlineSeconds": 3600},
        "predictor": PLACEMENT,
    }
    status = {
        "phase": "Running",
        "observedGeneration": 2,
        "conditions": [
            condition(constants.CONDITION_READY, "True", constants.REASON_ALL_GOOD),
            condition(constants.CONDITION_PROGRESSING, "True", constants.REASON_RUNNING, "2 of 8 trials ended"),
        ],
        "trials": {"pending": 1, "queued": 1, "running": 1, "succeeded": 1, "failed": 1},
        "inFlight": 2,
        "selector": f"{constants.LABEL_SEARCH_UID}=uid-of-{owner}",
        "best": {"trial": trial_name(owner, 0), "validationAccuracy": 0.87, "architecture": DARTS.to_text()},
        "predictor": {
            "resultsSeen": 1,
            "fitSeconds": 2.5,
            "forecasts": 1,
            "rankCorrelation": 0.5,
            "meanAbsoluteError": 0.02,
            "message": "waits for results",
        },
        "gpuSeconds": {"used": 812.5, "wasted": 60},
        "startTime": at(1),
        "estimatedCompletionTime": at(50),
    }
    recipe = Recipe.model_validate(RECIPE)
    chosen = Origin(
        method="mutation", parent=0, predicted_mean=0.86, predicted_standard_deviation=0.01, acquisition=0.9
    )
    attempts = {"attempts": 2, "settledAttempt": 1, "admissionTime": at(3), "startTime": at(4), "node": "gpu-1"}
    phases: list[Object] = [
        {
            "phase": "Succeeded",
            "validationAccuracy": 0.87,
            "progress": {"epoch": 3, "epochs": 3, "validationAccuracy": 0.87},
            "parameters": 3_500_000,
            "multiplyAdds": 540_000_000,
            "gpuSeconds": 700.5,
            "interruptions": 1,
            "device": "NVIDIA A100-SXM4-40GB",
            "dataDigest": "sha256:00ff",
            "completionTime": at(16),
            **attempts,
            "settledAttempt": 2,
        },
        {"phase": "Failed", "failure": FAILURE, "message": FAILURE["message"], "gpuSecondsWasted": 60, **attempts},
        {"phase": "Running", "progress": {"epoch": 1, "epochs": 3, "validationAccuracy": 0.6}, **attempts},
        {"phase": "Queued", "retries": 1, "nextAttemptTime": at(31), "failure": FAILURE, **attempts},
        {"phase": "Pending"},
    ]
    return [
        search(owner, spec, status),
        *(
            trial(
                owner, index, DARTS, phase, recipe=recipe, seed=index + 1, **({"origin": chosen} if index > 1 else {})
            )
            for index, phase in enumerate(phases)
        ),
    ]


def stalled() -> list[Object]:
    """A search that waits for a person, and whose predictor has told why."""
    owner = "stalled"
    message = f"NASTrial {trial_name(owner, 1)}, the next to be proposed, is not this search's"
    status = {
        "phase": "Stalled",
        "observedGeneration": 2,
        "conditions": [
            condition(constants.CONDITION_READY, "False", constants.REASON_NAME_CONFLICT, message),
            condition(constants.CONDITION_STALLED, "True", constants.REASON_NAME_CONFLICT, message),
        ],
        "predictor": {"reason": constants.REASON_NAME_CONFLICT, "message": message, "exhausted": False},
    }
    spec = {"space": "nasbench101", "evaluator": "table", "table": {}}
    return [
        search(owner, spec, status),
        trial(owner, 0, CELL_101, {"phase": "Pending"}, table=TableSpec()),
    ]


def failed() -> list[Object]:
    """A search that was given up."""
    message = "1 trials failed, spec.trial.maxFailedTrials is 0"
    status = {
        "phase": "Failed",
        "observedGeneration": 2,
        "conditions": [condition(constants.CONDITION_FAILED, "True", constants.REASON_TOO_MANY_FAILED_TRIALS, message)],
        "trials": {"failed": 1},
        "completionTime": at(9),
    }
    return [search("failed", {"space": "darts", "trial": {"maxFailedTrials": 0}}, status)]


def demo() -> list[Object] | None:
    """The objects of a completed demo on the development cluster, as they are there."""
    try:
        cluster = Cluster.of_this_machine()
    except LookupError:
        return None
    answer = cluster.run("get", f"{constants.SEARCH_PLURAL},{constants.TRIAL_PLURAL}", "-n", DEMO, "-o", "json")
    found: list[Object] = json.loads(answer.out)["items"] if answer.code == 0 else []
    if not any(item.get("status", {}).get("phase") == "Complete" for item in found):
        return None
    for item in found:
        item["metadata"].pop("managedFields", None)
        item["metadata"].get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return found


def write(folder: Path) -> None:
    """Writes the fixture."""
    (folder / "crds").mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "manifests" / "crds").glob("*.yaml")):
        shutil.copyfile(path, folder / "crds" / path.name)
    _write_json(folder / "objects.json", [*finished(), *running(), *stalled(), *failed()])
    real = demo()
    if real is not None:
        _write_json(folder / "demo.json", real)
    print(f"{folder.relative_to(ROOT)}: written; {'no completed demo found, ' if real is None else ''}commit it")


def _write_json(path: Path, objects: list[Object]) -> None:
    path.write_text(json.dumps(objects, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write(FIXTURES / f"release-{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}")
    sys.exit(0)
