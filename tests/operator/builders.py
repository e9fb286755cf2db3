"""Builders of what a pass sees, and of the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.api.trial import Origin, TableSpec
from bananas_core.contract import Report
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_core.workload.job import template_hash
from bananas_operator.predictor import build_deployment
from bananas_operator.predictor import template_hash as predictor_hash
from bananas_operator.settings import Settings
from bananas_operator.views import (
    ContainerEnded,
    ContainerRunning,
    ContainerState,
    DeploymentView,
    JobView,
    Observed,
    PodView,
    SearchView,
    TrialView,
)

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(jobs_together=1)
ARCHITECTURES = [
    Architecture.of(Nasbench201Architecture(ops=ops))
    for ops in product([op for op in OPERATIONS if op != "none"], repeat=6)
][:200]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def spec(**changes: Any) -> NASSearchSpec:
    """A search over the toy table."""
    base: dict[str, Any] = {
        "space": "nasbench201",
        "evaluator": "table",
        "parallelism": 2,
        "budget": {"trials": 4},
        "strategy": {"name": "random"},
    }
    return NASSearchSpec.model_validate({**base, **changes})


def search(given: NASSearchSpec | None = None, **changes: Any) -> SearchView:
    view = SearchView(
        namespace="lab",
        name="s",
        uid="search-uid",
        version="1",
        generation=1,
        status=NASSearchStatus(),
        spec=given or spec(),
    )
    return replace(view, **changes)


def trial(index: int, phase: str = "Pending", architecture: Architecture | None = None, **status: Any) -> TrialView:
    architecture = architecture or ARCHITECTURES[index]
    if phase not in ("Pending", "Cancelled"):
        status = {"admission_time": "2026-01-01T11:00:00Z", **status}
    return TrialView(
        name=f"s-{index}",
        uid=f"trial-{index}",
        version="1",
        index=index,
        status=NASTrialStatus.model_validate({"phase": phase, **status}),
        spec=NASTrialSpec(
            search="s", index=index, architecture=architecture, table=TableSpec(), origin=Origin(method="random")
        ),
        hash=architecture.hash(),
    )


def pod(state: ContainerState | None = None, **changes: Any) -> PodView:
    view = PodView(name="pod", uid="pod-uid", created=T0, node="node1", image="trainer:1", gpus=1, state=state)
    return replace(view, **changes)


def running(seconds: float = 0) -> ContainerRunning:
    return ContainerRunning(at(seconds))


def ended(
    exit_code: int, message: str = "", reason: str = "Error", *, start: float = 0, end: float = 10
) -> ContainerEnded:
    return ContainerEnded(exit_code, reason, message, at(start), at(end))


def report(index: int = 0, attempt: int = 1, accuracy: float = 0.9, **more: Any) -> str:
    return Report(
        kind="bananas.report/v1", trial_uid=f"trial-{index}", attempt=attempt, validation_accuracy=accuracy, **more
    ).to_message()


def job(index: int = 0, attempt: int = 1, the_pod: PodView | None = None, **changes: Any) -> JobView:
    view = JobView(
        name=f"s-{index}-{attempt}",
        uid=f"job-{index}-{attempt}",
        trial_uid=f"trial-{index}",
        attempt=attempt,
        created=T0,
        template_hash=template_hash(spec(), SETTINGS),
        pod=the_pod,
    )
    return replace(view, **changes)


def deployment(**changes: Any) -> DeploymentView:
    """A predictor that is up to date."""
    view = DeploymentView(
        name="s-predictor",
        uid="deployment-uid",
        created=T0,
        template_hash=predictor_hash(build_deployment(search(), spec(), SETTINGS)),
        image=SETTINGS.predictor_image,
        available=True,
    )
    return replace(view, **changes)


def observed(*trials: TrialView, jobs: tuple[JobView, ...] = (), **changes: Any) -> Observed:
    view = Observed(
        search=search(),
        trials=trials,
        jobs=jobs,
        deployment=deployment(),
        predictor_checked_at=T0,
    )
    return replace(view, **changes)
