"""`volume`: a claim that any number of pods share, on a folder of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devcluster.api import Api
from devcluster.errors import DevclusterError
from devcluster.paths import Paths
from devcluster.steps import step
from devcluster.waiting import until

# Nothing enforces it for a folder; a claim must ask for something.
CAPACITY = "10Gi"


def ensure(paths: Paths, name: str, *, namespace: str, copies: Sequence[Path], read_only: bool) -> Path:
    """The folder. The claim `name` in `namespace` is bound to it when this returns."""
    api = Api(paths)
    if api.get(f"/api/v1/namespaces/{namespace}") is None:
        raise DevclusterError(
            f"there is no namespace {namespace}; make it first: `kubectl create namespace {namespace}`"
        )
    missing = [str(path) for path in copies if not path.is_file()]
    if missing:
        raise DevclusterError(f"no such file: {', '.join(missing)}")
    folder = paths.volumes / namespace / name
    with step(f"volume {namespace}/{name}"):
        _fill(folder, copies, read_only=read_only)
        _bind(api, folder, name, namespace, "ReadOnlyMany" if read_only else "ReadWriteMany")
    return folder


def _fill(folder: Path, copies: Sequence[Path], *, read_only: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in copies:
        unfinished = folder / f".{source.name}.unfinished"
        shutil.copyfile(source, unfinished)
        unfinished.chmod(0o644)
        unfinished.rename(folder / source.name)
    folder.chmod(0o755 if read_only else 0o1777)  # pods run as users that nobody here knows


def _bind(api: Api, folder: Path, name: str, namespace: str, access_mode: str) -> None:
    volume_path = f"/api/v1/persistentvolumes/{namespace}-{name}"
    claim_path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
    asked = api.get(claim_path)
    if asked:  # somebody made the claim already, as a user would: it stays, and gets what it asks for
        access_mode = asked["spec"]["accessModes"][0]
    existing = api.get(volume_path)
    if (
        existing and existing["status"].get("phase") == "Released"
    ):  # its claim was deleted, and it would wait for that one for ever
        api.delete(volume_path)
        until(
            lambda: api.get(volume_path) is None, what=f"the end of the old volume {volume_path}", deadline_seconds=30
        )
    volume, claim = _objects(folder, name, namespace, access_mode)
    api.apply(volume_path, volume)
    if not asked:
        api.apply(claim_path, claim)
    until(
        lambda: api.get(claim_path)["status"].get("phase") == "Bound",
        what=f"the claim {namespace}/{name}",
        deadline_seconds=30,
    )


def _objects(folder: Path, name: str, namespace: str, access_mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": [access_mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": [access_mode],
            "storageClassName": "",
            "volumeName": f"{namespace}-{name}",
            "resources": {"requests": {"storage": CAPACITY}},
        },
    }
    return volume, claim
