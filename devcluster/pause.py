"""The image of the container that holds a pod's namespaces: one static program, written as an OCI archive by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from devcluster import binary, containers
from devcluster.node import PAUSE_IMAGE
from devcluster.paths import Paths
from devcluster.steps import step

SOURCE = binary.SOURCES / "pause" / "main.go"


def ensure(paths: Paths) -> None:
    """containerd must be up."""
    with step("pause image") as current:
        if PAUSE_IMAGE in containers.images(paths):
            current.skip("already there")
            return
        containers.ctr(paths, "images", "import", _archive(paths))


def _archive(paths: Paths) -> Path:
    folder = paths.cache / "pause" / hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    archive = folder / "pause.tar"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        binary.build(paths, folder / "pause", "./pause")
        unfinished = archive.with_suffix(".unfinished")
        unfinished.write_bytes(pack((folder / "pause").read_bytes(), name=PAUSE_IMAGE))
        unfinished.rename(archive)
    return archive


def pack(program: bytes, *, name: str) -> bytes:
    """An OCI archive of an image `name` that holds `program` as /pause and runs it as nobody."""
    layer = _tar({"pause": program}, mode=0o755)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "65535:65535", "Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    media = "application/vnd.oci.image"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{media}.manifest.v1+json",
            "config": _descriptor(f"{media}.config.v1+json", config),
            "layers": [_descriptor(f"{media}.layer.v1.tar", layer)],
        }
    )
    named = {**_descriptor(f"{media}.manifest.v1+json", manifest), "annotations": {"io.containerd.image.name": name}}
    blobs = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (layer, config, manifest)}
    top = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [named]}),
    }
    return _tar({**top, **blobs}, mode=0o644)


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
