"""The searches under chaos: a namespace, a volume, two searches, their ends, and what is left when they are deleted.

Asks the API server as admin and never through the proxy.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.chaos.evidence import Seen, final
from bench.chaos.faults import GPU, PRIORITY
from bench.containers import wait_until
from bench.kube import NAS, Kube, Object
from devcluster.paths import REPOSITORY, Paths

SEARCHES: Final = ("table", "train")
CLAIM = "checkpoints"
SPARE = 2
"""Trials that a search has left when its budget is raised, while the run goes on."""
RAISE = 4
KINDS: Final = (
    "/apis/nas.bananas.dev/v1alpha1/{}/nassearches",
    "/apis/nas.bananas.dev/v1alpha1/{}/nastrials",
    "/apis/batch/v1/{}/jobs",
    "/api/v1/{}/pods",
    "/apis/apps/v1/{}/deployments",
    "/apis/apps/v1/{}/replicasets",
    "/api/v1/{}/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/{}/roles",
    "/api/v1/{}/configmaps",
    "/api/v1/{}/secrets",
    "/api/v1/{}/services",
    "/apis/coordination.k8s.io/v1/{}/leases",
)
NOT_OURS: Final = ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
TINY: Final = {
    "dataset": "digits",
    "epochs": 30,
    "scoreEpochs": 2,
    "channels": 4,
    "layers": 3,
    "batchSize": 128,
    "auxiliary": False,
    "cutout": 0,
    "cropPadding": 0,
    "flip": False,
    "dropPath": 0,
}


class Lab:
    """One run's namespace."""

    def __init__(self, paths: Paths, namespace: str) -> None:
        self.namespace = namespace
        self._paths = paths
        self._kube = Kube(paths, patience_seconds=90)
        self._searches = f"{NAS}/namespaces/{namespace}/nassearches"

    def set_up(self, trials: dict[str, int]) -> None:
        """Makes everything but the searches' end."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self._kube.create(
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}},
        )
        self._kube.create(
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": PRIORITY},
                "value": 1000,
            },
        )
        command = [sys.executable, "-m", "devcluster", "volume", CLAIM, "--namespace", self.namespace]
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        for spec in (table_search(trials["table"]), training_search(trials["train"])):
            self._kube.create(self._searches, spec)

    @property
    def volume(self) -> Path:
        """Where the trainers' files lie."""
        return self._paths.volumes / self.namespace / CLAIM

    def trials(self) -> list[Object]:
        """All trials."""
        return self._kube.list(f"{NAS}/namespaces/{self.namespace}/nastrials")

    def keep_busy(self) -> None:
        """Raises the budget of a search that has almost used it."""
        for name in SEARCHES:
            search = self._kube.get(f"{self._searches}/{name}") or {}
            budget = search["spec"]["budget"]["trials"]
            counts = (search.get("status") or {}).get("trials") or {}
            used = sum(counts.get(phase, 0) for phase in ("queued", "running", "succeeded", "failed"))
            if budget - used <= SPARE:
                self._kube.patch(f"{self._searches}/{name}", {"spec": {"budget": {"trials": budget + RAISE}}})

    def complete(self) -> bool:
        """Whether both searches have ended."""
        found = [self._kube.get(f"{self._searches}/{name}") or {} for name in SEARCHES]
        return all((search.get("status") or {}).get("phase") in ("Complete", "Failed") for search in found)

    def finals(self) -> list[Seen]:
        """The objects as they are now."""
        searches = self._kube.list(self._searches)
        now = time.time()
        return [final("nastrials", trial, now) for trial in self.trials()] + [
            final("nassearches", search, now) for search in searches
        ]

    def delete_searches(self, within_seconds: float) -> list[str]:
        """Deletes both; what of the namespace is left after that time, as kind/name."""
        for name in SEARCHES:
            self._kube.delete(f"{self._searches}/{name}")
        try:
            wait_until(lambda: not self._left(), seconds=within_seconds, what="everything is gone", every=1)
        except TimeoutError:
            return self._left()
        return []

    def _left(self) -> list[str]:
        found = []
        for path in KINDS:
            for item in self._kube.list(path.format(f"namespaces/{self.namespace}")):
                name = f"{path.rpartition('/')[2]}/{item['metadata']['name']}"
                if name not in NOT_OURS:
                    found.append(name)
        return found

    def clean(self) -> None:
        """Takes away what was made for the run."""
        self._kube.delete(f"/api/v1/namespaces/{self.namespace}")
        self._kube.delete(f"/apis/scheduling.k8s.io/v1/priorityclasses/{PRIORITY}")


def table_search(trials: int) -> Object:
    """Table trials that last, with bananas, two at once."""
    spec: Object = {
        "space": "nasbench201",
        "evaluator": "table",
        "table": {"secondsPerTrial": 14},
        "strategy": {"name": "bananas", "initialTrials": 6, "ensembleSize": 3},
        "parallelism": 2,
    }
    return _search("table", trials, spec, {}, {"cpu": "20m"})


def training_search(trials: int) -> Object:
    """Tiny networks on the handwritten digits."""
    spec: Object = {"space": "darts", "strategy": {"name": "random"}, "parallelism": 1}
    return _search("train", trials, spec, {"recipe": TINY}, {"cpu": "100m"})


def _search(name: str, trials: int, spec: Object, trial: Object, requests: Object) -> Object:
    template = {"resources": {"requests": requests, "limits": {GPU: "1"}}}
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": name},
        "spec": {
            **spec,
            "budget": {"trials": trials},
            "checkpoints": {"claim": CLAIM},
            "trial": {**trial, "template": template},
            "predictor": {"resources": {"requests": {"cpu": "200m"}}},  # else whoever else computes here starves it
        },
    }
