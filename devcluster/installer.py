"""Python packages for the images, out of what this machine has downloaded before.

The Dockerfiles install with pip, from an index. Here the build gets uv instead and uv's cache, filled beforehand with
exactly the files that the requirement file locks: no network in the build, no second download of torch, and a quarter
of the time.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from devcluster import commands
from devcluster.paths import REPOSITORY, Paths

UV = "uv==0.13.9"
PYTHON = "3.11"  # of base_image.py
IN_THE_BUILD = "/uv"


class Installer:
    def __init__(self, paths: Paths) -> None:
        self._scratch = paths.image_scratch / "packages"
        self._uv = _find_uv(paths)
        self._cache = Path(commands.run([self._uv, "cache", "dir"]).strip())

    def download(self, requirements: Path) -> None:
        """Into uv's cache: it has no command for just that, so the packages are linked into a folder that goes again."""
        where: list[str | Path] = [
            "--target",
            self._scratch,
            "--python-version",
            PYTHON,
            "--python-platform",
            "x86_64-manylinux_2_36",
        ]
        what: list[str | Path] = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", requirements]
        commands.run([self._uv, "pip", "install", "--quiet", *where, *what], hint="A Python package index is needed.")
        shutil.rmtree(self._scratch)

    def build_arguments(self) -> list[str]:
        """For `buildah build`: what makes the Dockerfile's INSTALL use uv and its cache."""
        command = f"{IN_THE_BUILD}/uv pip install --python /opt/bananas/bin/python3 --offline --cache-dir {IN_THE_BUILD}/cache"
        install = f"{command} --link-mode copy --compile-bytecode --no-deps --only-binary :all:"
        mounts = [f"--volume={self._cache}:{IN_THE_BUILD}/cache", f"--volume={self._uv}:{IN_THE_BUILD}/uv:ro"]
        return [*mounts, f"--build-arg=INSTALL={install}"]


def _find_uv(paths: Paths) -> Path:
    for candidate in (REPOSITORY / ".venv" / "bin" / "uv", paths.cache / "uv" / "bin" / "uv"):
        if candidate.exists():
            return candidate
    environment = paths.cache / "uv"
    commands.run([sys.executable, "-m", "venv", environment], hint="Install python3-venv.")
    commands.run([environment / "bin" / "pip", "install", "--quiet", UV], hint="A Python package index is needed.")
    return environment / "bin" / "uv"
