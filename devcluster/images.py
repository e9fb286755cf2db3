"""`images`: build what changed, put it on the node; or push it to a registry for a cluster that is not ours."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from devcluster import base_image, containers, image_inputs, image_store, packages
from devcluster.errors import DevclusterError, Refused
from devcluster.image_inputs import BASE, IMAGES, TORCH, TORCH_IMAGE, Image
from devcluster.image_store import Buildah
from devcluster.installer import Installer
from devcluster.paths import REPOSITORY, Paths
from devcluster.steps import step

NAMES = tuple(image.name for image in IMAGES)


def load(paths: Paths, names: Collection[str]) -> dict[str, str]:
    """Name -> reference, all of them on the node when this returns."""
    if not containers.answers(paths):
        raise DevclusterError("the cluster is not up: `devcluster up` first, or `devcluster images --build-only`")
    on_node = containers.images(paths)
    wanted = {image.name: _reference(image) for image in _chosen(names)}
    if set(wanted.values()) <= on_node:
        with step("images") as current:
            current.skip("already on the node")
    else:
        packages.ensure()
        with image_store.opened(paths) as buildah:
            wanted = {image.name: _put_on_node(paths, buildah, image, on_node) for image in _chosen(names)}
    for name, reference in wanted.items():
        # `:dev` for people: it names the newest. Manifests name the hash, so that a changed image is a changed manifest.
        containers.ctr(paths, "images", "tag", "--force", reference, image_inputs.tagged(name, "dev"))
    return wanted


def check() -> None:
    """Before anything is changed: whether this user can make images."""
    if os.geteuid() != 0:
        why = "it works on mounts and namespaces"
        raise Refused([f"making images needs root, and this is user {os.geteuid()}: {why}. Run it with sudo."])


def build(paths: Paths, names: Collection[str]) -> dict[str, str]:
    check()
    packages.ensure(packages.FOR_IMAGES)
    with image_store.opened(paths) as buildah:
        return {image.name: _build(paths, buildah, image) for image in _chosen(names)}


def load_own(paths: Paths, name: str, dockerfile: Path, parent: str) -> str:
    """A user's image on top of one of ours (`parent`), built from the folder of its Dockerfile; its reference, on the node."""
    check()
    if not containers.answers(paths):
        raise DevclusterError("the cluster is not up: `devcluster up` first")
    if not dockerfile.is_file():
        raise Refused([f"{dockerfile} is no file; want the Dockerfile of the image"])
    (image,) = _chosen([parent])
    packages.ensure()
    with image_store.opened(paths) as buildah:
        base = _put_on_node(paths, buildah, image, containers.images(paths))
        _build(paths, buildah, image)  # on the node it may be while the store has lost it
        reference = image_inputs.own_reference(name, dockerfile, base)
        if reference not in containers.images(paths):
            with step(f"{name} image: build"):
                buildah(
                    *("build", "--quiet", "--isolation=chroot", "--pull-never", f"--file={dockerfile}"),
                    *(f"--tag={reference}", f"--build-arg={parent.upper()}_IMAGE={base}", dockerfile.parent),
                )
            with step(f"{name} image: onto the node"):
                image_store.load_top(paths, buildah, reference)
    return reference


def push(paths: Paths, names: Collection[str], prefix: str, *, upload: bool) -> dict[str, str]:
    """Name -> reference below `prefix`, a registry's host and a path in it. The user logs in beforehand (`buildah login`)."""
    built = build(paths, names)
    pushed = {name: _below(prefix, name, reference) for name, reference in built.items()}
    with image_store.opened(paths) as buildah:
        for name, reference in pushed.items():
            buildah("tag", built[name], reference)
            if upload:
                with step(f"{name} image: push to {reference}"):
                    buildah("push", "--quiet", reference, f"docker://{reference}")
    return pushed


def image_names(_paths: Paths, *, prefix: str | None = None) -> dict[str, str]:
    """Name -> reference of what `load` puts on the node, or `push` below `prefix`, for the sources as they are now."""
    wanted = {image.name: _reference(image) for image in IMAGES}
    return {name: _below(prefix, name, reference) if prefix else reference for name, reference in wanted.items()}


def _below(prefix: str, name: str, reference: str) -> str:
    return f"{prefix.rstrip('/')}/{name}:{reference.rpartition(':')[2]}"


def _chosen(names: Iterable[str]) -> list[Image]:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise Refused([f"no image is called {', '.join(unknown)}; there are {', '.join(NAMES)}"])
    return [image for image in IMAGES if image.name in names]


def _reference(image: Image) -> str:
    parent = base_image.reference() if image.parent == BASE else _reference(TORCH_IMAGE)
    return image_inputs.reference(image, parent)


def _build(paths: Paths, buildah: Buildah, image: Image) -> str:
    """The image's reference; its parents are built before it. One that is there is not spoken of."""
    parent = _build_parent(paths, buildah, image)
    reference = image_inputs.reference(image, parent)
    if buildah.has(reference):
        return reference
    slow = "2 to 4 minutes, once for each change of its requirements" if image is TORCH_IMAGE else ""
    # buildah's cache does not look into what a RUN mounts. The torch image mounts its requirement file, for one layer
    # less, and is only built when that has changed; the others copy theirs, which the cache sees.
    reuse = "false" if image is TORCH_IMAGE else "true"
    with step(f"{image.name} image: build", slow=slow):
        installer = Installer(paths)
        installer.download(image.requirements)
        buildah(
            *("build", "--quiet", f"--layers={reuse}", "--isolation=chroot", "--pull-never"),
            *(f"--ignorefile={image_inputs.IGNORE_FILE}", f"--file={image.dockerfile}", f"--tag={reference}"),
            *(f"--build-arg={image.parent_argument}={parent}", *installer.build_arguments()),
            REPOSITORY,
        )
    if image_inputs.reference(image, parent) == reference:
        return reference
    # Somebody edited a file meanwhile: the name would promise what the image may not hold.
    buildah("untag", reference)
    return _build(paths, buildah, image)


def _build_parent(paths: Paths, buildah: Buildah, image: Image) -> str:
    return base_image.ensure(paths, buildah) if image.parent == BASE else _build(paths, buildah, TORCH_IMAGE)


def _put_on_node(paths: Paths, buildah: Buildah, image: Image, on_node: set[str]) -> str:
    """Parents first, whole: then of the others only the top layers travel."""
    if _reference(image) in on_node:
        return _reference(image)
    reference = _build(paths, buildah, image)
    _move_whole(paths, buildah, BASE, base_image.reference(), on_node)
    if image.parent == TORCH:
        _move_whole(paths, buildah, TORCH, _reference(TORCH_IMAGE), on_node)
    with step(f"{image.name} image: onto the node"):
        image_store.load_top(paths, buildah, reference)
    return reference


def _move_whole(paths: Paths, buildah: Buildah, name: str, reference: str, on_node: set[str]) -> None:
    if reference not in on_node:
        with step(f"{name} image: onto the node", slow="1 to 3 minutes, once" if name == TORCH else ""):
            image_store.load_whole(paths, buildah, reference)
        on_node.add(reference)
