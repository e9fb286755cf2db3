"""The real cluster: up, down, and both after SIGKILL of anything at any point.

These tests start the cluster anew, whatever runs in it; conftest.py lets them run first. They leave it up, as the
tests after them want it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import cluster, commands, network, objects, processes, teardown, volumes, waiting
from devcluster.api import Api
from devcluster.node import PAUSE_IMAGE
from devcluster.paths import REPOSITORY, Paths

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
]
PATHS = Paths.from_environment()
POD = "/api/v1/namespaces/default/pods/lifecycle"


@pytest.fixture(autouse=True, scope="module")
def _leave_it_up() -> Iterator[None]:
    yield
    devcluster("up")


@pytest.fixture
def _up() -> None:
    devcluster("up")


def start(command: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "devcluster", command]
    return subprocess.Popen(argv, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def devcluster(command: str) -> str:
    """What it said. It must succeed."""
    with start(command) as process:
        said = process.stderr.read() if process.stderr else ""
    assert process.returncode == 0, said
    return said


def assert_is_up() -> None:
    """Ready, and able to run a pod to which a name and a service mean something."""
    assert cluster.is_up(PATHS)
    assert objects.gpus(Api(PATHS), "allocatable") == objects.GPUS
    run_pod()


def run_pod() -> None:
    """With a volume, so that there are mounts to take away; it asks for a GPU."""
    api = Api(PATHS)
    volumes.ensure(PATHS, "lifecycle", namespace="default", copies=[], read_only=False)
    container = {
        "name": "pause",
        "image": PAUSE_IMAGE,
        "resources": {"limits": {objects.GPU: "1", "memory": "64Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "lifecycle"}}],
    }
    api.apply(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lifecycle"}, "spec": spec})
    waiting.until(lambda: api.get(POD)["status"].get("phase") == "Running", what="the pod", deadline_seconds=60)


def assert_nothing_is_left() -> None:
    assert processes.find(PATHS.state) == []
    assert teardown.cgroups() == []
    assert teardown.mounts(PATHS) == []
    assert teardown.image_mounts(PATHS) == []
    assert not network.bridge_is_ours()
    assert "veth" not in commands.run(["ip", "-oneline", "link"])
    for family in ("iptables", "ip6tables"):
        saved = commands.run([f"{family}-save"])
        assert "KUBE-" not in saved
        assert "CNI-" not in saved
        assert "bananas" not in saved
    for folder in ("/run/netns", "/run/containerd/s"):
        assert not Path(folder).exists() or list(Path(folder).iterdir()) == []
    assert not PATHS.etcd.exists()
    assert not PATHS.kernel_settings.exists()
    assert "containerd-shim" not in running_programs()


def running_programs() -> set[str]:
    """Names of all processes that are not zombies."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes():
                found.add((entry / "comm").read_text().strip())
    return found


def kill_everything() -> None:
    """At one blow, as a machine's end of life does it to a container: daemons, shims and all."""
    victims = processes.find(PATHS.state)
    assert {process.part for process in victims} >= set(cluster.PARTS)
    for process in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    waiting.until(lambda: not processes.find(PATHS.state), what="the end of all", deadline_seconds=10)


def kill_when_it_says(command: str, sign: str) -> bool:
    """SIGKILL to `command` as soon as it has printed `sign`; False when it ended without."""
    with start(command) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if sign in line:
                process.kill()
                return True
    return False


@pytest.mark.usefixtures("_up")
def test_up_twice_is_harmless_and_quick() -> None:
    run_pod()
    before = (processes.leaders(PATHS.state), Api(PATHS).get(POD)["metadata"]["uid"])
    started = time.monotonic()
    devcluster("up")
    assert time.monotonic() - started < 5
    assert (processes.leaders(PATHS.state), Api(PATHS).get(POD)["metadata"]["uid"]) == before


@pytest.mark.usefixtures("_up")
def test_up_starts_a_part_that_was_killed_and_keeps_the_objects() -> None:
    run_pod()
    uid = Api(PATHS).get(POD)["metadata"]["uid"]
    for part in ("kube-scheduler", "kubelet"):
        os.kill(processes.leaders(PATHS.state)[part].pid, signal.SIGKILL)
    devcluster("up")
    assert_is_up()
    assert Api(PATHS).get(POD)["metadata"]["uid"] == uid


@pytest.mark.usefixtures("_up")
def test_down_leaves_nothing_behind_and_a_second_down_has_nothing_to_do() -> None:
    run_pod()
    devcluster("down")
    assert_nothing_is_left()
    assert "not running" in devcluster("down")


@pytest.mark.usefixtures("_up")
def test_up_after_everything_was_killed_starts_afresh() -> None:
    run_pod()
    kill_everything()
    devcluster("up")
    assert Api(PATHS).get(POD) is None
    assert_is_up()


@pytest.mark.usefixtures("_up")
def test_down_after_everything_was_killed_leaves_nothing_behind() -> None:
    run_pod()
    kill_everything()
    devcluster("down")
    assert_nothing_is_left()


@pytest.mark.parametrize("step", ["bridge", "etcd", "kube-apiserver", "containerd", "kubelet", "coredns"])
def test_up_after_up_was_killed_goes_on(step: str) -> None:
    devcluster("down")
    assert kill_when_it_says("up", f"{step}")
    devcluster("up")
    assert_is_up()


def test_down_after_up_was_killed_leaves_nothing_behind() -> None:
    devcluster("down")
    assert kill_when_it_says("up", "kubelet")
    devcluster("down")
    assert_nothing_is_left()


@pytest.mark.parametrize("delay_seconds", [0.2, 0.5, 1.0])
def test_down_after_down_was_killed_leaves_nothing_behind(delay_seconds: float) -> None:
    devcluster("up")
    run_pod()
    with start("down") as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay_seconds)
        process.kill()
    devcluster("down")
    assert_nothing_is_left()


def test_two_ups_at_once_make_one_cluster() -> None:
    devcluster("down")
    both = [start("up"), start("up")]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert_is_up()


@pytest.fixture
def foreign_address() -> Iterator[Callable[[str], None]]:
    taken: list[str] = []

    def take(address: str) -> None:
        commands.run(["ip", "address", "add", address, "dev", "lo"])
        taken.append(address)

    yield take
    for address in taken:
        commands.run(["ip", "address", "delete", address, "dev", "lo"])


@pytest.mark.parametrize("address", ["10.244.0.7/32", "10.0.0.7/32"])
def test_an_address_range_in_use_is_refused_before_anything_is_changed(
    address: str, foreign_address: Callable[[str], None]
) -> None:
    devcluster("down")
    foreign_address(address)
    with start("up") as process:
        said = process.stderr.read() if process.stderr else ""
    assert process.returncode == 2
    assert address in said
    assert "IMAGE_PREFIX" in said
    assert_nothing_is_left()


def test_a_bridge_of_somebody_else_is_refused_and_kept() -> None:
    devcluster("down")
    commands.run(["ip", "link", "add", "cni0", "type", "bridge"])
    try:
        with start("up") as process:
            said = process.stderr.read() if process.stderr else ""
        assert process.returncode == 2
        assert "cni0" in said
        devcluster("down")
        assert commands.succeeds(["ip", "link", "show", "cni0"])
    finally:
        commands.run(["ip", "link", "delete", "cni0"])


def test_a_user_without_root_is_told_so() -> None:
    # Nobody may not even read this Python where it lies below root's home: it gives root up after it has begun.
    program = "import os; from devcluster.cli import main; os.setuid(65534); raise SystemExit(main(['up']))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "root is needed" in done.stderr
