"""Pods that want the GPUs of the node, and nodes where nobody is home, for tests on the real cluster.

A ghost is a Node object with a lease that nobody renews: for some 50 seconds the control plane takes it for a node that
lives, binds pods to it, and then loses it as it loses any other.
"""

import json
import time
from typing import Any

from tests.support.cluster import Cluster, Object

TABLES_IMAGE = "localhost/bananas/tables:dev"
TAINT = "test.bananas.dev/ghost"
TOLERATION = {"key": TAINT, "operator": "Exists"}


def gpu_pod(name: str, namespace: str, *, gpus: int = 2, seconds: float, priority_class: str | None = None) -> Object:
    """A pod of somebody else that takes GPUs for a while."""
    container: Object = {
        "name": "main",
        "image": TABLES_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sleep", str(seconds)],
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: Object = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if priority_class is not None:
        spec["priorityClassName"] = priority_class
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def haunt(cluster: Cluster, name: str) -> None:
    """Makes a ghost with four GPUs; only pods with `TOLERATION` go there."""
    labels = {"kubernetes.io/hostname": name, TAINT: name}
    taint = {"key": TAINT, "effect": "NoSchedule"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [taint]},
    }
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": f"{_now()[:-1]}.000000Z"},
    }
    cluster.apply(node, lease)
    room = {"cpu": "8", "memory": "8Gi", "pods": "50", "nvidia.com/gpu": "4"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a ghost"}
    stamps = {"lastHeartbeatTime": _now(), "lastTransitionTime": _now()}
    _patch_status(cluster, "node", name, {"capacity": room, "allocatable": room, "conditions": [{**ready, **stamps}]})


def pretend_to_run(cluster: Cluster, pod: Object, container: str) -> None:
    """Says of a pod what its kubelet would say."""
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in kinds]
    state = {"running": {"startedAt": _now()}}
    status = {"name": container, "image": "x", "imageID": "x", "ready": True, "restartCount": 0, "state": state}
    changes = {"phase": "Running", "startTime": _now(), "conditions": conditions, "containerStatuses": [status]}
    _patch_status(cluster, "pod", pod["metadata"]["name"], changes, pod["metadata"]["namespace"])


def _patch_status(cluster: Cluster, kind: str, name: str, status: dict[str, Any], namespace: str | None = None) -> None:
    where = ["-n", namespace] if namespace else []
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", kind, name, *where, "--subresource=status", "--type=merge", "-p", patch)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
