"""Where an attempt shall run: away from nodes that failed, and together where a volume is of one node. Pure.

`survey` asks which nodes are avoided, `plan` where the next attempt goes, `job` writes it into the pod. Nothing is kept: which
node failed is in the statuses of the trials.
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_core.workload import capacity
from bananas_core.workload.surroundings import ClaimView
from bananas_operator.resources import Json
from bananas_operator.settings import Settings
from bananas_operator.views import Facts, TrialView

FAULTS_IN_A_ROW: Final = 2
MAX_AVOIDED: Final = 10
"""Avoided nodes at once, the latest: if more fail, the nodes are hardly to blame."""
HOSTNAME: Final = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Avoided:
    """A node that is avoided for a while."""

    node: str
    until: datetime


@dataclass(frozen=True)
class Placement:
    """Where a pod shall run, beside what the template says."""

    avoid: tuple[str, ...] = ()
    strictly: bool = False
    """Whether it must not run on an avoided node, not even if no other has room: another one can take it."""
    together: tuple[ClaimView, ...] = ()
    """Claims of one node: pods that mount them must run where others do."""


ANYWHERE: Final = Placement()


def avoided(trials: tuple[TrialView, ...], now: datetime, settings: Settings) -> tuple[Avoided, ...]:
    """Nodes on which two attempts in a row ended by the node's fault or in errors, with no result since."""
    successes: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    for trial in trials:
        status = trial.status
        if status.phase == "Succeeded" and status.node is not None and status.completion_time is not None:
            successes[status.node] = max(successes.get(status.node, ""), status.completion_time)
        for fault in status.node_faults:
            faults.setdefault(fault.node, []).append(fault.time)
    found = []
    for node, times in faults.items():
        since = sorted(when for when in times if when > successes.get(node, ""))  # stamps of one form sort as times do
        if len(since) >= FAULTS_IN_A_ROW:
            until = datetime.fromisoformat(since[-1]) + timedelta(seconds=settings.avoid_seconds)
            if now < until:
                found.append(Avoided(node, until))
    latest = sorted(found, key=lambda one: (one.until, one.node))[-MAX_AVOIDED:]
    return tuple(sorted(latest, key=lambda one: one.node))


def place(spec: NASSearchSpec, facts: Facts, nodes: tuple[Avoided, ...]) -> Placement:
    """Where the next attempts go.

    A preference alone would not do: a node that fails fast is always the one with room. So a node is ruled out as soon as
    another is known to take a trial, and only put last where none is, so that a cluster of one node goes on.
    """
    names = tuple(one.node for one in nodes)
    together = tuple(claim for claim in facts.claims if claim.of_one_node)
    strictly = bool(names) and not together and capacity.can_do_without(frozenset(names), spec, facts)
    return Placement(names, strictly, together)


def labels(placement: Placement) -> dict[str, str]:
    """Labels by which pods that share a claim find each other, whatever search they are of."""
    return {claim_label(claim.name): "mounted" for claim in placement.together}


def affinity(given: Json | None, placement: Placement) -> Json | None:
    """The template's affinity with the placement in it."""
    if not placement.avoid and not placement.together:
        return given
    merged: Json = deepcopy(given or {})
    if placement.avoid:
        node = _inner(merged, "nodeAffinity", dict)
        (_rule_out if placement.strictly else _put_last)(node, placement.avoid)
    if placement.together:
        pods = _inner(merged, "podAffinity", dict)
        _inner(pods, "requiredDuringSchedulingIgnoredDuringExecution", list).extend(
            {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {claim_label(claim.name): "mounted"}}}
            for claim in placement.together
        )
    return merged


def claim_label(name: str) -> str:
    """The label of pods that mount a claim; a claim's name can be longer than a label."""
    return f"{constants.LABEL_CLAIM_PREFIX}{sha256(name.encode()).hexdigest()[:16]}"


def _rule_out(node_affinity: Json, names: tuple[str, ...]) -> None:
    """Into every term: one of them must match."""
    required = _inner(node_affinity, "requiredDuringSchedulingIgnoredDuringExecution", dict)
    terms = _inner(required, "nodeSelectorTerms", list)
    if not terms:
        terms.append({})
    for term in terms:
        _inner(term, "matchFields", list).extend(_not(name) for name in names)


def _put_last(node_affinity: Json, names: tuple[str, ...]) -> None:
    preferred = _inner(node_affinity, "preferredDuringSchedulingIgnoredDuringExecution", list)
    preferred.append({"weight": 100, "preference": {"matchFields": [_not(name) for name in names]}})


def _inner(parent: Json, key: str, kind: type[Any]) -> Any:
    """A part to write into. What is of another type, the API server has refused in the dry run of the bare template."""
    if not isinstance(parent.get(key), kind):
        parent[key] = kind()
    return parent[key]


def _not(name: str) -> dict[str, Any]:
    """By the node's own name: its hostname label may be another, and a field takes one value."""
    return {"key": "metadata.name", "operator": "NotIn", "values": [name]}
