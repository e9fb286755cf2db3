"""What a search finds around it: nodes, quotas and claims, frozen and typed. Weighed by `capacity`.

Parsed here and nowhere else, from objects that are not ours; a field that is absent or cannot be read counts as nothing,
because what follows from it is advice to a person.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from bananas_core.api import NASSearchSpec
from bananas_core.workload import Json

_QUANTITY: Final = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class NodeView:
    """A node."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Amounts = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    cordoned: bool = False


@dataclass(frozen=True)
class QuotaView:
    """A ResourceQuota without scopes: it holds for every pod of the namespace."""

    name: str
    hard: Amounts


@dataclass(frozen=True)
class ClaimView:
    """A claim that the search names."""

    field: str
    name: str
    modes: frozenset[str]

    @property
    def of_one_pod(self) -> bool:
        """Whether a single pod in the cluster can mount it."""
        return bool(self.modes) and self.modes <= {"ReadWriteOncePod"}

    @property
    def of_one_node(self) -> bool:
        """Whether the pods of a single node can mount it."""
        return bool(self.modes) and self.modes <= {"ReadWriteOnce", "ReadWriteOncePod"}


class Surroundings(Protocol):
    """What is known of a cluster."""

    @property
    def nodes(self) -> tuple[NodeView, ...] | None:
        """All nodes; None where they may not be listed."""

    @property
    def quotas(self) -> tuple[QuotaView, ...] | None:
        """Those of the namespace; None where they may not be listed."""

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """Those of the search that are there."""


def quantity(text: str | float) -> float:
    """A quantity as Kubernetes writes it (`500m`, `1Gi`, `2`), as a number; 0 for what is none."""
    found = _QUANTITY.match(str(text))
    if found is None:
        return 0
    number, unit = float(found[1]), found[2] or ""
    return number * 2.0 ** _BINARY[unit] if unit in _BINARY else number * 10.0 ** _DECIMAL.get(unit, 0)


def node_view(item: Json) -> NodeView:
    """A node."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    return NodeView(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        allocatable={name: quantity(text) for name, text in (status.get("allocatable") or {}).items()},
        taints=tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or ()),
        ready=conditions.get("Ready") == "True",
        cordoned=bool(spec.get("unschedulable")),
    )


def quota_view(item: Json) -> QuotaView | None:
    """A quota; None for one that holds for some pods only."""
    spec = item.get("spec") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return None
    hard = {name: quantity(text) for name, text in (spec.get("hard") or {}).items()}
    return QuotaView(item["metadata"]["name"], hard)


def claim_view(field_name: str, item: Json) -> ClaimView:
    """A claim; once bound, its modes are those of its volume."""
    modes = (item.get("status") or {}).get("accessModes") or (item.get("spec") or {}).get("accessModes") or ()
    return ClaimView(field_name, item["metadata"]["name"], frozenset(modes))


def named_claims(spec: NASSearchSpec) -> list[tuple[str, str]]:
    """(field, claim) of every claim that a trial mounts."""
    named = [("spec.data.claim", spec.data), ("spec.checkpoints.claim", spec.checkpoints)]
    claims = [(field, reference.claim) for field, reference in named if reference is not None]
    for number, volume in enumerate(spec.trial.template.volumes):
        name = (volume.persistent_volume_claim or {}).get("claimName")
        if isinstance(name, str) and name:
            claims.append((f"spec.trial.template.volumes[{number}]", name))
    return claims
