"""What a person asks of trials while a search runs: suspend all, give one up, try one again. Pure, called by `plan`.

An attempt is told to stop by a status write (`stoppedAttempt`); only when that is persisted its Job is deleted, so that
whoever sees the attempt end, and whenever, knows that it was neither failure nor preemption.
"""

from datetime import datetime

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_core.workload import trials
from bananas_operator.attempts import stamp
from bananas_operator.survey import Survey, is_terminal
from bananas_operator.views import JobView, Problem, TrialView

CANCELLED_BY_USER = Problem(constants.REASON_CANCELLED_BY_USER, "a person gave it up (kubectl nas cancel)")


def steered(survey: Survey, trial: TrialView, status: NASTrialStatus) -> NASTrialStatus:
    """The status of a trial in flight, with what a person wants of it."""
    if is_terminal(status):
        return status
    attempt = survey.attempts.get(trial.uid)
    if attempt is not None and attempt.number > status.settled_attempt:
        if not (survey.suspended or trial.cancelled) or status.stopped_attempt >= attempt.number:
            return status
        return status.model_copy(update={"attempts": attempt.number, "stopped_attempt": attempt.number})
    return cancelled(status, CANCELLED_BY_USER, survey.now) if trial.cancelled else status


def cancelled(status: NASTrialStatus, problem: Problem, now: datetime) -> NASTrialStatus:
    """The end of a trial without result or failure."""
    return status.model_copy(
        update={
            "phase": "Cancelled",
            "reason": problem.reason,
            "message": problem.message[:2048],  # bound of the API; model_copy does not check
            "next_attempt_time": None,
            "completion_time": stamp(now),
        }
    )


def is_stopped(trial: TrialView, job: JobView) -> bool:
    """Whether an attempt is to end, by the status as it was observed: persisted for certain."""
    ended = trial.terminal or job.attempt <= trial.status.settled_attempt or job.complete or job.failed
    return not ended and job.attempt <= trial.status.stopped_attempt


def is_retried(trial: TrialView) -> bool:
    """Whether a person has asked for another go since the last attempt ended."""
    return trials.is_retried(trial.status, trial.retried_at)
