"""Which images there are and what each is made of.

An image's tag is a hash of that, so that an unchanged image is neither built nor loaded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster.paths import REPOSITORY

DOCKERFILES = REPOSITORY / "Dockerfiles"
IGNORE_FILE = DOCKERFILES / "ignore"
REPOSITORY_PREFIX = "localhost/bananas"
OWN_PREFIX = "localhost/custom"
BASE = "base"
TORCH = "torch"


@dataclass(frozen=True)
class Image:
    name: str
    parent: str  # the image that it stands on: BASE or TORCH
    parent_argument: str  # the ARG of its Dockerfile that names the parent
    distributions: tuple[str, ...]  # our own, whose sources it holds

    @property
    def dockerfile(self) -> Path:
        return DOCKERFILES / f"{self.name}.Dockerfile"

    @property
    def requirements(self) -> Path:
        return REPOSITORY / "requirements" / f"{self.name}.txt"


TORCH_IMAGE = Image(TORCH, BASE, "BASE_IMAGE", ())
# In the order in which they are built: a search with table evaluation can start while the heavy ones are being made.
IMAGES = (
    Image("operator", BASE, "BASE_IMAGE", ("core", "operator")),
    Image("tables", BASE, "BASE_IMAGE", ("core", "tables")),
    Image("predictor", TORCH, "TORCH_IMAGE", ("core", "tables", "predictor")),
    Image("trainer", TORCH, "TORCH_IMAGE", ("core", "trainer")),
)


def reference(image: Image, parent: str) -> str:
    """`parent` is the parent's reference, and with it the hash of all below."""
    digest = hashlib.sha256(parent.encode())
    for path in _inputs(image):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(REPOSITORY)}\0{len(content)}\0".encode() + content)
    return tagged(image.name, digest.hexdigest())


def own_reference(name: str, dockerfile: Path, parent: str) -> str:
    """Of a user's image: a hash of everything in its folder and of what it stands on."""
    digest = hashlib.sha256(parent.encode())
    for path in sorted(dockerfile.parent.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(dockerfile.parent)}\0{len(content)}\0".encode() + content)
    digest.update(dockerfile.name.encode())
    return f"{OWN_PREFIX}/{name}:{digest.hexdigest()[:12]}"


def tagged(name: str, digest: str) -> str:
    return f"{REPOSITORY_PREFIX}/{name}:{digest[:12]}"


def _inputs(image: Image) -> Iterator[Path]:
    yield from (image.dockerfile, image.requirements, IGNORE_FILE)
    for distribution in image.distributions:
        for path in sorted((REPOSITORY / distribution / "src").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
