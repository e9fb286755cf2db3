"""`make bench-operator`: how long a free slot waits, beside a plain loop, and how quiet the operator is.

On the development cluster, with the operator as shipped. A search on the toy table (strategy bananas, so that fits lie
between the trials) and a loop that does nothing but create the next Job run side by side, so that whatever else the
machine does falls on both. Then an idle search is watched. Times are containerd's, writes are those of the audit log.
Writes bench/results/operator.json.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import plain_loop
from bench.containers import (
    Container,
    ContainerEvents,
    cpu_seconds,
    process_in_pod,
    resident_bytes,
    seconds,
    wait_until,
)
from bench.kube import NAS, Kube, Object
from bench.machine import processor
from bench.slots import Waits, count_writes, most_in_a_minute, ours, progress_writes, slot_waits
from devcluster.paths import Paths

SYSTEM = "bananas-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:bananas-operator"
RATIO, WRITES_PER_TRIAL, CPU_PART, MEMORY_MB = 1.3, 6.0, 0.01, 150


def main() -> int:
    """Exit code 0 if every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=120, help="of the search, and Jobs of the loop")
    parser.add_argument("--slots", type=int, default=4, help="of each")
    parser.add_argument("--seconds", type=float, default=10, help="that a trial lasts")
    parser.add_argument("--idle-seconds", type=float, default=60, help="that the idle operator is watched")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    paths = Paths.from_environment()
    bench = Bench(paths, arguments)
    try:
        result = bench.run()
    finally:
        bench.clean()
    result = {"machine": machine(), "command": "make bench-operator: " + " ".join(sys.argv[1:]), **result}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "operator.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{arguments.out / 'operator.json'}")
    return 0 if all(target["reached"] for target in result["targets"]) else 1


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
    }


