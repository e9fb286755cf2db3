"""When containers really started and ended, from containerd's own events: to the millisecond, and told by nobody under test.

A pod's status has seconds, and is written by a kubelet that chaos kills.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from devcluster import containers, node
from devcluster.paths import Paths


@dataclass(frozen=True)
class Container:
    """A container of a pod. Times are seconds since 1970; `started` None: not yet, `ended` None: it runs."""

    id: str
    namespace: str
    pod: str
    name: str
    pid: int = 0
    started: float | None = None
    ended: float | None = None

    def ran_at(self, when: float) -> bool:
        """Whether its process lived at that time."""
        return self.started is not None and self.started <= when and (self.ended is None or when < self.ended)


class ContainerEvents:
    """Follows containerd; `containers()` is what has been seen."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._found: dict[str, Container] = {}
        self._stopped = threading.Event()
        self._follower: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ContainerEvents":
        """Starts following."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops following."""
        self._stopped.set()
        if self._follower is not None:
            self._follower.terminate()
        self._thread.join(10)

    def containers(self, namespaces: Iterable[str], name: str) -> list[Container]:
        """Containers of that name in these namespaces' pods, in the order of their starts."""
        wanted = set(namespaces)
        with self._lock:
            found = [c for c in self._found.values() if c.namespace in wanted and c.name == name]
        return sorted(found, key=lambda c: c.started or 0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            command = [*containers.command(self._paths), "events"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as follower:
                self._follower = follower
                assert follower.stdout is not None
                self._read(follower.stdout)
            self._stopped.wait(0.5)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            if self._stopped.is_set():
                return
            event = parse(line)
            if event is None:
                continue
            topic, when, body = event
            container = str(body.get("container_id", ""))
            if topic == "/tasks/start":
                self._put(container, started=when, pid=int(str(body.get("pid", 0))))
            elif topic == "/tasks/exit" and body.get("id") == container:  # not of an exec in it
                self._put(container, ended=when)

    def _put(self, container: str, **changes: float) -> None:
        with self._lock:
            known = self._found.get(container)
        known = known or self._look(container)
        if known is not None:
            with self._lock:
                self._found[container] = replace(known, **changes)  # type: ignore[arg-type]

    def _look(self, container: str) -> Container | None:
        done = subprocess.run(
            [*containers.command(self._paths), "containers", "info", container],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            labels = json.loads(done.stdout)["Labels"]
            return Container(
                container,
                labels["io.kubernetes.pod.namespace"],
                labels["io.kubernetes.pod.name"],
                labels["io.kubernetes.container.name"],
            )
        except (ValueError, KeyError, TypeError):
            return None  # a sandbox, or gone already


def parse(line: str) -> tuple[str, float, dict[str, object]] | None:
    """(topic, seconds since 1970, body) of a line of `ctr events`; None for what is none."""
    parts = line.split(" ", 6)
    if len(parts) < 7 or not parts[5].startswith("/"):
        return None
    try:
        body = json.loads(parts[6])
        stamp = str(body["exited_at"]) if parts[5] == "/tasks/exit" else f"{parts[0]}T{parts[1]}Z"
        return parts[5], seconds(stamp), body
    except (ValueError, KeyError, TypeError):
        return None


def seconds(stamp: str) -> float:
    """Seconds since 1970 of an RFC 3339 stamp, which in Go has up to nine digits of a second."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def wait_until(condition: Callable[[], object], *, seconds: float, what: str, every: float = 0.5) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def process_in_pod(*arguments: str) -> int:
    """Id of the process of a pod of this cluster that was started with these arguments after the program's name.

    Raises:
        LookupError: there is none.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                in_pod = node.CGROUP in (entry / "cgroup").read_text()
            except OSError:
                continue  # it ended meanwhile
            if in_pod and argv[1:] == [argument.encode() for argument in arguments]:
                return int(entry.name)
    raise LookupError(f"no process of a pod was started with {' '.join(arguments)}")


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident_bytes(pid: int) -> int:
    """Memory of a process that is resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
