"""`down`, and `up` after an accident.

Takes away what a cluster of ours left on the machine, in whatever state it was left.

Everything is found by what it carries, not by what we remember: processes by their mark, containers by our cgroup,
mounts by our state folder, the bridge by its hardware address, rules by their comment. So it works the same after
SIGKILL of anything at any point. The images that containerd and buildah hold stay (`purge` takes them too): to import
them again would take minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from devcluster import commands, containers, kernel_settings, network, processes
from devcluster.addresses import NETWORK
from devcluster.errors import CommandFailed, DevclusterError
from devcluster.node import CGROUP
from devcluster.paths import Paths
from devcluster.steps import step
from devcluster.waiting import until

CGROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
CNI_RESULTS = Path("/var/lib/cni/results")


def remains(paths: Paths) -> bool:
    """Whether anything of a cluster is there, running or not."""
    found = processes.of_cluster(paths.state) or cgroups() or mounts(paths)
    return bool(found) or network.bridge_is_ours() or paths.etcd.exists() or paths.kernel_settings.exists()


def down(paths: Paths) -> None:
    with step("cluster") as current:
        if remains(paths):
            remove(paths)
            current.note("taken down; its images are kept for the next")
        else:
            current.skip("not running")
    if paths.state.exists():
        end_orphaned_builds(paths)


def purge(paths: Paths) -> None:
    down(paths)
    with step("state folder, images included"):
        if paths.state.exists():
            if not end_orphaned_builds(paths):
                raise DevclusterError("images are being built; wait for the end of that, or interrupt it")
            shutil.rmtree(paths.state)


def remove(paths: Paths) -> None:
    """Pods first, so that containerd itself ends them; each later step ends what an earlier one could not."""
    parts = processes.leaders(paths.state)
    # Not etcd yet: it waits for its clients, and kube-apiserver for an etcd that is gone. The kubelet now: it
    # would start the pods again.
    processes.stop(process for part, process in parts.items() if part not in ("etcd", "containerd"))
    if "containerd" in parts:
        with contextlib.suppress(CommandFailed):  # it may hang, or be half started
            containers.remove_all(paths)
    processes.stop(processes.of_cluster(paths.state))
    kill_cgroups()
    unmount(mounts(paths))
    if shutil.which("iptables", path=commands.SEARCH_PATH):
        network.remove_rules()
    network.remove_bridge()
    kernel_settings.restore(paths)
    remove_files(paths)


def cgroups() -> list[Path]:
    """Ours in every controller of version 1, or in the one tree of version 2; those below come first."""
    roots = [CGROUPS / CGROUP, *CGROUPS.glob(f"*/{CGROUP}")]
    return [Path(folder) for root in roots for folder, _, _ in os.walk(root, topdown=False)]


def make_cgroups() -> None:
    """The kubelet wants its root cgroup to be there in every controller."""
    trees = (
        [CGROUPS]
        if (CGROUPS / "cgroup.controllers").exists()
        else [tree for tree in CGROUPS.iterdir() if (tree / "tasks").exists()]
    )
    for tree in trees:
        (tree / CGROUP).mkdir(exist_ok=True)
        _copy_cpuset(tree)


def _copy_cpuset(tree: Path) -> None:
    """A new cpuset is empty, and takes no process until it is told its processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        ours = tree / CGROUP / name
        if ours.exists() and not ours.read_text().strip() and (tree / name).exists():
            ours.write_text((tree / name).read_text())


def kill_cgroups() -> None:
    """Containers whose shim was killed have no other parent left."""

    def gone() -> bool:
        for pid in _members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not _members()

    until(gone, what="the end of the containers' processes", deadline_seconds=20)
    for folder in cgroups():
        until(lambda folder=folder: _rmdir(folder), what=f"the removal of {folder}", deadline_seconds=5)  # type: ignore[misc]


def _members() -> set[int]:
    pids: set[int] = set()
    for folder in cgroups():
        with contextlib.suppress(OSError):
            pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return pids - {0}


def _rmdir(folder: Path) -> bool:
    """A cgroup whose last process has just ended is busy for a moment."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def mounts(paths: Paths) -> list[Path]:
    """The cluster's, below the state folder."""
    return [point for point in _mounts_below(paths.state) if paths.buildah not in point.parents]


def image_mounts(paths: Paths) -> list[Path]:
    """buildah's own."""
    return _mounts_below(paths.buildah)


def _mounts_below(folder: Path) -> list[Path]:
    """The last one first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]
    return [point for point in reversed(points) if folder in point.parents]


def images_lock(paths: Paths) -> Path:
    """Held by whoever builds images; its mounts are in use then."""
    return paths.state / "images.lock"


def end_orphaned_builds(paths: Paths) -> bool:
    """What a killed build left running and mounted. False: one is alive, has the lock, and cleans up after itself."""
    with images_lock(paths).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        processes.stop(processes.builders(paths.state))
        unmount(image_mounts(paths))
    return True


def unmount(points: list[Path]) -> None:
    for point in points:
        if not commands.succeeds(["umount", point]):
            commands.run(["umount", "--lazy", point])


def remove_files(paths: Paths) -> None:
    """etcd's data, the volumes that it knew and all that describes pods.

    Logs stay until the next `up`: somebody may want to know what went wrong.
    """
    for path in _shim_sockets(paths):
        path.unlink(missing_ok=True)
    shims = [paths.containerd / "io.containerd.runtime.v2.task"]
    for folder in (paths.kubelet, paths.run, paths.pod_logs, paths.volumes, *shims, paths.etcd):
        if folder.exists():
            shutil.rmtree(folder)
    for link in CONTAINER_LOG_LINKS.glob("*.log"):
        if link.is_symlink() and paths.state in link.readlink().parents:
            link.unlink(missing_ok=True)
    # Where the kubelet listens for device plugins, whatever its folder is.
    DEVICE_PLUGINS.joinpath("kubelet.sock").unlink(missing_ok=True)
    for result in CNI_RESULTS.glob(f"{NETWORK}-*"):
        result.unlink(missing_ok=True)


def _shim_sockets(paths: Paths) -> Iterator[Path]:
    """A shim listens outside our folders, at a path that it writes into its own."""
    for address in (paths.run / "containerd").glob("io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            yield Path(address.read_text().strip().removeprefix("unix://"))
