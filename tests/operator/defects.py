"""Rules of the operator, broken one by one: what the histories must find, or they prove nothing.

Each is a change of one rule as somebody might make it by mistake. `broken` makes it for a while.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from bananas_core.api import NASTrialStatus
from bananas_operator import admission, attempts, plan, steering, survey
from bananas_operator.actions import DeleteJob, Plan
from bananas_operator.views import JobView, TrialView

from . import model
from .model import Cluster


@dataclass(frozen=True)
class Defect:
    """A rule that is not kept."""

    patches: Callable[[], tuple[Any, ...]] = tuple
    fenced: bool = True


def _no_jobs(_seen: survey.Survey, trial: TrialView) -> bool:
    return trial.in_flight


def _number(trial: TrialView, jobs: tuple[JobView, ...]) -> int:
    return max((0, *(job.attempt for job in jobs))) + 1


def _at_once(seen: survey.Survey, trial: TrialView, job: JobView) -> bool:
    return job.complete or job.failed


def _one_more(seen: survey.Survey, statuses: dict[str, NASTrialStatus], **given: Any) -> Iterator[Any]:
    spec = seen.observed.search.spec
    assert spec is not None
    more = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": spec.budget.trials + 1})})
    search = replace(seen.observed.search, spec=more)
    return _ADMIT(replace(seen, observed=replace(seen.observed, search=search)), statuses, **given)


def _settled_again(trial: TrialView, jobs: tuple[JobView, ...], *rest: Any) -> Any:
    seen = replace(trial, status=trial.status.model_copy(update={"settled_attempt": 0}))
    return _CURRENT(seen, jobs, *rest)


def _deletions_first(*given: Any) -> Plan:
    todo = plan.plan(*given)
    return replace(todo, actions=tuple(sorted(todo.actions, key=lambda action: not isinstance(action, DeleteJob))))


_ADMIT = admission.admit
_CURRENT = attempts.current_attempt

DEFECTS: dict[str, Defect] = {
    "Jobs are left out of what is in flight": Defect(
        lambda: (
            patch.object(survey.Survey, "works", _no_jobs),
            patch.object(survey.Survey, "orphans", lambda _: 0),
            patch.object(plan, "_at_work", lambda *_: 0),
        )
    ),
    "a Job is deleted before its end is recorded": Defect(
        lambda: (
            patch.object(plan, "_is_spent", _at_once),
            patch.object(model, "plan", _deletions_first),
        )
    ),
    "an attempt is settled again": Defect(lambda: (patch.object(survey, "current_attempt", _settled_again),)),
    "the number of an attempt is used again": Defect(lambda: (patch.object(plan, "next_attempt_number", _number),)),
    "the budget is taken for one more": Defect(lambda: (patch.object(admission, "admit", _one_more),)),
    "an architecture is admitted twice": Defect(
        lambda: (patch.object(admission._Admitted, "duplicate", lambda *_: None),)
    ),
    "statuses are written whatever their version": Defect(
        lambda: (patch.object(Cluster, "_check_version", lambda *_: None),)
    ),
    "a terminal status is revised": Defect(
        lambda: (
            patch.object(TrialView, "in_flight", property(lambda trial: trial.admitted)),
            patch.object(steering, "is_terminal", lambda _: False),
        )
    ),
    "a paused leader writes when it wakes": Defect(fenced=False),
}


@contextmanager
def broken(defect: Defect) -> Iterator[None]:
    """With a rule that is not kept."""
    patches = defect.patches()
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()
