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
from bananas_operator.survey import Survey, Verdict, is_admitted, is_terminal
from bananas_operator.views import Problem, TrialView

_ENDINGS = {
    "complete": Problem(constants.REASON_BUDGET_EXHAUSTED, "all of budget.trials were admitted"),
    "exhausted": Problem(constants.REASON_BUDGET_EXHAUSTED, "the space is exhausted"),
    "failed": Problem(
        constants.REASON_SEARCH_FAILED, "the search was given up: more than trial.maxFailedTrials failed"
    ),
}


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
        if trial.status.phase != "Pending" or not survey.jobs(trial):
            continue  # first those whose Job is there already: they take their slot whatever the status says
        first.note(trial)
        admitted, in_flight = admitted + 1, in_flight + 1
        yield _admission(trial, survey, statuses)
    for trial in trials:
        if statuses[trial.uid].phase != "Pending" or trial.deleting:
            continue
        problem = trial.problem or first.duplicate(trial)
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
    """Admissions taken back because parallelism was lowered before they were used; highest index first."""
    spec = survey.spec
    surplus = 0
    if spec is not None:
        in_flight = sum(is_admitted(s) and not is_terminal(s) for s in statuses.values())
        surplus = in_flight - spec.parallelism
    for trial in reversed(survey.observed.trials):
        unused = trial.in_flight and trial.status.attempts == 0 and not survey.jobs(trial)
        if surplus <= 0 or not unused or trial.deleting:
            continue
        surplus -= 1
        statuses[trial.uid] = trial.status.model_copy(update={"phase": "Pending", "admission_time": None})
        yield WriteTrial(trial, statuses[trial.uid], "admission withdrawn")


def end(survey: Survey, statuses: dict[str, NASTrialStatus], verdict: Verdict) -> Iterator[WriteTrial]:
    """Cancellations of what will not run any more, once the search has ended."""
    problem = _ENDINGS[verdict]
    for trial in survey.observed.trials:
        status = statuses[trial.uid]
        waits = status.phase == "Queued" and trial.uid not in survey.attempts
        if not trial.deleting and (status.phase == "Pending" or (verdict == "failed" and waits)):
            yield cancel(trial, trial.problem or problem, survey, statuses)


def cancel(trial: TrialView, problem: Problem, survey: Survey, statuses: dict[str, NASTrialStatus]) -> WriteTrial:
    """The end of a trial that is not admitted."""
    status = statuses[trial.uid].model_copy(
        update={
            "phase": "Cancelled",
            "reason": problem.reason,
            "message": problem.message,
            "next_attempt_time": None,
            "completion_time": stamp(survey.now),
        }
    )
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
        self._names: dict[str, dict[int, str]] = {}

    def note(self, trial: TrialView) -> None:
        """Of a trial that is admitted."""
        self._names.setdefault(trial.hash, {})[trial.seed] = trial.name

    def duplicate(self, trial: TrialView) -> Problem | None:
        """Why a trial would be one too many."""
        names = self._names.get(trial.hash, {})
        if trial.seed in names and self._repeats > 1:
            text = f"trial {names[trial.seed]} has the same architecture and seed"
        elif len(names) >= self._repeats:
            text = f"trial {', '.join(names.values())} has the same architecture"
        else:
            return None
        return Problem(constants.REASON_DUPLICATE_ARCHITECTURE, text)
