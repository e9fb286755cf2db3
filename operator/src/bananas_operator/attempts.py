"""What follows for a trial from its current attempt: the next status, counted exactly once. Pure, called by `plan`.

An attempt is settled by the same status write that counts it (`settledAttempt`): whatever dies in between, the write has
happened or not, and is never done twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_core.api.trial import Failure, NodeFault, Progress
from bananas_core.contract import Report
from bananas_operator.classify import (
    SEARCH_REASONS,
    Blocked,
    Ended,
    FatalForSearch,
    FatalForTrial,
    Interrupted,
    Outcome,
    Result,
    Retryable,
    Running,
    Waiting,
    classify,
)
from bananas_operator.settings import Settings
from bananas_operator.views import ContainerEnded, ContainerRunning, JobView, Problem, ProgressView, TrialView

MAX_NODE_FAULTS = 4
"""As many as the API keeps: more than make a node avoided."""


@dataclass(frozen=True)
class Attempt:
    """The attempt of a trial that is not settled, and what it has come to."""

    number: int
    job: JobView | None
    outcome: Outcome


@dataclass(frozen=True)
class Rules:
    """What a trial's fate depends on besides its attempt."""

    retries: int
    has_success: bool
    now: datetime
    settings: Settings
    saves: bool = True
    """Whether an attempt that is stopped leaves a checkpoint."""


