"""What a pass sees of the cluster, frozen and typed; `observe` makes it, `plan` and its parts read it. No behaviour."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.api.trial import TERMINAL_PHASES, Progress
from bananas_core.contract import ProgressMessage
from bananas_core.workload.surroundings import ClaimView, NodeView, QuotaView


def is_admitted(status: NASTrialStatus) -> bool:
    """Whether a trial counts for the budget: also one that was given up after it had been admitted."""
    given_up = status.phase == "Cancelled" and status.admission_time is not None
    return given_up or status.phase in ("Queued", "Running", "Succeeded", "Failed")


@dataclass(frozen=True)
class ContainerWaiting:
    """A container that does not run (yet, or again)."""

    reason: str
    message: str


@dataclass(frozen=True)
class ContainerRunning:
    """A container that runs."""

    started: datetime


@dataclass(frozen=True)
class ContainerEnded:
    """A container that has ended."""

    exit_code: int
    reason: str
    message: str
    started: datetime | None
    finished: datetime | None


ContainerState = ContainerWaiting | ContainerRunning | ContainerEnded


@dataclass(frozen=True)
class PodView:
    """A pod of a trial or of a predictor."""

    name: str
    uid: str
    created: datetime
    deletion: datetime | None = None
    """When its grace period ends, if it is being deleted."""
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    disrupted: str | None = None
    """Message of the DisruptionTarget condition, if it is true."""
    disruption: str = ""
    """Reason of that condition: who ended the pod."""
    silent_since: datetime | None = None
    """Since when its node says nothing, though its container ran last."""
    unschedulable: str | None = None
    node: str | None = None
    image: str = ""
    gpus: float = 0
    available: bool = False
    unready_since: datetime | None = None
    """Since when its condition Ready has been false."""
    state: ContainerState | None = None
    mount_problem: str | None = None
    """Why a volume of it could not be mounted when that was last tried."""
    restarts: int = 0
    last_message: str = ""
    """Why its container ended the last time, if it was started anew."""


@dataclass(frozen=True)
class JobView:
    """An attempt of a trial."""

    name: str
    uid: str
    trial_uid: str
    attempt: int
    created: datetime
    template_hash: str = ""
    deleting: bool = False
    suspended: bool = False
    """Whether a queue, or a person, holds it back; never we."""
    resumed: datetime | None = None
    """When it was let go last, if it was held back before."""
    complete: bool = False
    failed: bool = False
    failed_message: str = ""
    pod: PodView | None = None
    refusal: str | None = None
    """Message of the newest FailedCreate event since its pod was last there."""
    avoids: tuple[str, ...] = ()
    """Nodes that its pod must not run on, because they failed."""


@dataclass(frozen=True)
class Problem:
    """Why something cannot be, as one word and for a person."""

    reason: str
    message: str


@dataclass(frozen=True)
class TrialView:
    """A trial of the search."""

    name: str
    uid: str
    version: str
    index: int
    status: NASTrialStatus
    spec: NASTrialSpec | None = None
    hash: str = ""
    problem: Problem | None = None
    """Why it cannot be admitted, whatever the others are."""
    unreadable: Problem | None = None
    """What of its status cannot be read: it is left as it is, and takes its place."""
    deleting: bool = False
    cancelled: bool = False
    """Whether a person has given it up."""
    retried_at: datetime | None = None
    """When a person asked for another go last."""

    @property
    def promoted(self) -> bool:
        """Whether it trains a winner to the end: no part of the search proper."""
        return self.spec is not None and self.spec.origin.method == "promotion"

    @property
    def seed(self) -> int:
        """Seed of its training; 0 where the spec does not parse."""
        return self.spec.seed if self.spec is not None else 0

    @cached_property
    def terminal(self) -> bool:
        """Whether it has ended; then its status is never revised."""
        return self.status.phase in TERMINAL_PHASES

    @cached_property
    def admitted(self) -> bool:
        """Whether it counts for the budget."""
        return is_admitted(self.status)

    @cached_property
    def in_flight(self) -> bool:
        """Whether it is admitted and has not ended."""
        return self.admitted and not self.terminal


@dataclass(frozen=True)
class Donor:
    """A trial of another search of the namespace that has a result."""

    name: str
    hash: str
    spec: NASTrialSpec
    status: NASTrialStatus


@dataclass(frozen=True)
class SearchView:
    """The search."""

    namespace: str
    name: str
    uid: str
    version: str
    generation: int
    status: NASSearchStatus
    spec: NASSearchSpec | None = None
    problem: str | None = None
    """Which field of the spec cannot be, if the API server let one through."""
    deleting: bool = False


@dataclass(frozen=True)
class DeploymentView:
    """The predictor's Deployment and its pods."""

    name: str
    uid: str
    created: datetime
    template_hash: str = ""
    deleting: bool = False
    replicas: int = 1
    """As its spec says; a person may have changed it."""
    image: str = ""
    """Of the predictor's container, as its spec says."""
    available: bool = False
    refusal: str | None = None
    """Message of the ReplicaFailure condition, if it is true."""
    pods: tuple[PodView, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that the API server refused when it was last asked; asked again at `retry_at`."""

    kind: str
    name: str
    problem: Problem
    retry_at: datetime
    count: int = 1


@dataclass(frozen=True)
class Facts:
    """What is not watched but asked: whether claims exist, and what the API server says to the template."""

    missing_claims: tuple[tuple[str, str], ...] = ()
    """(field, claim) of claims that do not exist."""
    template: Problem | None = None
    """Why the API server refuses a Job of the template, if it does."""
    check_again_at: datetime | None = None
    claims: tuple[ClaimView, ...] = ()
    """Those of spec.data and spec.checkpoints that are there."""
    nodes: tuple[NodeView, ...] | None = None
    """None where the operator may not list them."""
    quotas: tuple[QuotaView, ...] | None = None


@dataclass(frozen=True)
class ProgressView:
    """What the trainer said last of the current attempt of a trial."""

    message: ProgressMessage
    writable_at: datetime
    """When it may go into the status by itself."""
    told_at: datetime
    """When the trainer got so far, by the operator's clock."""

    @property
    def progress(self) -> Progress:
        """As the status has it."""
        message, told = self.message, self.told_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Progress(
            epoch=message.epoch, epochs=message.epochs, validation_accuracy=message.validation_accuracy, time=told
        )

    def differs_from(self, written: Progress | None) -> bool:
        """Whether it says more than the status; hearing the same again does not."""
        return written is None or self.progress != written.model_copy(update={"time": self.progress.time})


@dataclass(frozen=True)
class Observed:
    """Everything of one search."""

    search: SearchView
    trials: tuple[TrialView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    deployment: DeploymentView | None = None
    facts: Facts = field(default_factory=Facts)
    findings: tuple[Finding, ...] = ()
    progress: tuple[tuple[str, ProgressView], ...] = ()
    """By trial UID."""
    watched_since: datetime | None = None
    """When this process first looked at the search; what trainers told before, it did not hear."""
    donors: tuple[Donor, ...] = ()
    """Trials whose results may be taken over, by name; only where spec.trial.reuseResults asks for it."""
    ask_again_at: datetime | None = None
    """When the question comes again why a container does not start."""
    status_held_until: datetime | None = None
    """Until when numbers of the search's status need not be written; None: write them."""
    predictor_checked_at: datetime | None = None
    """When ServiceAccount and RoleBinding were last seen to be there."""
    predictor_mended_at: datetime | None = None
    """When its Deployment was last written."""
    predictor_rewritten: tuple[str, str] | None = None
    """The image that was sent then, and the one that the API server kept in its place; None where they are the same."""
    winner_checked_at: datetime | None = None
    """When the ConfigMap with the winner was last seen to be there, and right."""

    @cached_property
    def jobs_of(self) -> dict[str, tuple[JobView, ...]]:
        """Jobs by trial UID, by attempt."""
        found: dict[str, list[JobView]] = {}
        for job in sorted(self.jobs, key=lambda job: job.attempt):
            found.setdefault(job.trial_uid, []).append(job)
        return {uid: tuple(jobs) for uid, jobs in found.items()}

    @cached_property
    def progress_of(self) -> dict[str, ProgressView]:
        """Progress by trial UID."""
        return dict(self.progress)

    @cached_property
    def _finding_of(self) -> dict[tuple[str, str], Finding]:
        return {(found.kind, found.name): found for found in self.findings}

    def finding(self, kind: str, name: str) -> Finding | None:
        """What was found of an object that the operator wanted to make."""
        return self._finding_of.get((kind, name))
