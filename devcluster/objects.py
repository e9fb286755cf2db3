"""The objects that every cluster of ours has: cluster DNS, and two GPUs on the node that are not there."""

from __future__ import annotations

from typing import Any

from devcluster import addresses
from devcluster.api import Api

GPU = "nvidia.com/gpu"
GPUS = 2
NODE_PATH = f"/api/v1/nodes/{addresses.NODE}"

DNS_PORTS = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
ROLE = "bananas:coredns"
RBAC = "rbac.authorization.k8s.io"


def apply(api: Api) -> None:
    for path, body in _objects():
        api.apply(path, body)


def _objects() -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            f"/apis/{RBAC}/v1/clusterroles/{ROLE}",
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": ROLE},
                "rules": [
                    {
                        "apiGroups": [""],
                        "resources": ["services", "namespaces", "pods", "endpoints"],
                        "verbs": ["list", "watch"],
                    },
                    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
                ],
            },
        ),
        (
            f"/apis/{RBAC}/v1/clusterrolebindings/{ROLE}",
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": ROLE},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": ROLE},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": ROLE}],
            },
        ),
        # No selector: CoreDNS is a process of the node, not a pod.
        (
            "/api/v1/namespaces/kube-system/services/kube-dns",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "kube-dns",
                    "namespace": "kube-system",
                    "labels": {"kubernetes.io/name": "CoreDNS"},
                },
                "spec": {"clusterIP": addresses.DNS, "ports": DNS_PORTS},
            },
        ),
        (
            "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns",
                    "namespace": "kube-system",
                    "labels": {
                        "kubernetes.io/service-name": "kube-dns",
                        "endpointslice.kubernetes.io/managed-by": "devcluster",
                    },
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [addresses.HOST]}],
                "ports": DNS_PORTS,
            },
        ),
    ]


def add_gpus(api: Api) -> None:
    """The scheduler counts what the node's status says; the kubelet makes the capacity allocatable within seconds."""
    api.patch(f"{NODE_PATH}/status", {"status": {"capacity": {GPU: str(GPUS)}}})


def gpus(api: Api, kind: str) -> int:
    """`kind`: capacity or allocatable."""
    node = api.get(NODE_PATH)
    return int(node["status"].get(kind, {}).get(GPU, "0")) if node else 0


def node_ready(api: Api) -> bool:
    node = api.get(NODE_PATH)
    conditions = node["status"].get("conditions", ()) if node else ()
    untainted = node is not None and not node["spec"].get("taints")
    return untainted and any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def namespaces_ready(api: Api) -> bool:
    """A pod made before its namespace has this account is refused."""
    return api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None