def stamp(when: datetime) -> str:
    """A time as the API writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def current_attempt(trial: TrialView, jobs: tuple[JobView, ...], now: datetime, settings: Settings) -> Attempt | None:
    """The attempt that is not settled: its Job, or what the status remembers of a Job that was deleted."""
    status = trial.status
    unsettled = [job for job in jobs if job.attempt > status.settled_attempt]
    if unsettled:
        job = max(unsettled, key=lambda job: job.attempt)
        return Attempt(job.attempt, job, classify(job, now, settings))
    if status.attempts > status.settled_attempt:
        return Attempt(status.attempts, None, classify(None, now, settings))
    return None


def next_attempt_number(trial: TrialView, jobs: tuple[JobView, ...]) -> int:
    """Rises always, whatever was deleted."""
    status = trial.status
    return max((status.attempts, status.settled_attempt, *(job.attempt for job in jobs))) + 1


def is_healthy(attempt: Attempt, progress: ProgressView | None, now: datetime, settings: Settings) -> bool:
    """Whether an attempt has got so far that image, data and recipe must be good."""
    if not isinstance(attempt.outcome, Running):
        return False
    told = progress is not None and progress.message.attempt == attempt.number
    return told or now >= attempt.outcome.started + timedelta(seconds=settings.healthy_seconds)


def advance(trial: TrialView, attempt: Attempt, progress: ProgressView | None, rules: Rules) -> NASTrialStatus:
    """The status that follows."""
    match attempt.outcome:
        case Waiting(message):
            return _waiting(trial, attempt, message)
        case Running(started):
            return _running(trial, attempt, started, progress, rules)
        case Blocked() as blocked:
            return _blocked(trial, attempt, blocked, rules)
        case ended:
            return _ended(trial, attempt, ended, rules)


def _waiting(trial: TrialView, attempt: Attempt, message: str | None) -> NASTrialStatus:
    """A number alone is not worth a write: until a container runs, the Job itself tells it."""
    status = _with(trial.status, phase="Queued", attempts=attempt.number, message=message)
    return trial.status if status == _with(trial.status, attempts=attempt.number) else status


def _ended(trial: TrialView, attempt: Attempt, outcome: Ended, rules: Rules) -> NASTrialStatus:
    match outcome:
        case Result(report):
            return _succeeded(trial, attempt, report, rules)
        case Interrupted() if attempt.number <= trial.status.stopped_attempt:
            return _stopped(trial, attempt, rules)
        case Interrupted():
            return _interrupted(trial, attempt, outcome, rules)
        case FatalForTrial(reason, message):
            return _failed(trial, attempt, _failure(reason, message), rules)
        case FatalForSearch(reason, message) if not rules.has_success:
            wait = _in(rules, _backoff(attempt.number, rules.settings))
            failure = _failure(reason, message)
            return _back_to_queue(trial, attempt, rules, failure=failure, message=message, next_attempt_time=wait)
        case Retryable(reason, message) | FatalForSearch(reason, message):
            return _retry(trial, attempt, _failure(reason, message), rules)


def _blocked(trial: TrialView, attempt: Attempt, outcome: Blocked, rules: Rules) -> NASTrialStatus:
    if rules.has_success and _age(attempt, rules.now) > rules.settings.blocked_limit_seconds:
        return _retry(trial, attempt, _failure(outcome.reason, outcome.message), rules)
    return _with(trial.status, phase="Queued", attempts=attempt.number, message=outcome.message)


def _failure(reason: str, message: str) -> Failure:
    return Failure(reason=reason, message=message[:2048])


def give_up(trial: TrialView, problem: Problem, now: datetime) -> NASTrialStatus:
    """The status of an admitted trial whose spec cannot be read (any more)."""
    failure = Failure(reason=problem.reason, message=problem.message[:2048])
    return _with(trial.status, phase="Failed", failure=failure, message=failure.message, completion_time=stamp(now))


def supersede(trial: TrialView, attempt: Attempt, why: str) -> NASTrialStatus:
    """The status after giving up an attempt that never started, because its Job would be another one now."""
    return _with(
        trial.status,
        phase="Queued",
        attempts=attempt.number,
        settled_attempt=attempt.number,
        message=f"{why}: a new attempt follows",
        next_attempt_time=None,
    )


def waits_for_mending(status: NASTrialStatus) -> bool:
    """Whether its last attempt met an error that every trial of the search would meet."""
    return status.failure is not None and status.failure.reason in SEARCH_REASONS


def _with(status: NASTrialStatus, **changes: Any) -> NASTrialStatus:
    if isinstance(changes.get("message"), str):
        changes["message"] = changes["message"][:2048]  # bound of the API; model_copy does not check
    return status.model_copy(update=changes)


def _running(
    trial: TrialView, attempt: Attempt, started: datetime, progress: ProgressView | None, rules: Rules
) -> NASTrialStatus:
    status = _with(
        trial.status,
        phase="Running",
        attempts=attempt.number,
        message=None,
        next_attempt_time=None,
        start_time=trial.status.start_time or stamp(started),
        node=_node(attempt) or trial.status.node,
    )
    if progress is None or progress.message.attempt != attempt.number or not progress.differs_from(status.progress):
        return status
    due = max(progress.writable_at, started + timedelta(seconds=rules.settings.progress_seconds))
    if status != trial.status or rules.now >= due:
        return _with(status, progress=progress.progress)
    return status


def _settled(trial: TrialView, attempt: Attempt, rules: Rules, *, wasted: bool, **changes: Any) -> NASTrialStatus:
    seconds = _gpu_seconds(attempt, rules.now)
    status = trial.status
    started = _started(attempt)
    return _with(
        status,
        attempts=attempt.number,
        settled_attempt=attempt.number,
        settled_time=stamp(rules.now),
        gpu_seconds=status.gpu_seconds + seconds,
        gpu_seconds_wasted=status.gpu_seconds_wasted + (seconds if wasted else 0),
        start_time=status.start_time or (stamp(started) if started is not None else None),
        node=_node(attempt) or status.node,
        **changes,
    )


def _succeeded(trial: TrialView, attempt: Attempt, report: Report, rules: Rules) -> NASTrialStatus:
    done = trial.status.progress
    epochs = report.epochs or (done.epochs if done is not None else 0)
    validated = _validation_accuracy(trial, report)
    if epochs:
        done = Progress(epoch=epochs, epochs=epochs, validation_accuracy=validated)
    return _settled(
        trial,
        attempt,
        rules,
        wasted=False,
        phase="Succeeded",
        message=None,
        failure=None,
        next_attempt_time=None,
        completion_time=stamp(_finished(attempt) or rules.now),
        validation_accuracy=validated,
        test_accuracy=_readable(report.test_accuracy) if report.test_accuracy is not None else None,
        parameters=report.parameters,
        multiply_adds=report.multiply_adds,
        device=report.device,
        data_digest=report.data_digest,
        progress=done,
    )


def _validation_accuracy(trial: TrialView, report: Report) -> float | None:
    """None of a training without validation images: what its report calls so is the test accuracy."""
    recipe = trial.spec.recipe if trial.spec is not None else None
    if recipe is not None and recipe.validation_fraction == 0 and report.test_accuracy is not None:
        return None
    return _readable(report.validation_accuracy)


def _readable(accuracy: float) -> float:
    """Six decimals: finer than a million validation images can tell, and fit for a column of `kubectl get`."""
    return round(accuracy, 6)


def _interrupted(trial: TrialView, attempt: Attempt, outcome: Interrupted, rules: Rules) -> NASTrialStatus:
    count = trial.status.interruptions + 1
    counts: dict[str, Any] = {
        "interruptions": count,
        "preemptions": trial.status.preemptions + outcome.preempted,
        "node_faults": _with_fault(trial.status, attempt, rules) if outcome.node_fault else trial.status.node_faults,
    }
    if count > rules.settings.max_interruptions:
        failure = _failure(constants.REASON_INTERRUPTED, f"interrupted {count} times, last: {outcome.message}")
        return _failed(trial, attempt, failure, rules, **counts)
    extra = count - rules.settings.free_interruptions
    wait = _in(rules, _backoff(extra, rules.settings)) if extra > 0 else None
    message = f"interrupted: {outcome.message}"
    return _back_to_queue(trial, attempt, rules, message=message, next_attempt_time=wait, **counts)


def _stopped(trial: TrialView, attempt: Attempt, rules: Rules) -> NASTrialStatus:
    """Ended because a person wanted it: no interruption, no failure, and no waste if the next one goes on from there."""
    wasted = trial.cancelled or not rules.saves
    message = "stopped: the search was suspended"
    return _settled(trial, attempt, rules, wasted=wasted, phase="Queued", message=message, next_attempt_time=None)


def _retry(trial: TrialView, attempt: Attempt, failure: Failure, rules: Rules) -> NASTrialStatus:
    count = trial.status.retries + 1
    counts: dict[str, Any] = {"retries": count, "node_faults": _with_fault(trial.status, attempt, rules)}
    if count > rules.retries:
        return _failed(trial, attempt, failure, rules, **counts)
    wait = _in(rules, _backoff(count, rules.settings))
    return _back_to_queue(
        trial, attempt, rules, failure=failure, message=failure.message, next_attempt_time=wait, **counts
    )


def _with_fault(status: NASTrialStatus, attempt: Attempt, rules: Rules) -> tuple[NodeFault, ...]:
    node = _node(attempt)
    if node is None:
        return status.node_faults
    fault = NodeFault(node=node, time=stamp(_finished(attempt) or rules.now))
    return (*status.node_faults, fault)[-MAX_NODE_FAULTS:]


def _back_to_queue(trial: TrialView, attempt: Attempt, rules: Rules, **changes: Any) -> NASTrialStatus:
    return _settled(trial, attempt, rules, wasted=True, phase="Queued", **changes)


def _failed(trial: TrialView, attempt: Attempt, failure: Failure, rules: Rules, **changes: Any) -> NASTrialStatus:
    return _settled(
        trial,
        attempt,
        rules,
        wasted=True,
        phase="Failed",
        failure=failure,
        message=failure.message,
        next_attempt_time=None,
        completion_time=stamp(_finished(attempt) or rules.now),
        **changes,
    )


def _backoff(count: int, settings: Settings) -> float:
    doubled = settings.retry_backoff_seconds * 2.0 ** min(max(count - 1, 0), 30)
    return float(min(settings.retry_backoff_limit_seconds, doubled))


def _in(rules: Rules, seconds: float) -> str:
    return stamp(rules.now + timedelta(seconds=seconds))


def _age(attempt: Attempt, now: datetime) -> float:
    pod = attempt.job.pod if attempt.job is not None else None
    return (now - pod.created).total_seconds() if pod is not None else 0


def _node(attempt: Attempt) -> str | None:
    return attempt.job.pod.node if attempt.job is not None and attempt.job.pod is not None else None


def _started(attempt: Attempt) -> datetime | None:
    state = attempt.job.pod.state if attempt.job is not None and attempt.job.pod is not None else None
    return state.started if isinstance(state, ContainerEnded | ContainerRunning) else None


def _finished(attempt: Attempt) -> datetime | None:
    state = attempt.job.pod.state if attempt.job is not None and attempt.job.pod is not None else None
    return state.finished if isinstance(state, ContainerEnded) else None


def _gpu_seconds(attempt: Attempt, now: datetime) -> float:
    """From the container's start to its end, or to now where its node is lost, for each GPU that it had."""
    started = _started(attempt)
    if started is None or attempt.job is None or attempt.job.pod is None:
        return 0
    return max(0.0, ((_finished(attempt) or now) - started).total_seconds()) * attempt.job.pod.gpus
