"""What the operator's benchmark computes from what happened: waits of free slots, writes by kind. Pure.

A slot is one of the trials that run at once. The slot that came free first is the one that is filled first, so the waits are
the differences of the sorted ends and the sorted starts after the first `slots`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

WRITES = ("create", "update", "patch", "delete", "deletecollection")
APART = ("events", "leases")
"""Counted apart: an event tells a person, a lease tells other replicas; neither is state of a trial."""


@dataclass(frozen=True)
class Waits:
    """Seconds from the end of a trial's container to the start of the next one's."""

    count: int
    median: float
    p95: float

    @classmethod
    def of(cls, waits: Sequence[float]) -> "Waits":
        """Of the single waits; at least two."""
        return cls(len(waits), round(median(waits), 4), round(quantiles(waits, n=20, method="inclusive")[-1], 4))


def slot_waits(spans: Iterable[tuple[float, float]], slots: int) -> list[float]:
    """Waits of a run of containers, given as (start, end), of which `slots` run at once.

    Raises:
        ValueError: more ran at once, so that there is no telling which slot was filled.
    """
    starts = sorted(start for start, _ in spans)
    ends = sorted(end for _, end in spans)
    waits = [start - end for start, end in zip(starts[slots:], ends, strict=False)]
    if any(wait < 0 for wait in waits):
        raise ValueError(f"more than {slots} containers ran at once")
    return waits


@dataclass(frozen=True)
class Writes:
    """Successful writes of ours, by (verb, resource) as in `patch nastrials/status`."""

    by_kind: dict[str, int]
    apart: dict[str, int]

    @property
    def total(self) -> int:
        """Those that count."""
        return sum(self.by_kind.values())


def ours(event: dict[str, Any], operator: str, namespace: str) -> bool:
    """Whether an audit event is a successful write of the operator or of a predictor in the namespace."""
    ref = event.get("objectRef", {})
    return (
        event.get("verb") in WRITES
        and event.get("responseStatus", {}).get("code", 500) < 300
        and "dryRun" not in event.get("requestURI", "")
        and ref.get("namespace") == namespace
        and (
            event["user"]["username"] == operator
            or event["user"]["username"].startswith(f"system:serviceaccount:{namespace}:")
        )
    )


def count_writes(events: Iterable[dict[str, Any]]) -> Writes:
    """Counts the writes that `ours` let pass."""
    counted: Counter[str] = Counter()
    for event in events:
        ref = event["objectRef"]
        resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
        counted[f"{event['verb']} {resource}"] += 1
    apart = {kind: n for kind, n in counted.items() if kind.split()[1] in APART}
    return Writes({kind: n for kind, n in sorted(counted.items()) if kind not in apart}, apart)


def progress_writes(events: Iterable[dict[str, Any]]) -> dict[str, list[float]]:
    """By trial, the times of status writes that changed nothing but how far it is."""
    last: dict[str, dict[str, Any]] = {}
    found: dict[str, list[float]] = {}
    for event in events:
        if event["objectRef"]["resource"] != "nastrials" or event["verb"] != "patch":
            continue
        name = event["objectRef"]["name"]
        status = dict(event.get("responseObject", {}).get("status", {}))
        progress = status.pop("progress", None)
        known = last.get(name)
        if known is not None and known["status"] == status and known["progress"] != progress:
            found.setdefault(name, []).append(event["time"])
        last[name] = {"status": status, "progress": progress}
    return found


def most_in_a_minute(times: Sequence[float]) -> int:
    """Most of these times that lie within one minute."""
    ordered = sorted(times)
    return max((sum(start <= t < start + 60 for t in ordered) for start in ordered), default=0)
