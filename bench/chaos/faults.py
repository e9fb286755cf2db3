"""Each kind of fault, done. `run` calls `strike`; what it struck, and what ran meanwhile, is written down as evidence."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos.proxy import Proxy
from bench.chaos.schedule import API, PROCESSES, Kind, Strike
from bench.chaos.tending import Tender
from bench.containers import Container, ContainerEvents
from bench.kube import Kube, Object, RefusedError

GPU = "nvidia.com/gpu"
PRIORITY = "chaos-urgent"
SYSTEM = "bananas-system"
PREEMPTION_SECONDS = 6.0
ONLY_PROCESS = 0.3
"""Part of the kills of operator and predictor after which the kubelet starts the container again, ever more slowly; else the
pod is gone, too, and its controller makes another at once."""


@dataclass
class Record:
    """A strike that was made."""

    time: float
    """Seconds since 1970."""
    kind: Kind
    target: str
    """Empty: there was nothing to strike."""
    hits: list[float] = field(default_factory=list)
    """When it struck something: at once, or each request and watch of an API fault."""


class Faults:
    """Strikes."""

    def __init__(
        self,
        kube: Kube,
        events: ContainerEvents,
        tender: Tender,
        proxy_of: Callable[[Callable[[Kind], None]], Proxy],
        namespace: str,
        gpus: int,
    ) -> None:
        self.records: list[Record] = []
        self._kube = kube
        self._events = events
        self._tender = tender
        self._namespace = namespace
        self._gpus = gpus
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.proxy = proxy_of(self._hit)

    def strike(self, strike: Strike) -> Record:
        """Does it; a target that is not there is no strike."""
        record = Record(time.time(), strike.kind, "")
        with self._lock:
            self.records.append(record)
        try:
            record.target = self._do(strike, record)
        except (RefusedError, OSError) as error:
            print(f"  {strike.kind}: not done: {error}", flush=True)
        if record.target and strike.kind not in API and strike.kind is not Kind.PREEMPTION:
            record.hits.append(record.time)
        return record

    def trials(self) -> list[Container]:
        """Containers of trials that run now."""
        now = time.time()
        return [c for c in self._events.containers([self._namespace], "trainer") if c.ran_at(now)]

    def _hit(self, kind: Kind) -> None:
        with self._lock:
            last = next((record for record in reversed(self.records) if record.kind is kind), None)
            if last is not None:
                last.hits.append(time.time())

    def _do(self, strike: Strike, record: Record) -> str:  # noqa: PLR0911 - a table
        if strike.kind in API:
            self.proxy.strike(strike.kind)
            return "proxy"
        if strike.kind in PROCESSES:
            return self._process(strike)
        match strike.kind:
            case Kind.OPERATOR:
                return self._pod(self._running(SYSTEM, "operator"), strike)
            case Kind.PREDICTOR:
                return self._pod(self._running(self._namespace, "predictor"), strike)
            case Kind.TRIAL:
                found = self.trials()
                return self._kill(found[strike.pick(len(found))]) if found else ""
            case Kind.NODE:
                seconds = strike.pause or 0
                return f"away for {seconds:.1f} s" if self._tender.delete_node(seconds) else ""
            case _:
                return self._preempt(record)

    def _process(self, strike: Strike) -> str:
        part = str(strike.kind)
        if strike.pause is None:
            return "killed" if self._tender.kill(part) else ""
        return f"paused for {strike.pause:.1f} s" if self._tender.pause(part, strike.pause) else ""

    def _running(self, namespace: str, name: str) -> list[Container]:
        now = time.time()
        return [c for c in self._events.containers([namespace], name) if c.ran_at(now)]

    def _pod(self, found: list[Container], strike: Strike) -> str:
        if not found:
            return ""
        place = strike.choice * len(found)
        chosen = found[min(int(place), len(found) - 1)]
        target = self._kill(chosen)
        if target and place % 1 >= ONLY_PROCESS:
            self._kube.delete(f"/api/v1/namespaces/{chosen.namespace}/pods/{chosen.pod}", grace_seconds=0)
            target += " and its pod"
        return target

    @staticmethod
    def _kill(container: Container) -> str:
        with contextlib.suppress(OSError):
            if container.id in Path(f"/proc/{container.pid}/cgroup").read_text():
                os.kill(container.pid, signal.SIGKILL)
                return container.pod
        return ""

    def _preempt(self, record: Record) -> str:
        """A pod of higher priority that wants one GPU more than are free, for some seconds.

        It has struck if the scheduler found it a place: there was none without a victim.
        """
        running = len(self.trials())
        if not running:
            return ""
        name = f"urgent-{next(self._numbers)}"
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        self._kube.create(path, urgent_pod(name, min(self._gpus, self._gpus - running + 1)))

        def end() -> None:
            with contextlib.suppress(RefusedError, OSError):
                pod = self._kube.get(f"{path}/{name}") or {}
                self._kube.delete(f"{path}/{name}", grace_seconds=0)
                if pod.get("spec", {}).get("nodeName") or pod.get("status", {}).get("nominatedNodeName"):
                    record.hits.append(record.time)

        timer = threading.Timer(PREEMPTION_SECONDS, end)
        timer.daemon = True
        timer.start()
        return name


def urgent_pod(name: str, gpus: int) -> Object:
    """A pod that preempts."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"chaos": "urgent"}},
        "spec": {
            "priorityClassName": PRIORITY,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "urgent",
                    "image": "localhost/pause:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {"limits": {GPU: str(gpus)}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
