"""What breaks when: a pure function of the seed. Called by `run`, which stops taking from it when it has seen enough.

Kinds come in rounds, each kind once a round in an order of its own, so that all strike equally often at any time.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can break."""

    OPERATOR = "operator killed"
    PREDICTOR = "predictor killed"
    TRIAL = "trial killed"
    KUBELET = "kubelet"
    API_SERVER = "kube-apiserver"
    ETCD = "etcd"
    SCHEDULER = "kube-scheduler"
    CONTROLLERS = "kube-controller-manager"
    NODE = "node deleted"
    PREEMPTION = "preemption"
    API_ERRORS = "API: errors"
    API_SLOW = "API: slow answers"
    ANSWERS_LOST = "API: answers lost"
    WATCHES_CUT = "API: watches cut"
    WATCHES_STALLED = "API: watches stalled"
    WATCHES_REPLAYED = "API: watches replayed"
    WATCHES_EXPIRED = "API: watches expired"


PROCESSES = (Kind.KUBELET, Kind.API_SERVER, Kind.ETCD, Kind.SCHEDULER, Kind.CONTROLLERS)
"""Parts of Kubernetes that are killed (and started again) or paused."""
API = tuple(kind for kind in Kind if kind.startswith("API:"))
"""Faults of the proxy between our pods and the API server."""
GAP_SECONDS = (1.4, 3.4)
"""Between two strikes; two cores must have time to start again what was killed."""
PAUSE_SECONDS = (1.5, 5.0)
"""Of a paused process, and of a node that is away."""


@dataclass(frozen=True)
class Strike:
    """One fault."""

    at: float
    """Seconds since the start."""
    kind: Kind
    choice: float
    """In [0, 1): which of the possible targets, in an order that does not depend on the seed."""
    pause: float | None
    """Seconds that the target is paused or away; None where it is killed."""

    def pick(self, count: int) -> int:
        """The index of the target among so many."""
        return min(int(self.choice * count), count - 1)


def schedule(seed: int) -> Iterator[Strike]:
    """All strikes of a seed, without end."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    at = 0.0
    while True:
        for kind in rng.sample(list(Kind), len(Kind)):
            at += rng.uniform(*GAP_SECONDS)
            choice, pause, is_kill = rng.random(), rng.uniform(*PAUSE_SECONDS), rng.random() < 0.5
            killed = kind in PROCESSES and is_kill
            pausable = kind in PROCESSES or kind is Kind.NODE
            yield Strike(at, kind, choice, pause if pausable and not killed else None)
