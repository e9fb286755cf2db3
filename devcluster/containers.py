"""What containerd holds, through its own client `ctr`. The kubelet's things are in the namespace k8s.io."""

from __future__ import annotations

from pathlib import Path

from devcluster import commands
from devcluster.errors import CommandFailed
from devcluster.paths import Paths

NAMESPACE = "k8s.io"


def ctr(paths: Paths, *arguments: str | Path, timeout_seconds: float | None = 60) -> str:
    return commands.run([*command(paths), *arguments], timeout_seconds=timeout_seconds)


def command(paths: Paths) -> list[str]:
    return ["ctr", "--address", str(paths.containerd_socket), "--namespace", NAMESPACE]


def answers(paths: Paths) -> bool:
    if not paths.containerd_socket.exists():
        return False
    try:
        # Answered by the CRI plugin's readiness, too: it registers its images after the server listens.
        return "io.containerd.grpc.v1" in ctr(paths, "plugins", "ls", timeout_seconds=5)
    except CommandFailed:
        return False


def images(paths: Paths) -> set[str]:
    return set(ctr(paths, "images", "ls", "--quiet").split())


def remove_all(paths: Paths) -> int:
    """Every container that containerd knows, killed where it runs; how many they were."""
    known = ctr(paths, "containers", "ls", "--quiet").split()
    if known:
        for task in ctr(paths, "tasks", "ls", "--quiet").split():
            _quietly(paths, "tasks", "rm", "--force", task)
        for container in known:
            _quietly(paths, "containers", "rm", container)
    return len(known)


def _quietly(paths: Paths, *arguments: str) -> None:
    """A container may end by itself between the list and this; teardown.py finds what really stays."""
    try:
        ctr(paths, *arguments)
    except CommandFailed:
        return
