"""What really happened, told by those who cannot be wrong about it: the audit log and the trainers' epoch logs.

This module shares no code with the programs under test.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.support.cluster import Cluster, Object

TERMINAL = ("Succeeded", "Failed", "Cancelled")
OPERATOR = "system:serviceaccount:bananas-system:bananas-operator"


def trials(cluster: Cluster, search: str, namespace: str) -> list[Object]:
    """The trials of a search, lowest index first."""
    found = cluster.list("nastrials", namespace, f"nas.bananas.dev/search={search}")
    return sorted(found, key=lambda t: t["spec"]["index"])


def phases(found: Iterable[Object]) -> Counter[str]:
    """How many trials are in each phase."""
    return Counter(t.get("status", {}).get("phase", "Pending") for t in found)


def accuracies(found: Iterable[Object]) -> list[float]:
    """The recorded results."""
    return [t["status"]["validationAccuracy"] for t in found if t["status"]["phase"] == "Succeeded"]


def recordings(cluster: Cluster, namespace: str, since: int) -> Counter[str]:
    """By trial, how many successful writes turned its phase into a terminal one (1 is right)."""
    last: dict[str, str] = {}
    count: Counter[str] = Counter()
    for event in cluster.audit(since):
        ref = event.get("objectRef", {})
        written = event.get("responseStatus", {}).get("code", 500) < 300
        if ref.get("resource") != "nastrials" or ref.get("namespace") != namespace or not written:
            continue
        if event["verb"] not in ("patch", "update"):
            continue
        body = event.get("responseObject", {})
        phase = body.get("status", {}).get("phase", "")
        name = ref["name"]
        if phase in TERMINAL and last.get(name) != phase:
            count[name] += 1
        last[name] = phase
    return count


def most_in_flight(cluster: Cluster, namespace: str, search: str, since: int) -> int:
    """Largest number of trials that were admitted and not ended at once, by the order of the status writes."""
    flying: set[str] = set()
    most = 0
    for event in cluster.audit(since):
        ref = event.get("objectRef", {})
        if ref.get("resource") != "nastrials" or ref.get("namespace") != namespace:
            continue
        if event["verb"] not in ("patch", "update") or event["responseStatus"]["code"] >= 300:
            continue
        body = event.get("responseObject", {})
        if body.get("spec", {}).get("search") != search:
            continue
        phase = body.get("status", {}).get("phase", "Pending")
        (flying.add if phase in ("Queued", "Running") else flying.discard)(ref["name"])
        most = max(most, len(flying))
    return most


def writes(cluster: Cluster, since: int) -> list[tuple[str, str, str, str]]:
    """(user, verb, resource, namespace) of each successful write since a position of the audit log, renewals of the
    operator's Lease left out."""
    return [
        (e["user"]["username"], e["verb"], e["objectRef"].get("resource", ""), e["objectRef"].get("namespace", ""))
        for e in cluster.audit(since)
        if e["verb"] in ("create", "update", "patch", "delete", "deletecollection")
        and e["responseStatus"]["code"] < 300
        and "objectRef" in e
        and e["objectRef"].get("resource") != "leases"
    ]


def epochs_trained(checkpoints: Path) -> dict[str, list[tuple[int, int]]]:
    """By trial, (attempt, epoch) in the order in which epochs ended, from the trainers' append-only logs."""
    out: dict[str, list[tuple[int, int]]] = {}
    for log in checkpoints.rglob("epochs.jsonl"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        name = re.sub("-[0-9a-f]{8}$", "", log.parent.name)  # TRIAL-UID
        out[name] = [(line["attempt"], line["epoch"]) for line in lines]
    return out
