"""Which cluster the demo and the installation talk to: the development cluster, or one that the user named."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.paths import Paths


@dataclass(frozen=True)
class Target:
    """A cluster and how to reach it. `image_prefix` is None for the development cluster, whose node has the images."""

    kubectl: tuple[str, ...]
    plugin_options: tuple[str, ...]
    image_prefix: str | None

    @property
    def is_development_cluster(self) -> bool:
        return self.image_prefix is None

    @staticmethod
    def choose(paths: Paths, *, context: str | None, image_prefix: str | None) -> Target:
        """An exported KUBECONFIG alone chooses nothing: it may be production."""
        if (context is None) != (image_prefix is None):
            given, missing = ("CONTEXT", "IMAGE_PREFIX") if context else ("IMAGE_PREFIX", "CONTEXT")
            raise DevclusterError(
                f"{given} is set and {missing} is not. For a cluster of yours both are needed: "
                "CONTEXT=name IMAGE_PREFIX=registry/path. For the development cluster set neither."
            )
        if context is None:
            options = ("--kubeconfig", str(paths.kubeconfig))
            return Target(kubectl=(str(paths.kubectl), *options), plugin_options=options, image_prefix=None)
        program = shutil.which("kubectl")
        if program is None:
            raise DevclusterError(
                "kubectl is not on PATH. CONTEXT names a cluster of yours: install kubectl to reach it."
            )
        options = ("--context", context)
        return Target(kubectl=(program, *options), plugin_options=options, image_prefix=image_prefix)


def root() -> Path:
    return Path(__file__).resolve().parent.parent
