"""Who may do what at the API server: one random token for each component, and a kubeconfig that carries it.

Made once per state folder and kept over restarts, so that a kubeconfig in somebody's shell goes on working.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from devcluster import addresses, commands
from devcluster.paths import Paths

CONTEXT = "bananas-devcluster"
# component -> (user, groups); the names are those that Kubernetes' own roles are bound to
USERS = {
    "admin": ("bananas-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kubelet": (f"system:node:{addresses.NODE}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
    "coredns": ("bananas:coredns", ""),  # its role stands in objects.py
}


def tokens_file(paths: Paths) -> Path:
    return paths.credentials / "tokens.csv"


def service_account_key(paths: Paths) -> Path:
    return paths.credentials / "service-accounts.key"


def server_certificate(paths: Paths) -> Path:
    """Made by kube-apiserver itself at its first start, for the address that it advertises; it is its own authority."""
    return paths.credentials / "apiserver.crt"


def kubeconfig(paths: Paths, component: str) -> Path:
    return paths.kubeconfig if component == "admin" else paths.credentials / f"{component}.kubeconfig"


def ensure_keys(paths: Paths) -> None:
    """What kube-apiserver reads at its start."""
    paths.credentials.mkdir(parents=True, exist_ok=True)
    paths.credentials.chmod(0o700)
    certificate = server_certificate(paths)
    if certificate.exists() != certificate.with_suffix(".key").exists():
        # Its maker was killed between the two, and would refuse the one.
        certificate.unlink(missing_ok=True)
        certificate.with_suffix(".key").unlink(missing_ok=True)
    key = service_account_key(paths)
    if not key.exists():
        unfinished = key.with_suffix(".unfinished")
        commands.run(["openssl", "genrsa", "-out", unfinished, "2048"])
        unfinished.rename(key)
    if not tokens_file(paths).exists():
        lines = (
            f'{secrets.token_hex(24)},{user},{component},"{groups}"' for component, (user, groups) in USERS.items()
        )
        _write(tokens_file(paths), "\n".join(lines) + "\n")


def tokens(paths: Paths) -> dict[str, str]:
    """Component -> token."""
    rows = (line.split(",") for line in tokens_file(paths).read_text().splitlines())
    return {component: token for token, _, component, *_ in rows}


def write_kubeconfigs(paths: Paths) -> None:
    """Once the API server has its certificate. JSON is YAML, and every client reads it."""
    for component, token in tokens(paths).items():
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": _cluster(paths)}],
            "users": [{"name": component, "user": {"token": token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": component}}],
        }
        _write(kubeconfig(paths, component), json.dumps(content, indent=2) + "\n")


def _cluster(paths: Paths) -> dict[str, str]:
    server = f"https://{addresses.HOST}:{addresses.API_SERVER_PORT}"
    return {"server": server, "certificate-authority": str(server_certificate(paths))}


def _write(path: Path, content: str) -> None:
    """Whole or not at all, and for root only."""
    if path.exists() and path.read_text() == content:
        return
    unfinished = path.with_name(path.name + ".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    unfinished.rename(path)