class Bench:
    """One run."""

    def __init__(self, paths: Paths, arguments: argparse.Namespace) -> None:
        self._paths = paths
        self._given = arguments
        self._kube = Kube(paths)
        self._namespace = f"bench-{int(time.time()) % 1_000_000}"
        self._apart = f"{self._namespace}-long"
        """So that every write of ours in the first namespace is one for the search that is measured."""

    def run(self) -> dict[str, Any]:
        """Measures everything."""
        for name in (self._namespace, self._apart):
            self._kube.create("/api/v1/namespaces", namespace(name))
        with ContainerEvents(self._paths) as events:
            since = self._paths.audit_log.stat().st_size
            long = self._long_search()
            spans = self._side_by_side(events)
            writes = self._writes(since)
            progress = self._progress(since, long)
            idle = self._idle()
        search, plain = (Waits.of(slot_waits(spans[name], self._given.slots)) for name in ("search", "plain"))
        targets = [
            target("slot waits, median, search / plain loop", search.median / plain.median, RATIO),
            target("API writes of ours for a trial, with all of its search", writes["per_trial"], WRITES_PER_TRIAL),
            target("progress writes, most in a minute of one trial", progress, 1),
            target("writes of an idle search", idle["writes"], 0),
            target("CPU of the idle operator, part of a core", idle["cpu"], CPU_PART, strict=True),
            target("memory of the operator, MB", idle["memory_mb"], MEMORY_MB, strict=True),
        ]
        print(
            f"\nslot waits, s     n  median    p95\nsearch        {search.count:5d} {search.median:7.3f} {search.p95:6.3f}"
        )
        print(f"plain loop    {plain.count:5d} {plain.median:7.3f} {plain.p95:6.3f}\n")
        return {
            "waits": {"search": vars(search), "plain": vars(plain)},
            "writes": writes,
            "idle": idle,
            "targets": targets,
        }

    # --- slots ---

    def _side_by_side(self, events: ContainerEvents) -> dict[str, list[tuple[float, float]]]:
        """(start, end) of every trial's container, and of the loop's."""
        self._kube.create(
            searches(self._namespace),
            table_search("bench", self._given.trials, self._given.slots, self._given.seconds),
        )
        job = self._first_job()
        loop = plain_loop.PlainLoop(
            self._paths,
            plain_loop.manifest_of(job, self._namespace),
            slots=self._given.slots,
            total=self._given.trials,
        )
        thread = threading.Thread(target=plain_loop.run, args=(loop,), daemon=True)
        thread.start()
        limit = 60 + 4 * self._given.seconds * self._given.trials / self._given.slots
        wait_until(lambda: self._complete("bench"), seconds=limit, what="the search is Complete")
        thread.join(limit)
        wait_until(lambda: not self._jobs(), seconds=120, what="the Jobs of the search are deleted")
        found = events.containers([self._namespace], "trainer")
        return {
            "search": [span(c) for c in found if c.pod.startswith("bench-") and c.ended],
            "plain": [span(c) for c in found if c.pod.startswith("plain-") and c.ended],
        }

    def _first_job(self) -> Object:
        found: list[Object] = []

        def look() -> bool:
            found[:] = self._jobs()
            return bool(found)

        wait_until(look, seconds=120, what="the first Job of the search", every=0.1)
        return found[0]

    def _jobs(self) -> list[Object]:
        path = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        return self._kube.list(path, "nas.bananas.dev/search=bench")

    def _complete(self, name: str, where: str | None = None) -> bool:
        search = self._kube.get(f"{searches(where or self._namespace)}/{name}") or {}
        return (search.get("status") or {}).get("phase") == "Complete"

    # --- writes ---

    def _long_search(self) -> str:
        """A trial that lasts minutes and posts progress twice a minute and more."""
        self._kube.create(searches(self._apart), table_search("long", 1, 1, 150, strategy="random"))
        return "long-0"

    def _writes(self, since: int) -> dict[str, Any]:
        writes = count_writes(self._audit(since, self._namespace))
        return {
            "by_kind": writes.by_kind,
            "events_and_leases": sum(writes.apart.values()),
            "per_trial": round(writes.total / self._given.trials, 2),
        }

    def _progress(self, since: int, trial: str) -> int:
        """Most progress writes in a minute."""
        wait_until(lambda: self._complete("long", self._apart), seconds=200, what="the long trial has ended")
        times = progress_writes(self._audit(since, self._apart)).get(trial, [])
        if not times:
            raise RuntimeError(f"no progress of {trial} was written: nothing was measured")
        return most_in_a_minute(times)

    def _audit(self, since: int, where: str) -> Iterator[Object]:
        with self._paths.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                event = json.loads(line)
                if ours(event, OPERATOR, where):
                    yield {**event, "time": seconds(event["stageTimestamp"])}

    # --- idle ---

    def _idle(self) -> dict[str, float]:
        """Of an operator with three searches: one complete, one of long trials that is over, one that waits."""
        self._kube.create(searches(self._namespace), table_search("idle", 20, 0, 1, strategy="bananas"))
        wait_until(self._offered, seconds=120, what="the idle search's predictor is available")
        time.sleep(5)  # what follows from the last change is written
        pid = process_in_pod("-m", "bananas_operator")
        position, cpu, began = self._paths.audit_log.stat().st_size, cpu_seconds(pid), time.monotonic()
        time.sleep(self._given.idle_seconds)
        used = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        writes = count_writes(e for where in (self._namespace, self._apart) for e in self._audit(position, where))
        return {
            "seconds": self._given.idle_seconds,
            "cpu": round(used, 4),
            "memory_mb": round(resident_bytes(pid) / 1e6, 1),
            "writes": writes.total + sum(writes.apart.values()),
        }

    def _offered(self) -> bool:
        """Whether the predictor is there; with parallelism 0 it offers nothing."""
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/idle-predictor"
        deployment = self._kube.get(path) or {}
        return bool((deployment.get("status") or {}).get("availableReplicas"))

    def clean(self) -> None:
        """Takes the namespaces away."""
        for name in (self._namespace, self._apart):
            self._kube.delete(f"/api/v1/namespaces/{name}")


def searches(where: str) -> str:
    """The path of the searches of a namespace."""
    return f"{NAS}/namespaces/{where}/nassearches"


def span(container: Container) -> tuple[float, float]:
    """Start and end."""
    return container.started or 0.0, container.ended or 0.0


def namespace(name: str) -> Object:
    """One like those of users who take security seriously."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def table_search(name: str, trials: int, parallelism: int, lasts: float, strategy: str = "bananas") -> Object:
    """A search on the toy table."""
    return {
        "apiVersion": "nas.bananas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": name},
        "spec": {
            "space": "nasbench201",
            "evaluator": "table",
            "table": {"secondsPerTrial": lasts},
            "strategy": {"name": strategy, "initialTrials": max(2, min(10, trials))},
            "budget": {"trials": trials},
            "parallelism": parallelism,
            "trial": {"template": {"resources": {"requests": {"cpu": "20m"}}}},
            "predictor": {"resources": {"requests": {"cpu": "200m"}}},  # else whoever else computes here starves it
        },
    }


def target(name: str, value: float, limit: float, *, strict: bool = False) -> dict[str, Any]:
    """A line of the table: reached or missed."""
    compare: Callable[[float, float], bool] = (lambda a, b: a < b) if strict else (lambda a, b: a <= b)
    reached = compare(value, limit)
    sign = "<" if strict else "<="
    print(f"{name:<52} {value:>9.4g}   want {sign} {limit:<8g} {'reached' if reached else 'MISSED'}", flush=True)
    return {"name": name, "value": round(value, 4), "want": f"{sign} {limit:g}", "reached": reached}


if __name__ == "__main__":
    sys.exit(main())
