"""Which pending trials are admitted, and which can never be. Pure, called by `plan`.

The operator alone admits: lowest index first, never beyond parallelism or budget, never an architecture twice with one
seed, or more often than `trial.repeats`.
"""

from collections.abc import Iterator
from datetime import datetime

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_operator import reuse
from bananas_operator.actions import WriteTrial
from bananas_operator.attempts import stamp
from bananas_operator.steering import CANCELLED_BY_USER, cancelled
from bananas_operator.survey import Survey, Verdict, is_admitted, is_terminal
from bananas_operator.views import Problem, TrialView

_EXHAUSTED = Problem(constants.REASON_BUDGET_EXHAUSTED, "the space is exhausted")
NAMED = 3
"""Trials of one architecture that a message names."""
_FAILED = "the search was given up: more than trial.maxFailedTrials failed"


def admit(survey: Survey, statuses: dict[str, NASTrialStatus], *, held: bool, taken: int) -> Iterator[WriteTrial]:
    """Admissions and cancellations, in the order in which they must be written; keeps `statuses` up to date.

    `taken` slots belong to trials of a promotion.
    """
    spec = survey.spec
    if spec is None:
        return
    trials = survey.observed.trials
    first = _Admitted(spec.trial.repeats)
    for trial in trials:
        if is_admitted(statuses[trial.uid]):
            first.note(trial)
    admitted = sum(is_admitted(status) for status in statuses.values())
    in_flight = taken + survey.orphans() + sum(is_admitted(s) and not is_terminal(s) for s in statuses.values())
    for trial in trials:
        if trial.status.phase != "Pending" or not survey.jobs(trial) or survey.stuck(trial):
            continue  # first those whose Job is there already: they take their slot whatever the status says
        first.note(trial)
        admitted, in_flight = admitted + 1, in_flight + 1
        yield _admission(trial, survey, statuses)
    for trial in trials:
        if statuses[trial.uid].phase != "Pending" or trial.deleting or survey.stuck(trial):
            continue
        unwanted = CANCELLED_BY_USER if trial.cancelled else None
        problem = unwanted or trial.problem or first.duplicate(trial, statuses)
        if problem is not None:
            yield cancel(trial, problem, survey, statuses)
        elif not held and in_flight < spec.parallelism and admitted < spec.budget.trials:
            first.note(trial)
            admitted += 1
            donor = reuse.donor_for(trial, survey, statuses)
            if donor is not None:
                statuses[trial.uid] = reuse.taken_over(statuses[trial.uid], donor, survey)
                yield WriteTrial(trial, statuses[trial.uid], f"result of {donor.name} taken over")
                continue
            in_flight += 1
            yield _admission(trial, survey, statuses)


def withdraw(survey: Survey, statuses: dict[str, NASTrialStatus]) -> Iterator[WriteTrial]:
    """Admissions taken back because parallelism was lowered before they were used; highest index first.

    One whose attempt was given up before it started (the template changed) is not used either.
    """
    spec = survey.spec
    surplus = 0
    if spec is not None:
        in_flight = sum(is_admitted(s) and not is_terminal(s) for s in statuses.values())
        surplus = in_flight - spec.parallelism
    for trial in reversed(survey.observed.trials):
        as_observed = statuses[trial.uid] is trial.status  # else its next write is under way
        unused = trial.in_flight and as_observed and _never_ran(trial.status) and not survey.jobs(trial)
        if surplus <= 0 or not unused or trial.deleting or survey.stuck(trial):
            continue
        surplus -= 1
        withdrawn = {"phase": "Pending", "admission_time": None, "message": None}
        statuses[trial.uid] = trial.status.model_copy(update=withdrawn)
        yield WriteTrial(trial, statuses[trial.uid], "admission withdrawn")


def _never_ran(status: NASTrialStatus) -> bool:
    """Whether it waits, and nothing has come of it yet."""
    return status.phase == "Queued" and not _is_tried(status) and status.attempts == status.settled_attempt


