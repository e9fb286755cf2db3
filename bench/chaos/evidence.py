"""What the judge reads: the audit log, the trainers' files, the objects as they were in the end. Parsed once, here.

It trusts nothing that the programs under test say of themselves, but the objects that the API server holds.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.containers import seconds

Object = dict[str, Any]
SCHEDULER = "system:kube-scheduler"
RESOURCES = ("nastrials", "nassearches", "jobs")


@dataclass(frozen=True)
class Seen:
    """An object as it was after a write."""

    revision: int
    """Of etcd: the order in which everything happened."""
    time: float
    verb: str
    resource: str
    name: str
    object: Object

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.object["metadata"]["uid"])

    @property
    def search(self) -> str:
        """Name of the search that it belongs to."""
        if self.resource == "nassearches":
            return self.name
        labels = self.object["metadata"].get("labels", {})
        return str(labels.get("nas.bananas.dev/search", self.object.get("spec", {}).get("search", "")))


@dataclass
class Evidence:
    """Everything of a run."""

    seen: list[Seen] = field(default_factory=list)
    """By revision. A write whose line was lost with its API server is missing, but the final objects are here, too."""
    reports: dict[str, Object] = field(default_factory=dict)
    """By UID of the trial, `report.json` as its trainer left it."""
    epochs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By directory of a trial, (attempt, epoch) in the order in which they were trained."""
    preempted: set[str] = field(default_factory=set)
    """Names of pods that the scheduler removed for others."""
    leftovers: list[str] = field(default_factory=list)
    """`kind/name` of what was there after everything had been deleted."""


def read_audit(lines: Iterable[bytes], namespace: str) -> tuple[list[Seen], set[str]]:
    """Successful writes to our objects in the namespace, and names of preempted pods. A line that was cut is passed over."""
    seen: list[Seen] = []
    preempted: set[str] = set()
    for event in _events(lines):
        ref = event.get("objectRef", {})
        if ref.get("namespace") != namespace or event.get("responseStatus", {}).get("code", 500) >= 300:
            continue
        if ref.get("resource") == "pods" and event["verb"] == "delete" and event["user"]["username"] == SCHEDULER:
            preempted.add(ref["name"])
        answer = event.get("responseObject") or {}
        if ref.get("resource") not in RESOURCES or "dryRun=" in event.get("requestURI", ""):
            continue
        if "name" not in answer.get("metadata", {}) or "resourceVersion" not in answer["metadata"]:
            continue  # a Status, or the list of what was deleted together
        seen.append(_seen(ref["resource"], event["verb"], seconds(event["stageTimestamp"]), answer))
    return seen, preempted


def final(resource: str, item: Object, when: float) -> Seen:
    """An object as it was read at the end: its revision is that of its last write, whether its line is there or not."""
    return _seen(resource, "read", when, item)


def _seen(resource: str, verb: str, when: float, item: Object) -> Seen:
    metadata = item["metadata"]
    return Seen(int(metadata["resourceVersion"]), when, verb, resource, metadata["name"], item)


def _events(lines: Iterable[bytes]) -> Iterator[Object]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("stage") == "ResponseComplete":
            yield event


def read_files(volume: Path) -> tuple[dict[str, Object], dict[str, list[tuple[int, int]]]]:
    """Reports by UID of the trial, epochs by directory, from a volume with the trainers' directories."""
    reports: dict[str, Object] = {}
    epochs: dict[str, list[tuple[int, int]]] = {}
    for path in volume.rglob("report.json"):
        report = json.loads(path.read_text())
        reports[report["trialUid"]] = report
    for path in volume.rglob("epochs.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        epochs[str(path.parent.relative_to(volume))] = [(line["attempt"], line["epoch"]) for line in lines]
    return reports, epochs
