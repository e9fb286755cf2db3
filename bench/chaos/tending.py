"""Keeps the cluster alive under chaos: starts again what was killed, wakes what was paused, brings the node and its GPUs back.

A thread that looks every half second. It starts parts one by one as devcluster does, and never calls `up`, which takes a
cluster without etcd away.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from bench.kube import Kube, RefusedError
from devcluster import addresses, binary, control_plane, node, objects, processes
from devcluster.paths import Paths
from devcluster.processes import Daemon

NODE = f"/api/v1/nodes/{addresses.NODE}"
EVERY_SECONDS = 0.5


class Tender:
    """Of one run."""

    def __init__(self, paths: Paths, gpus: int) -> None:
        """`gpus`: that the node says it has."""
        self._paths = paths
        self._gpus = gpus
        self._kube = Kube(paths, patience_seconds=3)
        program = binary.ensure(paths)
        makers: tuple[Callable[..., Daemon], ...] = (
            control_plane.etcd,
            control_plane.api_server,
            control_plane.controller_manager,
            control_plane.scheduler,
            node.kubelet,
        )
        self._daemons = {daemon.part: daemon for daemon in (make(paths, program) for make in makers)}
        self._lock = threading.Lock()
        self._paused: dict[int, float] = {}
        self._node_back_at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Tender":
        """Begins to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Everything is alive again when this returns, with the GPUs that devcluster gives the node."""
        self._stopped.set()
        self._thread.join(60)
        self._wake(everything=True)
        self._gpus = objects.GPUS
        deadline = time.monotonic() + 60
        while not self._look() and time.monotonic() < deadline:
            time.sleep(EVERY_SECONDS)

    # --- breaking, for `faults` ---

    def kill(self, part: str) -> bool:
        """SIGKILL to a part; false where it does not run just now."""
        process = processes.leaders(self._paths.state).get(part)
        if process is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        return True

    def pause(self, part: str, seconds: float) -> bool:
        """SIGSTOP to a part, SIGCONT after so many seconds."""
        process = processes.leaders(self._paths.state).get(part)
        if process is None:
            return False
        with self._lock:
            self._paused[process.pid] = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
        return True

    def delete_node(self, seconds: float) -> bool:
        """Deletes the Node object; it comes back after so many seconds with a kubelet that starts anew."""
        if self._kube.get(NODE) is None:
            return False
        self._kube.delete(NODE)
        with self._lock:
            self._node_back_at = time.monotonic() + seconds
        return True

    # --- mending ---

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            self._look()

    def _look(self) -> bool:
        """One look; true where nothing is missing."""
        self._wake(everything=False)
        running = processes.leaders(self._paths.state)
        missing = [daemon for part, daemon in self._daemons.items() if part not in running]
        for daemon in missing:
            processes.ensure(daemon, state=self._paths.state, log=self._paths.logs / f"{daemon.part}.log")
        try:
            return not missing and self._tend_node()
        except (RefusedError, OSError):
            return False  # the API server is away

    def _wake(self, *, everything: bool) -> None:
        with self._lock:
            due = [pid for pid, until in self._paused.items() if everything or time.monotonic() >= until]
            for pid in due:
                del self._paused[pid]
        for pid in due:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _tend_node(self) -> bool:
        found = self._kube.get(NODE)
        if found is None:
            with self._lock:
                is_due = self._node_back_at is None or time.monotonic() >= self._node_back_at
                if is_due:
                    self._node_back_at = time.monotonic() + 15  # for the kubelet to come up and register
            if is_due:
                self.kill("kubelet")
            return False
        if int(found["status"].get("capacity", {}).get(objects.GPU, "0")) != self._gpus:
            self._kube.patch(
                f"{NODE}/status",
                {"status": {"capacity": {objects.GPU: str(self._gpus)}}},
                "application/strategic-merge-patch+json",
            )
            return False
        return not found["spec"].get("taints")