def _is_tried(status: NASTrialStatus) -> bool:
    """Whether anything has come of it: time, a checkpoint or an error. The number of attempts does not tell: one may have been
    given up before it started."""
    return status.start_time is not None or status.failure is not None or status.retries + status.interruptions > 0


def end(
    survey: Survey, statuses: dict[str, NASTrialStatus], verdict: Verdict, reached: Problem | None
) -> Iterator[WriteTrial]:
    """Cancellations of what will not run any more, once the search has ended; `reached` is the bound of the budget."""
    for trial in survey.observed.trials:
        status = statuses[trial.uid]
        waits = status.phase == "Queued" and trial.uid not in survey.attempts
        if not (trial.deleting or survey.stuck(trial)) and (
            status.phase == "Pending" or (verdict == "failed" and waits)
        ):
            yield cancel(trial, trial.problem or _ending(verdict, reached, status), survey, statuses)


def _ending(verdict: Verdict, reached: Problem | None, status: NASTrialStatus) -> Problem:
    if verdict == "failed":
        return Problem(constants.REASON_GIVEN_UP if _is_tried(status) else constants.REASON_SEARCH_FAILED, _FAILED)
    if reached is None:
        return _EXHAUSTED
    used = reached.reason == constants.REASON_BUDGET_USED
    return Problem(constants.REASON_BUDGET_EXHAUSTED, reached.message) if used else reached


def cancel(trial: TrialView, problem: Problem, survey: Survey, statuses: dict[str, NASTrialStatus]) -> WriteTrial:
    """The end of a trial that is not admitted, or will not go on; one that has never run is no part of the budget."""
    status = cancelled(statuses[trial.uid], problem, survey.now)
    if not _is_tried(status):
        status = status.model_copy(update={"admission_time": None})
    statuses[trial.uid] = status
    return WriteTrial(trial, status, f"cancelled: {problem.reason}")


def admission_changes(trial: TrialView, now: datetime) -> dict[str, str]:
    """What changes in the status of a trial that gets a slot."""
    return {
        "phase": "Queued",
        "admission_time": stamp(now),
        # With its UID: a trial that is deleted and made anew must not find the other's attempts and checkpoints.
        "checkpoint_directory": f"{trial.name}-{trial.uid[:8]}",
    }


def _admission(trial: TrialView, survey: Survey, statuses: dict[str, NASTrialStatus]) -> WriteTrial:
    status = statuses[trial.uid].model_copy(update=admission_changes(trial, survey.now))
    statuses[trial.uid] = status
    return WriteTrial(trial, status, "admitted")


class _Admitted:
    """Which architectures are admitted, and with which seeds."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._trials: dict[str, dict[int, TrialView]] = {}

    def note(self, trial: TrialView) -> None:
        """Of a trial that is admitted."""
        self._trials.setdefault(trial.hash, {})[trial.seed] = trial

    def duplicate(self, trial: TrialView, statuses: dict[str, NASTrialStatus]) -> Problem | None:
        """Why a trial would be one too many."""
        others = self._trials.get(trial.hash, {})
        same = others.get(trial.seed)
        if same is not None and _retries(trial, same, statuses):
            return None
        if same is not None and self._repeats > 1:
            text = f"trial {same.name} has the same architecture and seed"
        elif len(others) >= self._repeats:
            names = [other.name for other in others.values()]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            text = f"trial {', '.join(names[:NAMED])}{more} has the same architecture"
        else:
            return None
        return Problem(constants.REASON_DUPLICATE_ARCHITECTURE, text)


def _retries(trial: TrialView, last: TrialView, statuses: dict[str, NASTrialStatus]) -> bool:
    """Whether it tries the last trial of its architecture and seed again, which has failed: a person asked for that."""
    origin = trial.spec.origin if trial.spec is not None else None
    again = origin is not None and (origin.method, origin.parent) == ("retry", last.index)
    return again and statuses[last.uid].phase == "Failed"
