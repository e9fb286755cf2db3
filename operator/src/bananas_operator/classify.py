"""What an attempt came to, from its Job and pod: pure, called by `attempts` for every attempt that is not yet settled.

It looks at one attempt only; what follows from an outcome (next attempt, failure, stop of the search) is not its matter.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from bananas_core import constants, contract
from bananas_core.contract import ExitCode, FailureReport, Report
from bananas_core.errors import ContractError
from bananas_operator.views import ContainerEnded, ContainerRunning, ContainerWaiting, JobView, PodView

IMAGE_REASONS: Final = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    )
)
CONFIG_REASONS: Final = frozenset(("CreateContainerConfigError", "CreateContainerError", "RunContainerError"))
START_REASONS: Final = frozenset(("StartError", "ContainerCannotRun"))
CUT_SHORT: Final = (
    "failed to start shim",
    "signal: killed",
    "context canceled",
    "context deadline exceeded",
    "ttrpc: closed",
    "shim disconnected",
    "transport is closing",
)
"""What a container runtime says of a start that was cut short on the node, as by a kubelet that was killed in the middle of it: not
what it says of a command that is not there."""
PREEMPTION_REASONS: Final = frozenset(("Evicted", "Preempting", "Shutdown", "Terminated"))
"""status.reason of a pod that its kubelet ended: pressure on the node, a critical pod that needs the room, a shutdown."""
REFUSAL_REASONS: Final = frozenset(
    (
        "Evicted",
        "InvalidNodeInfo",
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "SMTAlignmentError",
        "TopologyAffinityError",
        "UnexpectedAdmissionError",
        "UnexpectedPredicateFailureType",
    )
)
"""status.reason of a pod that its kubelet did not let in, beside OutOfcpu, OutOfmemory, OutOfnvidia.com/gpu and the like:
the scheduler knew the node otherwise, or its devices went away."""
PREEMPTION_DISRUPTIONS: Final = frozenset(
    ("PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager", "TerminationByKubelet")
)
"""Reasons of the condition DisruptionTarget that are a preemption, an eviction or a drain."""
NODE_DISRUPTIONS: Final = frozenset(("DeletionByPodGC", "TerminationByKubelet"))
"""Those that tell against the node: it is gone, or had no room for what the scheduler gave it."""
VANISHED_REASONS: Final = frozenset(("ContainerStatusUnknown", "Unknown"))
"""Why a container has ended of which the runtime has no memory: the node was started anew, or its runtime was."""
KILLED: Final = frozenset((128 + 9, 128 + 15))
FATAL_FOR_SEARCH: Final = frozenset(
    (
        ExitCode.CONTRACT_BROKEN,
        ExitCode.DATA_INVALID,
        ExitCode.DATA_MISSING,
        ExitCode.CHECKPOINT_UNUSABLE,
        ExitCode.RECIPE_INVALID,
    )
)
FATAL_FOR_TRIAL: Final = frozenset((ExitCode.OUT_OF_DEVICE_MEMORY, ExitCode.DIVERGED))
SEARCH_REASONS: Final = frozenset(
    (
        *(contract.REASON_OF_EXIT_CODE[code] for code in FATAL_FOR_SEARCH),
        constants.REASON_IMAGE_UNAVAILABLE,
        constants.REASON_CONTAINER_CONFIG,
        constants.REASON_VOLUME_UNAVAILABLE,
    )
)
"""Reasons of failures that every other trial of the search would meet too."""


_TOO_LONG: Final = "it ran longer than spec.trial.deadlineSeconds (in a promotion: spec.promote.deadlineSeconds)"


@dataclass(frozen=True)
class Waiting:
    """No container has run yet; `message` says for what it waits, if it is known."""

    message: str | None = None


@dataclass(frozen=True)
class Running:
    """Its container runs."""

    started: datetime


@dataclass(frozen=True)
class Blocked:
    """Its container cannot start (image, configuration); the kubelet goes on trying."""

    reason: str
    message: str


@dataclass(frozen=True)
class Result:
    """It has a result."""

    report: Report


@dataclass(frozen=True)
class Interrupted:
    """It was ended from outside: no failure."""

    message: str
    preempted: bool = False
    """Whether by a pod of higher priority, an eviction or a drain."""
    node_fault: bool = False
    """Whether it tells against the node."""


@dataclass(frozen=True)
class Retryable:
    """An error that may pass."""

    reason: str
    message: str


@dataclass(frozen=True)
class FatalForTrial:
    """An error that every attempt of this trial would meet."""

    reason: str
    message: str


@dataclass(frozen=True)
class FatalForSearch:
    """An error that every trial of this search would meet."""

    reason: str
    message: str


class Patience(Protocol):
    """The part of the settings that matters here."""

    @property
    def lost_seconds(self) -> float:
        """Past its grace period a pod that is still there is on a lost node."""

    @property
    def unschedulable_seconds(self) -> float:
        """A pod not placed for this long is worth a message."""


Outcome = Waiting | Running | Blocked | Result | Interrupted | Retryable | FatalForTrial | FatalForSearch
Ended = Result | Interrupted | Retryable | FatalForTrial | FatalForSearch


def classify(job: JobView | None, now: datetime, patience: Patience) -> Outcome:
    """What an attempt has come to; a Job that is not there was deleted by somebody."""
    if job is None:
        return Interrupted("its Job was deleted")
    if _is_held_back(job):
        return _held_back(job, job.pod)
    if job.pod is not None:
        return _classify_pod(job, job.pod, now, patience)
    if job.complete or job.failed:
        return Interrupted(f"its pod was deleted before its report was read{_colon(job.failed_message)}")
    return Waiting(job.refusal)


def _exited_well(pod: PodView | None) -> bool:
    return pod is not None and isinstance(pod.state, ContainerEnded) and pod.state.exit_code == ExitCode.OK


def _is_held_back(job: JobView) -> bool:
    """Whether a queue has suspended it, or let it go and what there is of a pod is from before.

    Its pod ends, and the same Job gets another one when the queue lets it: no attempt has ended.
    """
    if job.complete or job.failed or _exited_well(job.pod):
        return False
    from_before = job.resumed is not None and job.pod is not None and job.pod.created < job.resumed
    return job.suspended or (from_before and job.pod is not None and job.pod.deletion is not None)


def _held_back(job: JobView, pod: PodView | None) -> Waiting | Running:
    if pod is not None and isinstance(pod.state, ContainerRunning):
        return Running(pod.state.started)
    by = "its Job is suspended: it waits for the queue, or the person, that has suspended it"
    return Waiting(by if job.suspended else None)


def _classify_pod(job: JobView, pod: PodView, now: datetime, patience: Patience) -> Outcome:
    if isinstance(pod.state, ContainerEnded):
        return _ended(job, pod, pod.state)
    if pod.phase == "Failed":
        return _failed_without_container(pod)
    if pod.deletion is not None and now >= pod.deletion + timedelta(seconds=patience.lost_seconds):
        message = f"its pod was deleted and its node {pod.node or ''} does not answer"
        return Interrupted(message, node_fault=pod.node is not None)
    if isinstance(pod.state, ContainerRunning):
        return Running(pod.state.started)
    if isinstance(pod.state, ContainerWaiting):
        return _waiting(pod, pod.state)
    waits = pod.unschedulable and now >= pod.created + timedelta(seconds=patience.unschedulable_seconds)
    return Waiting(f"waits for a node: {pod.unschedulable}" if waits else None)


def _waiting(pod: PodView, state: ContainerWaiting) -> Outcome:
    if state.reason in IMAGE_REASONS:
        return Blocked(
            constants.REASON_IMAGE_UNAVAILABLE,
            f"image {pod.image} cannot be pulled ({state.reason}{_colon(state.message)}). Make it available, or set "
            "spec.trial.template.image, imagePullSecrets or imagePullPolicy",
        )
    if state.reason in CONFIG_REASONS:
        return Blocked(
            constants.REASON_CONTAINER_CONFIG,
            f"the container cannot be started ({state.reason}{_colon(state.message)}). Mend env, volumes or command in "
            "spec.trial.template, or make what they name",
        )
    if pod.mount_problem is not None:
        return Blocked(
            constants.REASON_VOLUME_UNAVAILABLE,
            f"a volume cannot be mounted: {pod.mount_problem}. Create what it names, or mend volumes in spec.trial.template",
        )
    return Waiting()


def _ended(job: JobView, pod: PodView, state: ContainerEnded) -> Ended:
    if state.exit_code == ExitCode.OK:
        return _report(job, state)
    if state.reason == "OOMKilled":
        limit = "spec.trial.template.resources.limits.memory"
        return FatalForTrial(constants.REASON_OUT_OF_MEMORY, f"the container used more memory than {limit} allows")
    if pod.reason == "DeadlineExceeded":
        return FatalForTrial(constants.REASON_DEADLINE_EXCEEDED, _TOO_LONG)
    if pod.reason == "Evicted" and pod.disrupted is None:
        return FatalForTrial(constants.REASON_OUT_OF_SCRATCH, _scratch(pod))
    if pod.disrupted is not None or pod.reason in PREEMPTION_REASONS:
        return _disrupted(pod)
    return _by_exit_code(pod, state)


def _scratch(pod: PodView) -> str:
    """A pod that is evicted for what the node lacks carries DisruptionTarget; one that broke its own bounds does not."""
    return f"{pod.message or 'evicted'}. Raise the bound in spec.trial.template: sizeLimit of a volume, or ephemeral-storage"


def _disrupted(pod: PodView) -> Interrupted:
    by_kubelet = pod.disruption == "" and pod.reason in PREEMPTION_REASONS
    return Interrupted(
        pod.disrupted or pod.message or pod.reason,
        preempted=by_kubelet or pod.disruption in PREEMPTION_DISRUPTIONS,
        node_fault=(by_kubelet or pod.disruption in NODE_DISRUPTIONS) and pod.reason != "Preempting",
    )


def _report(job: JobView, state: ContainerEnded) -> Result | Retryable:
    try:
        report = Report.read(state.message)
    except ContractError as error:
        return Retryable(constants.REASON_NO_REPORT, f"exit code 0, but no report in the termination message: {error}")
    if (report.trial_uid, report.attempt) != (job.trial_uid, job.attempt):
        return Retryable(
            constants.REASON_NO_REPORT,
            f"its report is of trial UID {report.trial_uid}, attempt {report.attempt}; want {job.trial_uid}, {job.attempt}",
        )
    return Result(report)


def _by_exit_code(pod: PodView, state: ContainerEnded) -> Ended:
    if state.reason in VANISHED_REASONS:
        return Interrupted(f"its container vanished ({state.reason}, exit code {state.exit_code})", node_fault=True)
    if state.exit_code in (ExitCode.INTERRUPTED, ExitCode.FENCED):
        return Interrupted(f"it was stopped (exit code {state.exit_code})")
    if state.exit_code in KILLED:
        # Not by its own memory limit, and nobody deleted the pod: perhaps by a node whose memory is used up.
        return Interrupted(f"it was killed (exit code {state.exit_code})", node_fault=pod.deletion is None)
    if state.reason in START_REASONS and any(words in state.message for words in CUT_SHORT):
        return Interrupted(f"the start of its container was cut short on the node: {state.message}", node_fault=True)
    if state.reason in START_REASONS:
        return FatalForSearch(
            constants.REASON_CONTAINER_CONFIG,
            f"the container cannot be started ({state.reason}{_colon(state.message)}). Mend spec.trial.template.command or image",
        )
    return _error(pod, state)


def _error(pod: PodView, state: ContainerEnded) -> Ended:
    try:
        code = ExitCode(state.exit_code)
    except ValueError:
        code = None
    message = _failure_message(state)
    reason = contract.REASON_OF_EXIT_CODE[code] if code is not None else constants.REASON_PROGRAM_ERROR
    if code in FATAL_FOR_SEARCH:
        return FatalForSearch(reason, message)
    if code in FATAL_FOR_TRIAL:
        return FatalForTrial(reason, message)
    if pod.deletion is not None:
        return Interrupted(f"its pod was deleted (exit code {state.exit_code})")
    return Retryable(reason, message)


def _failure_message(state: ContainerEnded) -> str:
    """The trainer's own words, else the end of whatever it left."""
    try:
        return FailureReport.read(state.message).message[:1500]
    except ContractError:
        return f"exit code {state.exit_code}{_colon(state.message.strip()[-1000:])}"


def _failed_without_container(pod: PodView) -> Ended:
    if pod.reason == "DeadlineExceeded":
        return FatalForTrial(constants.REASON_DEADLINE_EXCEEDED, _TOO_LONG)
    if pod.disrupted is not None:
        return _disrupted(pod)
    if pod.reason in REFUSAL_REASONS or pod.reason in PREEMPTION_REASONS or pod.reason.startswith("OutOf"):
        return Interrupted(f"its node turned it away: {pod.reason}{_colon(pod.message)}", node_fault=True)
    if pod.deletion is not None:
        return Interrupted(pod.message or "its pod was deleted")
    return Retryable(constants.REASON_PROGRAM_ERROR, f"its pod failed: {pod.reason}{_colon(pod.message)}")


def _colon(text: str) -> str:
    return f": {text}" if text else ""
