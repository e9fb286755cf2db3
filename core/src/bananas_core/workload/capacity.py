"""How many trials the cluster can ever hold at once, and where one fits. Pure; the operator's condition and choice of a node follow
from it, and the plugin's plan.

It is an estimate for a person, and for the choice whether a node can be done without: selectors, required node affinity,
taints and what nodes can allocate are weighed as the scheduler does; what other pods use at the moment is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

from bananas_core.api import NASSearchSpec
from bananas_core.api.template import Toleration, TrialTemplate
from bananas_core.workload.surroundings import NodeView, QuotaView, Surroundings, Taint, quantity

GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")
MIG_PREFIX = "nvidia.com/mig-"
TRANSIENT_TAINTS = "node.kubernetes.io/"
"""Taints by which Kubernetes says how a node is at the moment; `capacity` asks what it can ever hold."""


@dataclass(frozen=True)
class Limit:
    """What bounds the trials at once."""

    trials: int
    message: str
    by_quota: bool = False


def limit(spec: NASSearchSpec, around: Surroundings) -> Limit | None:
    """The tightest bound that is known; None where none is."""
    asks = requests(spec.trial.template)
    bounds = [_quota_limit(quota, asks) for quota in around.quotas or ()]
    if around.nodes is not None:
        bounds.append(_node_limit(spec.trial.template, asks, around))
    known = [bound for bound in bounds if bound is not None]
    return min(known, key=lambda bound: bound.trials, default=None)


def requests(template: TrialTemplate) -> dict[str, float]:
    """What a pod asks of a node: requests, and limits where they are alone; it is also one pod."""
    given = template.resources
    asked = {**given.limits, **given.requests} if given is not None else {}
    return {"pods": 1.0, **{name: amount for name, text in asked.items() if (amount := quantity(text)) > 0}}


def gpus(limits: Mapping[str, object]) -> float:
    """GPUs of a container with these limits; a slice of one (MIG) counts as one."""
    counted = [text for name, text in limits.items() if name in GPU_RESOURCES or name.startswith(MIG_PREFIX)]
    return sum(quantity(str(text)) for text in counted)


def can_do_without(names: frozenset[str], spec: NASSearchSpec, around: Surroundings) -> bool:
    """Whether another node than these is ready to take a trial."""
    template = spec.trial.template
    asks = requests(template)
    return any(
        node.name not in names
        and node.ready
        and not node.cordoned
        and admits(node, template, transient=True)
        and slots(node, asks) > 0
        for node in around.nodes or ()
    )


def slots(node: NodeView, asks: dict[str, float]) -> int:
    """Trials that an empty node holds."""
    return floor(min(node.allocatable.get(name, 0) / amount for name, amount in asks.items()))


def admits(node: NodeView, template: TrialTemplate, *, transient: bool = False) -> bool:
    """Whether selectors and taints let a trial onto a node; taints that pass only count if `transient`."""
    if any(node.labels.get(key) != value for key, value in template.node_selector.items()):
        return False
    required = (_dict(_dict(template.affinity).get("nodeAffinity"))).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = _dict(required).get("nodeSelectorTerms")
    if isinstance(terms, list) and not any(_matches(node, _dict(term)) for term in terms):
        return False
    taints = [t for t in node.taints if transient or not t.key.startswith(TRANSIENT_TAINTS)]
    return all(_tolerated(taint, template.tolerations) for taint in taints)


def _quota_limit(quota: QuotaView, asks: dict[str, float]) -> Limit | None:
    """Of `requests.X` and `X` for pods, by the tightest line; `count/jobs.batch` bounds Jobs, one an attempt."""
    bounds = []
    for name, hard in quota.hard.items():
        resource = "pods" if name in ("count/pods", "count/jobs.batch") else name.removeprefix("requests.")
        if name.startswith("limits.") or resource not in asks:
            continue
        bounds.append((floor(hard / asks[resource]), name, hard))
    if not bounds:
        return None
    trials, name, hard = min(bounds)
    text = f"ResourceQuota {quota.name} allows {trials} trials at once: {name} is {_number(hard)}"
    return Limit(trials, text, by_quota=True)


def _node_limit(template: TrialTemplate, asks: dict[str, float], around: Surroundings) -> Limit:
    nodes = around.nodes or ()
    matching = [node for node in nodes if admits(node, template)]
    if not matching:
        return Limit(
            0,
            f"none of {len(nodes)} nodes matches nodeSelector, affinity and tolerations of spec.trial.template",
        )
    held = [slots(node, asks) for node in matching]
    shared = next((claim for claim in around.claims if claim.of_one_node), None)
    if shared is not None:
        text = f"{shared.field} {shared.name} can be mounted on one node at a time, which holds {max(held)} trials"
        return Limit(max(held), text)
    scarce = min(asks, key=lambda name: sum(node.allocatable.get(name, 0) for node in matching) / asks[name])
    total = sum(node.allocatable.get(scarce, 0) for node in matching)
    text = (
        f"the nodes that match spec.trial.template ({len(matching)} of {len(nodes)}) hold {sum(held)} trials at once: a trial "
        f"asks for {scarce} {_number(asks[scarce])}, they have {_number(total)} in all"
    )
    return Limit(sum(held), text)


def _matches(node: NodeView, term: dict[str, Any]) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False  # an empty term matches nothing
    names = {"metadata.name": node.name}
    return all(_holds(_dict(e), node.labels) for e in expressions) and all(_holds(_dict(e), names) for e in fields)


def _holds(expression: dict[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or []
    comparable = value is not None and bool(values)
    meanings = {
        "In": lambda: value in values,
        "NotIn": lambda: value not in values,
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
        "Gt": lambda: comparable and quantity(str(value)) > quantity(values[0]),
        "Lt": lambda: comparable and quantity(str(value)) < quantity(values[0]),
    }
    # An operator of a newer Kubernetes: rather too many nodes than too few.
    return bool(meanings.get(str(expression.get("operator")), lambda: True)())


def _tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    if taint.effect == "PreferNoSchedule":
        return True
    return any(
        (t.key in (None, "") or t.key == taint.key)
        and (t.effect in (None, "") or t.effect == taint.effect)
        and (t.operator == "Exists" or (t.value or "") == taint.value)
        for t in tolerations
    )


def _dict(value: Any) -> dict[str, Any]:
    """An inner part of a field that only the API server checks."""
    return value if isinstance(value, dict) else {}


def _number(value: float) -> str:
    if value >= 2**30:
        return f"{value / 2**30:.4g}Gi"
    return f"{value:.4g}"
