"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their flags, and why those.

Flags only; cluster.py starts them in order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devcluster import addresses, credentials
from devcluster.paths import Paths
from devcluster.processes import Daemon

ETCD_URL = f"http://127.0.0.1:{addresses.ETCD_PORT}"
ETCD_PEER_URL = f"http://127.0.0.1:{addresses.ETCD_PEER_PORT}"


def etcd(paths: Paths, program: Path) -> Daemon:
    flags = {
        "name": addresses.NODE,
        "data-dir": paths.etcd,
        "listen-client-urls": ETCD_URL,  # loopback: pods must not reach it
        "advertise-client-urls": ETCD_URL,
        "listen-peer-urls": ETCD_PEER_URL,
        "initial-advertise-peer-urls": ETCD_PEER_URL,
        "initial-cluster": f"{addresses.NODE}={ETCD_PEER_URL}",
        "unsafe-no-fsync": "true",  # its data is thrown away when the cluster ends
        "log-level": "warn",
    }
    return Daemon("etcd", _command(program, "etcd", flags))


def api_server(paths: Paths, program: Path) -> Daemon:
    policy = paths.config / "audit-policy.json"
    key = credentials.service_account_key(paths)
    flags = {
        "etcd-servers": ETCD_URL,
        # It makes its own certificate here, for the advertised address only: not for 127.0.0.1.
        "cert-dir": paths.credentials,
        "bind-address": addresses.HOST,
        "advertise-address": addresses.HOST,
        "secure-port": addresses.API_SERVER_PORT,
        "service-cluster-ip-range": addresses.SERVICE_RANGE,
        "token-auth-file": credentials.tokens_file(paths),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-account-issuer": f"https://kubernetes.default.svc.{addresses.DOMAIN}",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        # Else `kubectl logs` and `exec` look the node's name up.
        "kubelet-preferred-address-types": "InternalIP",
        "audit-policy-file": policy,
        "audit-log-path": paths.audit_log,
        # A request is not answered before its line is in the log: a test that got an answer finds the line.
        "audit-log-mode": "blocking-strict",
        "audit-log-format": "json",
        "audit-log-maxsize": 2000,  # MB; a test that reads it must not meet a rotation
    }
    return Daemon(
        "kube-apiserver", _command(program, "kube-apiserver", flags), {policy: json.dumps(AUDIT_POLICY, indent=1)}
    )


def controller_manager(paths: Paths, program: Path) -> Daemon:
    config = credentials.kubeconfig(paths, "kube-controller-manager")
    flags = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "root-ca-file": credentials.server_certificate(paths),
        "service-account-private-key-file": credentials.service_account_key(paths),
        "use-service-account-credentials": "true",  # each controller by its own name in the audit log
        "cluster-cidr": addresses.POD_RANGE,
        "allocate-node-cidrs": "false",  # one node, and its bridge has the range already
        "leader-elect": "false",
        "kube-api-qps": 100,
        "kube-api-burst": 200,
    }
    return Daemon("kube-controller-manager", _command(program, "kube-controller-manager", flags))


def scheduler(paths: Paths, program: Path) -> Daemon:
    config = credentials.kubeconfig(paths, "kube-scheduler")
    flags = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
    }
    return Daemon("kube-scheduler", _command(program, "kube-scheduler", flags))


def _command(program: Path, part: str, flags: dict[str, Any]) -> tuple[str, ...]:
    return (str(program), part, *(f"--{name}={value}" for name, value in flags.items()))


def _rule(level: str, **match: Any) -> dict[str, Any]:
    return {"level": level, **match}


WRITES = ["create", "update", "patch", "delete", "deletecollection"]
READS = ["get", "list", "watch"]
COMPONENTS = ["system:apiserver", *(user for user, _ in credentials.USERS.values() if user.startswith("system:"))]
OURS = [{"group": "nas.bananas.dev"}, {"group": "batch", "resources": ["jobs", "jobs/status"]}]
LEASES = [{"group": "coordination.k8s.io", "resources": ["leases"]}]
UNINTERESTING_PATHS = ["/healthz*", "/readyz*", "/livez*", "/version", "/openapi/*", "/api*", "/metrics"]

# The first rule that matches decides. Who wrote what is always told; what our own objects and Jobs held, too.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        _rule("None", nonResourceURLs=UNINTERESTING_PATHS),
        _rule("None", users=COMPONENTS, resources=LEASES),  # renewed every few seconds
        _rule("RequestResponse", verbs=WRITES, resources=OURS),
        _rule("Metadata", verbs=WRITES),
        _rule("None", verbs=READS, users=COMPONENTS),
        _rule("None", verbs=READS, userGroups=["system:serviceaccounts:kube-system"]),
        _rule("Metadata"),
    ],
}
