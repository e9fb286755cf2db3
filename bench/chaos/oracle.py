"""The judge: the invariants of ARCHITECTURE.md ("What may never happen"), checked on evidence. Imports nothing of ours.

Each check is a function from evidence to violations; `judge` runs them all. It must never excuse what it cannot explain.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bench.chaos.evidence import Evidence, Object, Seen
from bench.chaos.isomorphism import canonical

IN_FLIGHT = ("Queued", "Running")
TERMINAL = ("Succeeded", "Failed", "Cancelled")
ADMITTED = (*IN_FLIGHT, "Succeeded", "Failed")
DECIMALS = 6
"""Of a recorded accuracy; a report has more."""


@dataclass(frozen=True)
class Violation:
    """Something that may never happen, and did."""

    check: str
    subject: str
    text: str
    time: float | None = None
    """When, where the evidence tells."""


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong."""
    return [
        Violation(name, subject, text, time)
        for name, check in CHECKS.items()
        for subject, text, time in check(evidence)
    ]


Found = Iterable[tuple[str, str, float | None]]


# --- the views that the checks share ---


def _status(item: Object) -> dict[str, Any]:
    return item.get("status") or {}


def _phase(item: Object) -> str:
    return str(_status(item).get("phase", "Pending"))


def _ordered(evidence: Evidence, *resources: str) -> list[Seen]:
    return sorted((s for s in evidence.seen if s.resource in resources), key=lambda s: (s.revision, s.verb == "read"))


def _histories(evidence: Evidence) -> dict[str, list[Seen]]:
    """By UID, every state of each trial."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for seen in _ordered(evidence, "nastrials"):
        found[seen.uid].append(seen)
    return found


def _in_force(evidence: Evidence) -> dict[str, list[tuple[int, Object]]]:
    """By search, its specs from revision to revision."""
    found: dict[str, list[tuple[int, Object]]] = defaultdict(list)
    for seen in _ordered(evidence, "nassearches"):
        found[seen.name].append((seen.revision, seen.object["spec"]))
    return found


def _spec_at(specs: list[tuple[int, Object]], revision: int) -> Object:
    known = [spec for since, spec in specs if since <= revision]
    return known[-1] if known else specs[0][1]


# --- the checks ---


def results_once(evidence: Evidence) -> Found:
    """A trial ends once, and what is recorded is never revised."""
    for history in _histories(evidence).values():
        first: tuple[Any, ...] | None = None
        for seen in history:
            result = _result(seen.object)
            if first is None:
                first = result if result[0] in TERMINAL else None
            elif result != first:
                yield seen.name, f"recorded as {first}, then as {result}", seen.time
                first = result  # each revision is told once
        if first is None:
            yield history[-1].name, f"never ended; it is {_phase(history[-1].object)}", None


def _result(item: Object) -> tuple[Any, ...]:
    status = _status(item)
    return _phase(item), status.get("validationAccuracy"), status.get("testAccuracy"), status.get("attempts")


def results_true(evidence: Evidence) -> Found:
    """What is recorded is what the trainer reported; a report is recorded."""
    for uid, history in _histories(evidence).items():
        seen, report = history[-1], evidence.reports.get(uid)
        phase, recorded = _phase(seen.object), _status(seen.object).get("validationAccuracy")
        if phase == "Succeeded" and report is None:
            yield seen.name, f"recorded {recorded}, but its trainer left no report", None
        elif phase == "Succeeded" and report is not None:
            want = round(report["validationAccuracy"], DECIMALS)
            if recorded != want:
                yield seen.name, f"recorded {recorded}, its trainer reported {want}", None
        elif report is not None:
            yield seen.name, f"its trainer reported {report['validationAccuracy']}, and it is {phase}", None


def budget_exact(evidence: Evidence) -> Found:
    """Never more trials admitted than the budget, and in the end exactly so many."""
    specs = _in_force(evidence)
    admitted: dict[str, set[str]] = defaultdict(set)
    for seen in _ordered(evidence, "nastrials"):
        if _phase(seen.object) in ADMITTED and seen.uid not in admitted[seen.search]:
            admitted[seen.search].add(seen.uid)
            budget = _spec_at(specs[seen.search], seen.revision)["budget"]["trials"]
            if len(admitted[seen.search]) > budget:
                yield seen.search, f"{seen.name} is admitted trial {len(admitted[seen.search])} of {budget}", seen.time
    for search, known in specs.items():
        budget = known[-1][1]["budget"]["trials"]
        if len(admitted[search]) < budget:
            yield search, f"{len(admitted[search])} trials were admitted, the budget is {budget}", None


def parallelism_kept(evidence: Evidence) -> Found:
    """No Job is created while as many other trials as parallelism allows are in flight."""
    specs = _in_force(evidence)
    flying: dict[str, set[str]] = defaultdict(set)
    ended: set[str] = set()
    jobs: set[str] = set()
    for seen in _ordered(evidence, "nastrials", "jobs"):
        if seen.resource == "nastrials":
            phase = _phase(seen.object)
            if phase in TERMINAL:
                ended.add(seen.uid)
            if phase in IN_FLIGHT:
                flying[seen.search].add(seen.uid)
            else:
                flying[seen.search].discard(seen.uid)
        elif seen.uid not in jobs:
            jobs.add(seen.uid)
            trial = seen.object["metadata"]["labels"]["nas.bananas.dev/trial-uid"]
            others = flying[seen.search] - {trial}
            limit = _spec_at(specs[seen.search], seen.revision)["parallelism"]
            if len(others) >= limit:
                yield seen.name, f"its Job was created with {len(others)} others in flight of {limit}", seen.time
            if trial in ended:
                yield seen.name, "its Job was created after its trial had ended", seen.time
            else:
                flying[seen.search].add(trial)


def attempts_single(evidence: Evidence) -> Found:
    """An attempt has one Job, and attempts are numbered without a gap backwards."""
    highest: dict[str, int] = defaultdict(int)
    jobs: set[str] = set()
    for seen in _ordered(evidence, "jobs"):
        if seen.uid in jobs:
            continue
        jobs.add(seen.uid)
        labels = seen.object["metadata"]["labels"]
        trial, attempt = labels["nas.bananas.dev/trial-uid"], int(labels["nas.bananas.dev/attempt"])
        if attempt <= highest[trial]:
            yield seen.name, f"attempt {attempt} was begun after attempt {highest[trial]}", seen.time
        highest[trial] = max(attempt, highest[trial])


def no_pair_isomorphic(evidence: Evidence) -> Found:
    """No two admitted trials of a search are the same network."""
    taken: dict[tuple[str, object], str] = {}
    for history in _histories(evidence).values():
        admissions = [seen for seen in history if _phase(seen.object) in ADMITTED]
        if admissions:
            first = admissions[0]
            key = (first.search, canonical(first.object["spec"]["architecture"]))
            if key in taken:
                yield first.name, f"is the same network as {taken[key]}", first.time
            taken.setdefault(key, first.name)


def epochs_once(evidence: Evidence) -> Found:
    """No epoch is trained again that a checkpoint holds. The trainer logs an epoch after its checkpoint: each stands once."""
    for directory, trained in _epochs_by_trial(evidence).items():
        for place, (attempt, epoch) in enumerate(trained, start=1):
            if epoch != place:
                yield directory, f"attempt {attempt} trained epoch {epoch}, want {place}: {trained}", None
                break
        attempts = [attempt for attempt, _ in trained]
        if attempts != sorted(attempts):
            yield directory, f"a lower attempt wrote after a higher one: {trained}", None


def _epochs_by_trial(evidence: Evidence) -> dict[str, list[tuple[int, int]]]:
    """By `search/trial`, wherever below it they were logged."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for directory in sorted(evidence.epochs):
        found["/".join(directory.split("/")[:2])] += evidence.epochs[directory]
    return found


