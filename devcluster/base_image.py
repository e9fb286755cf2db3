"""The image that all others stand on.

Debian with Python 3.11, made from packages because there is no registry to pull one from.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from devcluster import commands, image_inputs
from devcluster.image_store import Buildah
from devcluster.paths import Paths
from devcluster.steps import step

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
UNNEEDED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/log")


def reference() -> str:
    recipe = f"{SUITE} {PACKAGES} {UNNEEDED}"
    return image_inputs.tagged(image_inputs.BASE, hashlib.sha256(recipe.encode()).hexdigest())


def ensure(paths: Paths, buildah: Buildah) -> str:
    wanted = reference()
    if not buildah.has(wanted):
        with step("base image: build", slow="1 to 2 minutes, once"):
            _build(paths, buildah, wanted)
    return wanted


def _build(paths: Paths, buildah: Buildah, wanted: str) -> None:
    root = paths.image_scratch / "base"
    commands.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root])
    for folder in UNNEEDED:
        _empty(root / folder)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, root, "/")
    buildah(
        "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--env", "LANG=C.UTF-8", "--cmd", "python3", container
    )
    buildah("commit", "--quiet", "--rm", container, wanted)
    shutil.rmtree(root)


def _empty(folder: Path) -> None:
    """The folders themselves stay: packages that somebody adds expect them."""
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
