"""Where things lie.

Two folders: the state (made by `up`, what must go lies in it) and the cache (slow to make, kept between clusters).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Paths:
    state: Path
    cache: Path

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Paths:
        environment = os.environ if environment is None else environment
        caches = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        state = environment.get("BANANAS_STATE") or "/var/lib/bananas-devcluster"
        return Paths(state=Path(state).resolve(), cache=Path(caches).resolve() / "bananas")

    # In the state folder. Short names: a unix socket's path has at most 107 characters.
    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def credentials(self) -> Path:
        return self.state / "pki"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    @property
    def kernel_settings(self) -> Path:
        return self.state / "kernel-settings.json"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def buildah(self) -> Path:
        return self.state / "buildah"

    @property
    def buildah_run(self) -> Path:
        return self.state / "buildah-run"

    @property
    def image_scratch(self) -> Path:
        return self.state / "image-scratch"

    # In the cache folder.
    @property
    def bin(self) -> Path:
        return self.cache / "bin"

    @property
    def kubectl(self) -> Path:
        return self.bin / "kubectl"

    @property
    def binaries(self) -> Path:
        return self.cache / "kube"