def interruptions_no_failures(evidence: Evidence) -> Found:
    """Nothing that chaos does is a failure of a trial; what the scheduler preempted is counted as an interruption."""
    victims: dict[str, set[int]] = defaultdict(set)
    for pod in evidence.preempted:
        job = pod.rpartition("-")[0]
        trial, _, attempt = job.rpartition("-")
        if attempt.isdecimal():
            victims[trial].add(int(attempt))
    for history in _histories(evidence).values():
        seen = history[-1]
        status = _status(seen.object)
        if _phase(seen.object) == "Failed":
            yield seen.name, f"failed: {status.get('failure')}", seen.time
        if status.get("retries", 0):
            yield seen.name, f"{status['retries']} attempts were counted as errors: {status.get('failure')}", None
        ended_well = {status.get("attempts", 0)} if _phase(seen.object) == "Succeeded" else set()
        preempted = victims[seen.name] - ended_well
        if status.get("interruptions", 0) < len(preempted):
            text = (
                f"attempts {sorted(preempted)} were preempted, {status.get('interruptions', 0)} interruptions counted"
            )
            yield seen.name, text, None


def nothing_left(evidence: Evidence) -> Found:
    """A deleted search leaves nothing behind."""
    for what in evidence.leftovers:
        yield what, "is still there", None


CHECKS: dict[str, Callable[[Evidence], Found]] = {
    "results once": results_once,
    "results true": results_true,
    "budget exact": budget_exact,
    "parallelism kept": parallelism_kept,
    "attempts single": attempts_single,
    "no pair isomorphic": no_pair_isomorphic,
    "epochs once": epochs_once,
    "interruptions no failures": interruptions_no_failures,
    "nothing left": nothing_left,
}
