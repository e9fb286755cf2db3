"""`up`: from whatever an earlier run left to a cluster whose node takes pods.

Each step is skipped where it is done.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from devcluster import (
    binary,
    containers,
    control_plane,
    credentials,
    facts,
    kernel_settings,
    network,
    node,
    objects,
    packages,
    pause,
    preflight,
    processes,
    teardown,
)
from devcluster.api import Api
from devcluster.errors import Refused
from devcluster.paths import Paths
from devcluster.processes import Daemon
from devcluster.steps import say, step
from devcluster.waiting import until

# In the order in which they are started. Without the first three nothing of a cluster is worth keeping.
PARTS = (
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
)
VITAL = frozenset(PARTS[:3])


def check(paths: Paths) -> None:
    problems = preflight.judge(facts.gather(paths))
    if problems:
        raise Refused(problems, preflight.WAY_OUT)


def check_disk(paths: Paths) -> None:
    """For images, which need no cluster."""
    problems = preflight.judge_disk(facts.gather(paths))
    if problems:
        raise Refused(problems, preflight.WAY_OUT)


def up(paths: Paths) -> None:
    """The caller holds the lock and has called `check`."""
    packages.ensure()
    program = binary.ensure(paths)
    started = time.monotonic()
    clear_ruins(paths)
    make_folders(paths)
    start_network(paths)
    start_control_plane(paths, program)
    start_node(paths, program)
    with step("objects: cluster DNS, two GPUs that are not there"):
        give_objects(paths)
    say(f"cluster is up, {time.monotonic() - started:.1f} s; kubeconfig: {paths.kubeconfig}")


def clear_ruins(paths: Paths) -> None:
    """An earlier cluster of which a vital part is gone (killed, or the machine was started anew) is taken away first."""
    running = processes.leaders(paths.state)
    if not running.keys() >= VITAL and teardown.remains(paths):
        with step("remains of an earlier cluster") as current:
            teardown.remove(paths)
            current.note("taken away")
    if "etcd" not in running and paths.logs.exists():
        shutil.rmtree(paths.logs)  # of the earlier cluster


def make_folders(paths: Paths) -> None:
    for folder in (paths.config, paths.logs, paths.run):
        folder.mkdir(parents=True, exist_ok=True)
    paths.volumes.mkdir(exist_ok=True)
    paths.volumes.chmod(0o1777)  # containers of any user write here


def start_network(paths: Paths) -> None:
    with step("bridge and packet filter"):
        kernel_settings.remember(paths)
        network.make_bridge()
        kernel_settings.allow_forwarding()
        network.make_rules()


def start_control_plane(paths: Paths, program: Path) -> None:
    credentials.ensure_keys(paths)
    _start(paths, control_plane.etcd(paths, program))
    _start(paths, control_plane.api_server(paths, program), ready=Api(paths).ready)
    credentials.write_kubeconfigs(paths)
    _start(paths, control_plane.controller_manager(paths, program))
    _start(paths, control_plane.scheduler(paths, program))


def start_node(paths: Paths, program: Path) -> None:
    start_containerd(paths)
    if "kubelet" not in processes.leaders(paths.state) and containers.remove_all(paths):
        # containerd remembers the pods of the earlier cluster only until it starts anew.
        processes.stop([processes.leaders(paths.state)["containerd"]])
        start_containerd(paths)
    pause.ensure(paths)
    teardown.make_cgroups()
    _start(paths, node.kubelet(paths, program))
    _start(paths, network.proxy(paths, program))
    _start(paths, network.coredns(paths, program))


def start_containerd(paths: Paths) -> None:
    _start(paths, node.containerd(paths), ready=lambda: containers.answers(paths))


def _start(paths: Paths, daemon: Daemon, *, ready: Callable[[], bool] | None = None) -> None:
    log = paths.logs / f"{daemon.part}.log"
    with step(daemon.part) as current:
        if not processes.ensure(daemon, state=paths.state, log=log):
            current.skip("already running")
        if ready is not None:
            processes.wait_ready(daemon.part, ready, state=paths.state, log=log)


def give_objects(paths: Paths) -> None:
    api = Api(paths)
    objects.apply(api)
    kubelet_log = paths.logs / "kubelet.log"
    processes.wait_ready("kubelet", lambda: api.get(objects.NODE_PATH) is not None, state=paths.state, log=kubelet_log)
    if objects.gpus(api, "capacity") != objects.GPUS:
        objects.add_gpus(api)
    _wait(lambda: objects.node_ready(api), "the node is Ready", kubelet_log)
    _wait(lambda: objects.gpus(api, "allocatable") == objects.GPUS, "the node's GPUs are allocatable", kubelet_log)
    _wait(
        lambda: objects.namespaces_ready(api), "the default service account", paths.logs / "kube-controller-manager.log"
    )


def _wait(condition: Callable[[], bool], what: str, log: Path) -> None:
    until(condition, what=what, deadline_seconds=60, advice=lambda: processes.tail(log))


def is_up(paths: Paths) -> bool:
    api = Api(paths)
    with contextlib.suppress(OSError):
        return processes.leaders(paths.state).keys() >= set(PARTS) and api.ready() and objects.node_ready(api)
    return False
