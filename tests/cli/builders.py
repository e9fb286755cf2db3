"""Objects as the API server gives them, made by builder: a search and trials in any state."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from bananas_cli.snapshot import Snapshot, parse_snapshot
from bananas_core.spaces import Architecture
from bananas_core.spaces.darts import OPERATIONS as DARTS_OPERATIONS
from bananas_core.spaces.darts import DartsArchitecture, Edge
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture

Object = dict[str, Any]
START = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=30)


def stamp(minutes: float) -> str:
    """A time that many minutes after the start."""
    return (START + timedelta(minutes=minutes)).isoformat(timespec="seconds").replace("+00:00", "Z")


def darts(seed: int) -> Architecture:
    """A random architecture of the DARTS space."""
    rng = random.Random(seed)

    def cell() -> tuple[Edge, ...]:
        return tuple(
            Edge(op=rng.choice(DARTS_OPERATIONS), input=source)
            for node in range(4)
            for source in rng.sample(range(node + 2), 2)
        )

    return Architecture.of(DartsArchitecture(normal=cell(), reduce=cell()))


def nasbench201(seed: int) -> Architecture:
    """A random architecture of the NAS-Bench-201 space."""
    rng = random.Random(seed)
    return Architecture.of(Nasbench201Architecture(ops=tuple(rng.choice(OPERATIONS) for _ in range(6))))


def search(name: str = "demo", *, spec: Object | None = None, **status: Any) -> Object:
    """A NASSearch; keyword arguments are fields of its status as the API has them."""
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {
            "name": name,
            "namespace": "lab",
            "uid": "search-uid",
            "creationTimestamp": stamp(-1),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {
            "space": "darts",
            "parallelism": 2,
            "budget": {"trials": 20},
            "strategy": {"name": "bananas", "initialTrials": 6},
            **(spec or {}),
        },
        "status": status,
    }


def condition(kind: str, reason: str, message: str = "", status: str = "True") -> Object:
    """A condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(10),
        "observedGeneration": 1,
    }


def trial(
    index: int,
    phase: str = "Succeeded",
    *,
    accuracy: float | None = None,
    parent: int | None = None,
    predicted: float | None = None,
    architecture: Architecture | None = None,
    **status: Any,
) -> Object:
    """A NASTrial; further keyword arguments are fields of its status as the API has them."""
    origin: Object = {"method": "random"}
    if parent is not None:
        origin = {"method": "mutation", "parent": parent}
    if predicted is not None:
        origin |= {"predictedMean": predicted, "predictedStandardDeviation": 0.008, "acquisition": 0.1}
    made = architecture or darts(index)
    body: Object = {"phase": phase, "attempts": 1, **status}
    if phase == "Succeeded":
        body |= {
            "validationAccuracy": 0.9 if accuracy is None else accuracy,
            "startTime": stamp(index),
            "completionTime": stamp(index + 1.5),
            "parameters": 1_234_567,
            **status,
        }
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASTrial",
        "metadata": {
            "name": f"demo-{index}",
            "namespace": "lab",
            "uid": f"trial-uid-{index}",
            "creationTimestamp": stamp(index - 0.5),
            "managedFields": [{"manager": "bananas-predictor"}],
        },
        "spec": {
            "search": "demo",
            "index": index,
            "architecture": made.to_kubernetes(),
            "seed": index,
            **({"recipe": {}} if made.space == "darts" else {"table": {}}),
            "origin": origin,
        },
        "status": body,
    }


def promoted() -> tuple[Object, list[Object]]:
    """Complete but for the training of its best to the end: one of two networks has all its results."""
    raw, trials = complete()
    best = [f"demo-{index}" for index in (7, 8)]
    raw["status"] |= {
        "phase": "Running",
        "conditions": [condition("Progressing", "Promoting", "3 of 4 trainings to the end have ended")],
        "promotion": {
            "trainings": 4,
            "ended": 3,
            "results": [
                {
                    "trial": best[0],
                    "validationAccuracy": 0.917,
                    "succeeded": 2,
                    "testAccuracy": 0.974,
                    "testAccuracyStandardDeviation": 0.0008,
                    "parameters": 3_349_342,
                },
                {"trial": best[1], "validationAccuracy": 0.915, "succeeded": 1},
            ],
        },
    }
    raw["status"].pop("completionTime", None)
    last = trial(8, "Running", architecture=darts(8), progress={"epoch": 31, "epochs": 600})
    last["metadata"]["name"] = "demo-8-final-2"
    last["spec"] |= {"seed": 2, "origin": {"method": "promotion", "parent": 8}}
    return raw, [*trials, last]


def empty() -> tuple[Object, list[Object]]:
    """Just applied: the operator has not seen it."""
    return search(), []


