"""What the cluster offers to those who use it: volumes, GPUs that are not there, the audit log, `status` and `env`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import objects, volumes
from devcluster.api import Api
from devcluster.cluster import PARTS
from devcluster.errors import DevclusterError
from devcluster.paths import REPOSITORY, Paths

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root")]
PATHS = Paths.from_environment()
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"


def devcluster(*arguments: str) -> str:
    command = [sys.executable, "-m", "devcluster", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True, scope="module")
def api() -> Iterator[Api]:
    devcluster("up")
    api = Api(PATHS)
    yield api
    for name in ("shared", "input"):
        api.delete(f"{CLAIMS}/{name}")
        api.delete(f"/api/v1/persistentvolumes/default-{name}")


def test_a_volume_holds_what_was_copied_and_pods_of_any_user_may_write(api: Api, tmp_path: Path) -> None:
    source = tmp_path / "digits.npz"
    source.write_bytes(b"data")
    source.chmod(0o600)
    folder = Path(devcluster("volume", "shared", "--copy", str(source)).strip())
    assert (folder / "digits.npz").read_bytes() == b"data"
    assert (folder / "digits.npz").stat().st_mode & 0o777 == 0o644
    assert folder.stat().st_mode & 0o7777 == 0o1777
    claim = api.get(f"{CLAIMS}/shared")
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["accessModes"] == ["ReadWriteMany"]


def test_a_read_only_volume_is_writable_by_root_alone(api: Api) -> None:
    folder = Path(devcluster("volume", "input", "--read-only").strip())
    assert folder.stat().st_mode & 0o7777 == 0o755
    assert api.get(f"{CLAIMS}/input")["spec"]["accessModes"] == ["ReadOnlyMany"]


def test_a_volume_in_a_namespace_that_is_not_there_is_refused() -> None:
    with pytest.raises(DevclusterError, match="kubectl create namespace nowhere"):
        volumes.ensure(PATHS, "shared", namespace="nowhere", copies=[], read_only=False)


def test_a_volume_of_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(DevclusterError, match=r"/no/such\.npz"):
        volumes.ensure(PATHS, "shared", namespace="default", copies=[Path("/no/such.npz")], read_only=False)


def test_the_node_offers_two_gpus(api: Api) -> None:
    assert objects.gpus(api, "allocatable") == objects.GPUS


def test_a_write_is_in_the_audit_log_when_it_is_answered(api: Api) -> None:
    name = f"audited-{os.getpid()}"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    api.apply(f"/api/v1/namespaces/default/configmaps/{name}", body)
    lines = [json.loads(line) for line in PATHS.audit_log.read_text().splitlines() if name in line]
    api.delete(f"/api/v1/namespaces/default/configmaps/{name}")
    (line,) = [line for line in lines if line["verb"] == "patch"]
    assert line["user"]["username"] == "bananas-admin"
    assert line["level"] == "Metadata"
    assert line["responseStatus"]["code"] == 201


def test_status_names_everything_that_a_test_needs() -> None:
    status = json.loads(devcluster("status", "--json"))
    assert status["up"] is True
    assert set(status["processes"]) == set(PARTS)
    assert all(
        Path(status[name]).exists() for name in ("kubeconfig", "kubectl", "audit_log", "volumes", "containerd_socket")
    )


def test_env_makes_kubectl_use_the_cluster() -> None:
    shell = f"{devcluster('env')}kubectl get nodes --output name"
    found = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "node/node1"
