"""What a search would be before it is made: its Jobs, whether they are let in, where they fit, what they cost. Pure.

`plan` weighs what `ground` found; `plan_view` shows it. Every check says what was found and, where it speaks against the
search, what would be right.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from bananas_cli.ground import UNKNOWN_IMAGE, ClaimFound, Ground, Verdict
from bananas_cli.manifest import Manifest
from bananas_cli.snapshot import Snapshot
from bananas_core.api import NASSearchSpec
from bananas_core.names import job_name, trial_name
from bananas_core.workload import Json, capacity
from bananas_core.workload.job import image

Outcome = Literal["good", "doubtful", "bad", "unknown"]
"""`bad` is what keeps the search from running; `doubtful` lets it run otherwise than a person may think."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at."""

    subject: str
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """A node that the trials may run on."""

    name: str
    trials: int
    """Trials that it holds when it is empty."""
    ready: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What the search takes; None is unknown."""

    gpus_per_trial: float
    seconds_per_trial: float | None
    source: str
    """Where the seconds come from, or why there are none."""
    gpu_hours: float | None
    duration_seconds: float | None
    bound_gpu_hours: float | None = None
    """No more than this, where a deadline or a budget says so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of it."""

    namespace: str
    name: str
    kind: str
    """Space and strategy, for a heading."""
    trials: int
    parallelism: int
    at_once: int
    """Trials at once as far as the bounds are known."""
    first_job: str
    last_job: str
    requests: dict[str, str]
    """What a trial asks for, as written."""
    image: str | None
    checks: tuple[Check, ...]
    nodes: tuple[NodeRoom, ...] | None
    cost: Cost | None
    sample: Json | None

    @property
    def bad(self) -> tuple[Check, ...]:
        """What speaks against it."""
        return tuple(check for check in self.checks if check.outcome == "bad")


def plan(manifest: Manifest, ground: Ground) -> Plan:
    """Weighs what was found."""
    spec = manifest.spec
    if spec is None:
        return _unreadable(manifest, ground)
    bound = capacity.limit(spec, ground)
    at_once = spec.parallelism if bound is None else min(spec.parallelism, bound.trials)
    rooms = _rooms(spec, ground)
    checks = [
        _search_check(manifest, ground),
        _verdict_check("Job", ground.job, "a Job of spec.trial.template", "spec.trial.template"),
        _verdict_check("pod", ground.pod, "the pod of a trial", "spec.trial.template, or what the namespace allows"),
        _operator_check(ground),
        _image_check(spec, ground),
        *(_claim_check(found, spec, at_once) for found in ground.claims_found),
        *_quota_checks(spec, ground),
        _node_check(ground, rooms),
        *_room_checks(spec, bound),
        *_other_searches(spec, ground),
    ]
    asked = spec.trial.template.resources
    given = {**asked.limits, **asked.requests} if asked is not None else {}
    trials = spec.budget.trials
    return Plan(
        namespace=ground.namespace,
        name=manifest.name,
        kind=f"{spec.space}, {spec.strategy.name}",
        trials=trials,
        parallelism=spec.parallelism,
        at_once=at_once,
        first_job=job_name(trial_name(manifest.name, 0), 1),
        last_job=job_name(trial_name(manifest.name, trials - 1), 1),
        requests={name: str(amount) for name, amount in given.items()},
        image=_image(spec, ground),
        checks=tuple(checks),
        nodes=rooms,
        cost=_cost(spec, ground.like, at_once),
        sample=ground.sample,
    )


def _unreadable(manifest: Manifest, ground: Ground) -> Plan:
    checks = [_search_check(manifest, ground)]
    if ground.search.state != "refused":
        checks.append(Check("spec", "bad", f"{manifest.problem}; is this kubectl-nas of the release of the CRDs?"))
    return Plan(ground.namespace, manifest.name, "", 0, 0, 0, "", "", {}, None, tuple(checks), None, None, None)


def _search_check(manifest: Manifest, ground: Ground) -> Check:
    where = f"namespace {ground.namespace}"
    match ground.search.state:
        case "accepted":
            text = "is there already: applying the file changes it" if ground.exists else "would be made"
            return Check("NASSearch", "good", f"{manifest.name} in {where} {text}")
        case "unknown":
            return Check("NASSearch", "bad", f"may not be tried: {ground.search.message}")
        case "refused":
            if ground.lacks_namespace and ("Namespace", ground.namespace) in manifest.others:
                return Check(
                    "NASSearch", "bad", f"{where} is not there yet. The file makes it: make that first, then plan again"
                )
            if ground.lacks_namespace:
                return Check("NASSearch", "bad", f"{where} is not there. Make it, or name another (-n)")
            return Check("NASSearch", "bad", ground.search.message)


def _verdict_check(subject: str, verdict: Verdict, what: str, mend: str) -> Check:
    match verdict.state:
        case "accepted":
            return Check(subject, "good", f"{what} is accepted (dry run)")
        case "unknown":
            return Check(subject, "unknown", f"not tried: {verdict.message}")
        case "refused":
            return Check(subject, "bad", f"{verdict.message}. Change {mend}")


def _operator_check(ground: Ground) -> Check:
    match ground.operator.found:
        case "running":
            return Check("operator", "good", "runs")
        case "not running":
            return Check("operator", "bad", "no replica is available: nothing would happen until it runs")
        case "absent":
            return Check("operator", "doubtful", "no bananas-operator in namespace bananas-system; is it elsewhere?")
        case "unknown":
            return Check(
                "operator", "unknown", "not seen: get on deployments in namespace bananas-system is not allowed"
            )


def _image(spec: NASSearchSpec, ground: Ground) -> str | None:
    found = image(spec, ground.operator)
    return None if found == UNKNOWN_IMAGE else found


def _image_check(spec: NASSearchSpec, ground: Ground) -> Check:
    found = _image(spec, ground)
    if found is None:
        return Check("image", "unknown", "the operator's own, whose name is not known here")
    whose = "" if spec.trial.template.image else ", the operator's own"
    policy = spec.trial.template.image_pull_policy or ground.operator.image_pull_policy
    if ground.image_on:
        return Check("image", "good", f"{found}{whose}: on {_count(len(ground.image_on), 'node')} already")
    if policy == "Never":
        return Check("image", "doubtful", f"{found}{whose}: no node says it has it, and imagePullPolicy is Never")
    return Check("image", "unknown", f"{found}{whose}: no node says it has it; whether it can be pulled is not tried")


def _claim_check(found: ClaimFound, spec: NASSearchSpec, at_once: int) -> Check:
    subject = found.field.removeprefix("spec.").removesuffix(".claim")
    name = f"claim {found.name}"
    if found.trouble == "absent":
        return Check(subject, "bad", f"{name} is not there. Create it, or name another in {found.field}")
    if found.trouble == "in the file":
        return Check(subject, "doubtful", f"{name} is not there yet; the file makes it")
    if found.trouble == "unknown" or found.view is None:
        return Check(subject, "unknown", f"{name} not seen: get on persistentvolumeclaims is not allowed")
    modes = ", ".join(sorted(found.view.modes))
    told = f"{name}, {found.storage} {modes}, {found.phase}"
    troubles: list[tuple[bool, Outcome, str]] = [
        (found.phase == "Lost", "bad", "its volume is gone"),
        (
            subject == "checkpoints" and found.view.modes <= {"ReadOnlyMany"},
            "bad",
            "trials write there; want ReadWriteMany, or ReadWriteOnce for one node",
        ),
        (
            found.view.of_one_pod and spec.parallelism > 1,
            "bad",
            "one pod can mount it at a time; want ReadWriteMany, or parallelism 1",
        ),
        (found.view.of_one_node and at_once > 1, "doubtful", "all trials run on the one node that mounts it"),
        (found.phase == "Pending", "doubtful", "no volume yet; one may come with the first pod"),
    ]
    for applies, outcome, text in troubles:
        if applies:
            return Check(subject, outcome, f"{told}: {text}")
    return Check(subject, "good", told)


def _quota_checks(spec: NASSearchSpec, ground: Ground) -> list[Check]:
    if ground.quotas is None:
        return [Check("quota", "unknown", "not seen: list on resourcequotas is not allowed")]
    if not ground.quotas:
        return [Check("quota", "good", f"namespace {ground.namespace} has none")]
    asks = capacity.requests(spec.trial.template)
    checks = []
    for use in ground.quota_use:
        ever, scarce = _fits(use.hard, asks)
        now, _ = _fits({name: hard - use.used.get(name, 0) for name, hard in use.hard.items()}, asks)
        if scarce is None or ever is None or now is None:
            checks.append(Check("quota", "good", f"{use.name} bounds nothing that a trial asks for"))
            continue
        told = f"{use.name} has room for {_count(ever, 'trial')} at once ({scarce}), for {now} now"
        if ever == 0:
            checks.append(Check("quota", "bad", f"{told}: raise it, or ask for less in spec.trial.template.resources"))
        elif min(ever, now) < spec.parallelism:
            checks.append(Check("quota", "doubtful", f"{told}; parallelism is {spec.parallelism}: the others wait"))
        else:
            checks.append(Check("quota", "good", told))
    return checks


def _fits(amounts: dict[str, float], asks: dict[str, float]) -> tuple[int | None, str | None]:
    """Trials that fit into what a quota has, and the line that bounds them."""
    found: list[tuple[int, str]] = []
    for name, amount in amounts.items():
        resource = "pods" if name in ("count/pods", "count/jobs.batch") else name.removeprefix("requests.")
        if not name.startswith("limits.") and resource in asks:
            found.append((max(0, int(amount // asks[resource])), name))
    return min(found, default=(None, None))


def _rooms(spec: NASSearchSpec, ground: Ground) -> tuple[NodeRoom, ...] | None:
    if ground.nodes is None:
        return None
    asks = capacity.requests(spec.trial.template)
    return tuple(
        NodeRoom(node.name, capacity.slots(node, asks), node.ready and not node.cordoned)
        for node in ground.nodes
        if capacity.admits(node, spec.trial.template)
    )


def _node_check(ground: Ground, rooms: tuple[NodeRoom, ...] | None) -> Check:
    if rooms is None or ground.nodes is None:
        return Check("nodes", "unknown", "not seen: list on nodes is not allowed")
    total = _count(len(ground.nodes), "node")
    if not rooms:
        return Check(
            "nodes", "bad", f"none of {total} matches nodeSelector, affinity and tolerations of spec.trial.template"
        )
    holding = [room for room in rooms if room.trials > 0]
    if not holding:
        return Check(
            "nodes",
            "bad",
            f"none of the {len(rooms)} of {total} that match holds a trial, not even empty. Ask for less in "
            "spec.trial.template.resources, or add a node",
        )
    ready = [room for room in holding if room.ready]
    told = f"{len(holding)} of {total} can hold a trial, {sum(room.trials for room in holding)} at once when empty"
    if not ready:
        return Check("nodes", "doubtful", f"{told}; none of them is ready at the moment")
    return Check("nodes", "good", told)


def _room_checks(spec: NASSearchSpec, bound: capacity.Limit | None) -> list[Check]:
    if spec.parallelism == 0:
        return [
            Check(
                "parallelism", "doubtful", "0: nothing starts until it is raised (kubectl scale nas/NAME --replicas=N)"
            )
        ]
    if bound is None or bound.trials >= spec.parallelism or bound.trials == 0:
        return []
    return [
        Check(
            "parallelism", "doubtful", f"{spec.parallelism}, but {bound.message}: {bound.trials} run, the others wait"
        )
    ]


def _other_searches(spec: NASSearchSpec, ground: Ground) -> list[Check]:
    """What comes before and after."""
    checks = []
    if spec.warm_start_from is not None:
        name = f"NASSearch {spec.warm_start_from.search}"
        match ground.warm_start:
            case "found":
                checks.append(Check("warmStartFrom", "good", f"{name} is there"))
            case "absent":
                checks.append(Check("warmStartFrom", "bad", f"{name} is not there. Name another, or leave it out"))
            case "unknown":
                checks.append(Check("warmStartFrom", "unknown", f"{name} not seen: get on nassearches is not allowed"))
    if spec.promote is not None:
        jobs = spec.promote.top * spec.promote.seeds
        told = f"{_count(jobs, 'further Job')} that train the best to the end, not part of the GPU hours above"
        checks.append(Check("promote", "good", told))
    return checks


def _cost(spec: NASSearchSpec, like: Snapshot | None, at_once: int) -> Cost:
    asked = spec.trial.template.resources
    gpus = capacity.gpus(asked.limits if asked is not None else {})
    seconds, source = _seconds(spec, like)
    bound = None
    if spec.trial.deadline_seconds is not None:
        bound = gpus * spec.trial.deadline_seconds * spec.budget.trials / 3600
    if spec.budget.gpu_hours is not None:
        bound = min(bound, spec.budget.gpu_hours) if bound is not None else spec.budget.gpu_hours
    if seconds is None:
        return Cost(gpus, None, source, 0.0 if gpus == 0 else None, None, bound if gpus else None)
    rounds = -(-spec.budget.trials // at_once) if at_once else None
    return Cost(
        gpus_per_trial=gpus,
        seconds_per_trial=seconds,
        source=source,
        gpu_hours=gpus * seconds * spec.budget.trials / 3600,
        duration_seconds=rounds * seconds if rounds is not None else None,
        bound_gpu_hours=bound if gpus else None,
    )


def _seconds(spec: NASSearchSpec, like: Snapshot | None) -> tuple[float | None, str]:
    """Of a trial, from one that was like it."""
    if like is not None:
        times = [trial.seconds for trial in like.trials if trial.accuracy is not None and trial.seconds is not None]
        if times:
            text = f"mean of {_count(len(times), 'trial')} of search {like.search.name}"
            other = like.search.spec.trial.recipe
            return fmean(times), text + ("" if other == spec.trial.recipe else ", which has another recipe")
    if spec.evaluator == "table":
        seconds = spec.table.seconds_per_trial if spec.table is not None else 0.0
        return (
            (seconds, "spec.table.secondsPerTrial; the start of a pod comes on top")
            if seconds
            else (
                None,
                "a look-up; the start of a pod is all",
            )
        )
    return None, "no search of this recipe has results here; try one of two trials, or name another with --like"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