def running() -> tuple[Object, list[Object]]:
    """In the middle, with a result that failed to learn, one that failed, one queued."""
    rng = random.Random(4)
    values = [0.71, 0.84, 0.12, 0.88, 0.86, 0.905, 0.899, 0.917, 0.921, 0.9152]
    trials = [trial(i, accuracy=value) for i, value in enumerate(values[:6])]
    trials += [
        trial(i, accuracy=value, parent=3, predicted=value + rng.gauss(0, 0.01))
        for i, value in enumerate(values[6:], start=6)
    ]
    failure = {"reason": "OutOfDeviceMemory", "message": "the network needs 11.2 GiB, the device has 8 GiB"}
    trials += [
        trial(10, "Failed", failure=failure, completionTime=stamp(14)),
        trial(
            11,
            "Running",
            parent=8,
            predicted=0.92,
            progress={"epoch": 7, "epochs": 12, "validationAccuracy": 0.8612},
            attempts=2,
        ),
        trial(12, "Running", parent=7, predicted=0.919),
        trial(13, "Queued", parent=7, predicted=0.918, message="0/1 nodes are available: Insufficient nvidia.com/gpu."),
        trial(14, "Pending", parent=8, predicted=0.917),
    ]
    return (
        search(
            phase="Running",
            conditions=[
                condition("Ready", "AsExpected"),
                condition("Progressing", "Running"),
                condition("Stalled", "AsExpected", status="False"),
            ],
            trials={"succeeded": 10, "failed": 1, "running": 2, "queued": 1, "pending": 1},
            best={"trial": "demo-8", "validationAccuracy": 0.921, "architecture": darts(8).to_text()},
            predictor={
                "resultsSeen": 10,
                "fitSeconds": 3.14,
                "forecasts": 4,
                "rankCorrelation": 0.62,
                "meanAbsoluteError": 0.0132,
            },
            gpuSeconds={"used": 1453.2, "wasted": 91},
            startTime=stamp(0),
            estimatedCompletionTime=stamp(52),
        ),
        trials,
    )


def stalled() -> tuple[Object, list[Object]]:
    """Held up by something outside."""
    message = (
        "persistentvolumeclaim 'cifar' of spec.data.claim does not exist in namespace lab; create it, or set spec.data.claim "
        "to one of: checkpoints. The search goes on by itself once it is there."
    )
    return (
        search(
            phase="Stalled",
            conditions=[
                condition("Ready", "ClaimNotFound", "x", "False"),
                condition("Stalled", "ClaimNotFound", message),
            ],
        ),
        [],
    )


def suspended() -> tuple[Object, list[Object]]:
    """Paused by its user, with every bound that a budget has."""
    budget = {
        "trials": 20,
        "gpuHours": 8,
        "wallClock": "12h",
        "targetAccuracy": 0.95,
        "noImprovementTrials": 40,
    }
    return (
        search(
            spec={"budget": budget, "suspend": True},
            phase="Suspended",
            startTime=stamp(0),
            conditions=[
                condition("Ready", "Suspended", "spec.suspend is true", "False"),
                condition("Suspended", "Suspended", "spec.suspend is true; 2 trials wait to go on"),
            ],
            trials={"queued": 2},
            inFlight=2,
        ),
        [trial(index, "Queued", message="stopped: the search was suspended") for index in range(2)],
    )


def failed() -> tuple[Object, list[Object]]:
    """Given up."""
    failure = {"reason": "DataInvalid", "message": "cifar10.npz: y_train has 100 labels, x_train 50,000 images"}
    return (
        search(
            phase="Failed",
            conditions=[
                condition(
                    "Failed", "TooManyFailedTrials", "11 trials failed, spec.trial.maxFailedTrials is 10; the last: ..."
                ),
                condition("Ready", "TooManyFailedTrials", "", "False"),
            ],
            trials={"failed": 11},
            gpuSeconds={"used": 61, "wasted": 61},
            startTime=stamp(0),
            completionTime=stamp(3),
        ),
        [trial(i, "Failed", failure=failure, completionTime=stamp(i)) for i in range(11)],
    )


def complete(trials: int = 20) -> tuple[Object, list[Object]]:
    """Over, with a result of each trial."""
    rng = random.Random(7)
    made: list[Object] = []
    for i in range(trials):
        skill = 1 - 0.5 ** (i / max(6, trials / 5))
        value = min(0.97, max(0.1, 0.84 + 0.09 * skill + rng.gauss(0, 0.02 * (1.2 - skill))))
        value = 0.1 if i == 2 else value
        extra: Object = {} if i < 6 else {"parent": rng.randrange(i), "predicted": value + rng.gauss(0, 0.008)}
        made.append(trial(i, accuracy=round(value, 4), device="NVIDIA H100", dataDigest="sha256:" + "ab" * 32, **extra))
    best = max(made, key=lambda t: t["status"]["validationAccuracy"])
    return (
        search(
            spec={"budget": {"trials": trials}},
            phase="Complete",
            conditions=[condition("Complete", "BudgetUsed", f"{trials} of {trials} trials have ended")],
            trials={"succeeded": trials},
            best={
                "trial": best["metadata"]["name"],
                "validationAccuracy": best["status"]["validationAccuracy"],
                "architecture": "x",
            },
            predictor={
                "resultsSeen": trials,
                "fitSeconds": 4.2,
                "forecasts": trials - 6,
                "rankCorrelation": 0.83,
                "meanAbsoluteError": 0.0064,
            },
            gpuSeconds={"used": 90.0 * trials, "wasted": 0},
            startTime=stamp(0),
            completionTime=stamp(trials + 1),
        ),
        made,
    )


def snapshot(objects: tuple[Object, list[Object]]) -> Snapshot:
    """Parsed."""
    return parse_snapshot(*objects)
