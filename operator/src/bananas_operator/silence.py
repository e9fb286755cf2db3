"""Attempts of which nothing is heard any more: their node is silent, or their trainer tells no progress. Pure.

Called by `survey` for every attempt that `classify` takes for one that goes on. It holds no clock of its own: what counts
is in the pod, in the trial's status and in when this process began to listen, so that a restart ends nothing too early.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_operator.attempts import Attempt
from bananas_operator.classify import Blocked, Interrupted, Retryable, Running, Waiting
from bananas_operator.views import Observed, PodView, TrialView


@dataclass(frozen=True)
class Bounds:
    """How long a search bears silence."""

    node_loss: timedelta
    no_progress: timedelta | None
    """None where hangs are not looked for: not asked for, or no trainer of the search has ever been heard."""
    listening_since: datetime | None
    field: str = "spec.trial.noProgressSeconds"
    """Where `no_progress` was asked for."""


def bounds(spec: NASSearchSpec, observed: Observed, *, promoted: bool = False) -> Bounds:
    """The bounds of a search, or of its promotion, whose trainings are longer ones."""
    of_promotion = spec.promote.no_progress_seconds if spec.promote is not None else None
    asked = of_promotion if promoted else spec.trial.no_progress_seconds
    heard = asked is not None and _ever_heard(observed)
    return Bounds(
        node_loss=timedelta(seconds=spec.trial.node_loss_timeout_seconds),
        no_progress=timedelta(seconds=asked) if asked is not None and heard else None,
        listening_since=observed.watched_since,
        field="spec.promote.noProgressSeconds" if promoted else Bounds.field,
    )


def _ever_heard(observed: Observed) -> bool:
    """A way for progress that never worked tells nothing of those who are silent."""
    written = (trial.status.progress for trial in observed.trials)
    return bool(observed.progress) or any(progress is not None and progress.time is not None for progress in written)


def judged(attempt: Attempt, trial: TrialView, observed: Observed, limits: Bounds, now: datetime) -> Attempt:
    """The attempt; ended, if nothing was heard of it for too long."""
    pod = attempt.job.pod if attempt.job is not None else None
    if pod is None or not isinstance(attempt.outcome, Running | Waiting | Blocked):
        return attempt
    lost = _lost_at(pod, limits)
    if lost is not None and now >= lost:
        message = f"its node {pod.node or ''} has not answered since {pod.silent_since:%H:%M:%S} UTC"
        return replace(attempt, outcome=Interrupted(message, node_fault=True))
    hung = _hung_at(attempt, trial, observed, limits)
    if hung is not None and now >= hung:
        return replace(attempt, outcome=_hang(limits))
    return attempt


def due(attempt: Attempt, trial: TrialView, observed: Observed, limits: Bounds) -> tuple[datetime, ...]:
    """When an attempt will be ended if nothing more is heard of it."""
    pod = attempt.job.pod if attempt.job is not None else None
    if pod is None:
        return ()
    times = (_lost_at(pod, limits), _hung_at(attempt, trial, observed, limits))
    return tuple(when for when in times if when is not None)


def _lost_at(pod: PodView, limits: Bounds) -> datetime | None:
    return pod.silent_since + limits.node_loss if pod.silent_since is not None else None


def _hung_at(attempt: Attempt, trial: TrialView, observed: Observed, limits: Bounds) -> datetime | None:
    if limits.no_progress is None or not isinstance(attempt.outcome, Running):
        return None
    signs = [attempt.outcome.started]
    if limits.listening_since is not None:
        signs.append(limits.listening_since)
    told = observed.progress_of.get(trial.uid)
    if told is not None:
        signs.append(told.told_at)
    written = trial.status.progress
    if written is not None and written.time is not None:
        signs.append(datetime.fromisoformat(written.time))
    return max(signs) + limits.no_progress


def _hang(limits: Bounds) -> Retryable:
    seconds = limits.no_progress.total_seconds() if limits.no_progress is not None else 0
    return Retryable(
        constants.REASON_HANG,
        f"no progress for {seconds:.0f} s, {limits.field}: raise it if an epoch takes longer. If the log shows "
        "epochs, the trainer does not reach the operator's Service: let it, or unset the field",
    )
