"""The operator for a run: as deployed, started anew so that it goes through the proxy; or with a deliberate defect."""

import copy
from pathlib import Path
from typing import Final

from bench.chaos import defects
from bench.containers import wait_until
from bench.kube import Kube, Object

SYSTEM: Final = "bananas-system"
DEPLOYMENT: Final = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/bananas-operator"
PODS: Final = f"/api/v1/namespaces/{SYSTEM}/pods"
CONFIG: Final = "chaos-defect"
SELECTOR: Final = "app.kubernetes.io/component=operator"
AVAILABLE_SECONDS: Final = 120


class Deployed:
    """While it is open, the operator runs so; afterwards as it was."""

    def __init__(self, kube: Kube, defect: str | None) -> None:
        self._kube = kube
        self._defect = defect
        self._template: Object = {}

    def __enter__(self) -> "Deployed":
        """Returns once it is available."""
        found = self._kube.get(DEPLOYMENT)
        if found is None:
            raise LookupError("the operator is not deployed: make deploy")
        self._template = found["spec"]["template"]
        if self._defect is not None:
            self._install(self._defect)
        self._renew()
        return self

    def __exit__(self, *_: object) -> None:
        """Without the defect, and no longer through the proxy."""
        if self._defect is not None:
            self._kube.patch(DEPLOYMENT, [{"op": "replace", "path": "/spec/template", "value": self._template}], JSON)
            self._kube.delete(f"/api/v1/namespaces/{SYSTEM}/configmaps/{CONFIG}")
        self._renew()

    def _install(self, defect: str) -> None:
        self._kube.delete(f"/api/v1/namespaces/{SYSTEM}/configmaps/{CONFIG}")
        self._kube.create(
            f"/api/v1/namespaces/{SYSTEM}/configmaps",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CONFIG},
                "data": {"defects.py": Path(defects.__file__).read_text()},
            },
        )
        template = copy.deepcopy(self._template)
        (container,) = template["spec"]["containers"]
        container["command"] = ["python3", "/chaos/defects.py", defect]
        container.setdefault("volumeMounts", []).append({"name": "chaos", "mountPath": "/chaos", "readOnly": True})
        template["spec"].setdefault("volumes", []).append({"name": "chaos", "configMap": {"name": CONFIG}})
        self._kube.patch(DEPLOYMENT, [{"op": "replace", "path": "/spec/template", "value": template}], JSON)

    def _renew(self) -> None:
        """New pods, whose connections begin now."""
        old = {pod["metadata"]["uid"] for pod in self._kube.list(PODS, SELECTOR)}
        for pod in self._kube.list(PODS, SELECTOR):
            self._kube.delete(f"{PODS}/{pod['metadata']['name']}", grace_seconds=0)
        wait_until(lambda: self._is_new(old), seconds=AVAILABLE_SECONDS, what="a new operator is available")

    def _is_new(self, old: set[str]) -> bool:
        pods = self._kube.list(PODS, SELECTOR)
        found = self._kube.get(DEPLOYMENT) or {}
        status = found.get("status") or {}
        is_observed = status.get("observedGeneration") == found["metadata"]["generation"]
        is_there = (
            status.get("availableReplicas", 0) >= 1 and status.get("updatedReplicas") == found["spec"]["replicas"]
        )
        return is_observed and is_there and not old & {pod["metadata"]["uid"] for pod in pods}


JSON: Final = "application/json-patch+json"
