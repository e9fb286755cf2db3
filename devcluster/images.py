"""`images`: build what changed, put it on the node; or push it to a registry for a cluster that is not ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable

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
    wanted = references(names)
    on_node = containers.images(paths)
    if set(wanted.values()) <= on_node:
        with step("images") as current:
            current.skip("already on the node")
    else:
        packages.ensure()
        with image_store.opened(paths) as buildah:
            for image in _chosen(names):
                _load_image(paths, buildah, image, on_node)
    _name_as_development(paths, wanted)
    return {name: wanted[name] for name in wanted if name in names}


def build(paths: Paths, names: Collection[str]) -> dict[str, str]:
    packages.ensure()
    with image_store.opened(paths) as buildah:
        return {image.name: _build(paths, buildah, image) for image in _chosen(names)}


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
    wanted = references(NAMES)
    return {name: _below(prefix, name, wanted[name]) if prefix else wanted[name] for name in NAMES}


def _below(prefix: str, name: str, reference: str) -> str:
    return f"{prefix.rstrip('/')}/{name}:{reference.rpartition(':')[2]}"


def references(names: Iterable[str]) -> dict[str, str]:
    """What the images of the sources as they are now are called, with those that they stand on."""
    known = {BASE: base_image.reference()}
    known[TORCH] = image_inputs.reference(TORCH_IMAGE, known[BASE])
    for image in _chosen(names):
        known[image.name] = image_inputs.reference(image, known[image.parent])
    needed = {image.parent for image in _chosen(names)} | set(names)
    return {name: reference for name, reference in known.items() if name in needed}


def _chosen(names: Iterable[str]) -> list[Image]:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise Refused([f"no image is called {', '.join(unknown)}; there are {', '.join(NAMES)}"])
    return [image for image in IMAGES if image.name in names]


def _build(paths: Paths, buildah: Buildah, image: Image) -> str:
    """The image's reference; its parents are built before it."""
    parent = base_image.ensure(paths, buildah) if image.parent == BASE else _build(paths, buildah, TORCH_IMAGE)
    reference = image_inputs.reference(image, parent)
    there = buildah.has(reference)
    slow = "2 to 4 minutes, once for each change of its requirements" if image is TORCH_IMAGE and not there else ""
    with step(f"{image.name} image: build", slow=slow) as current:
        if there:
            current.skip("already built")
            return reference
        installer = Installer(paths)
        installer.download(image.requirements)
        buildah(
            *("build", "--quiet", "--layers", "--isolation=chroot", "--pull-never"),
            *(f"--ignorefile={image_inputs.IGNORE_FILE}", f"--file={image.dockerfile}", f"--tag={reference}"),
            *(f"--build-arg={image.parent_argument}={parent}", *installer.build_arguments()),
            REPOSITORY,
        )
    return reference


def _load_image(paths: Paths, buildah: Buildah, image: Image, on_node: set[str]) -> None:
    """Parents first, whole: then of the others only the top layers travel."""
    wanted = references([image.name])
    if wanted[image.name] in on_node:
        return
    _build(paths, buildah, image)
    for parent in (BASE, TORCH):
        if parent in wanted and wanted[parent] not in on_node:
            _move(paths, buildah, parent, wanted[parent], whole=True)
            on_node.add(wanted[parent])
    _move(paths, buildah, image.name, wanted[image.name], whole=False)
    on_node.add(wanted[image.name])


def _move(paths: Paths, buildah: Buildah, name: str, reference: str, *, whole: bool) -> None:
    with step(f"{name} image: onto the node", slow="1 to 2 minutes, once" if name == TORCH else ""):
        (image_store.load_whole if whole else image_store.load_top)(paths, buildah, reference)


def _name_as_development(paths: Paths, wanted: dict[str, str]) -> None:
    """`:dev` for people: it always names the newest. Manifests name the hash, so that a changed image is a changed manifest."""
    for name, reference in wanted.items():
        containers.ctr(paths, "images", "tag", "--force", reference, f"{image_inputs.REPOSITORY_PREFIX}/{name}:dev")
