"""When a search has had enough (`spec.budget`), and when it probably will. Pure, called by `plan` and `conditions`.

A bound that is reached ends admission: what is in flight finishes, so that a bound of time is exceeded by that and no more.
"""

from datetime import datetime, timedelta
from math import ceil

from bananas_core import constants
from bananas_core.api import NASSearchStatus, NASTrialStatus
from bananas_core.workload import capacity
from bananas_operator.attempts import stamp
from bananas_operator.best import best, finished
from bananas_operator.classify import Running
from bananas_operator.survey import Survey, is_admitted, is_terminal
from bananas_operator.views import Problem

FAR_SECONDS = 100 * 365 * 86_400.0
"""Nobody waits longer; and no date can be told that is much further off."""
Statuses = dict[str, NASTrialStatus]


def reached(survey: Survey, statuses: Statuses) -> Problem | None:
    """The bound that ends admission, if there is one; `statuses` by trial UID, with what this pass will write."""
    checks = (_target_accuracy, _trials, _gpu_hours, _wall_clock, _no_improvement)
    return next((found for check in checks if (found := check(survey, statuses)) is not None), None)


def due(survey: Survey, statuses: Statuses) -> datetime | None:
    """When a bound of time will be reached, if nothing else happens."""
    if survey.spec is None or survey.suspended:
        return None
    times = []
    limit, rate = survey.spec.budget.gpu_hours, sum(gpus for gpus, _ in _running(survey))
    if limit is not None and rate > 0:
        seconds = (limit * 3600 - _gpu_seconds(survey, statuses)) / rate + 1
        times += [survey.now + timedelta(seconds=seconds)] if seconds < FAR_SECONDS else []
    end = _wall_clock_end(survey, statuses)
    if end is not None:
        times.append(end)
    return min((when for when in times if when > survey.now), default=None)


def _target_accuracy(survey: Survey, statuses: Statuses) -> Problem | None:
    target = survey.spec.budget.target_accuracy if survey.spec is not None else None
    found = best(survey, statuses) if target is not None else None
    if target is None or found is None or found.validation_accuracy < target:
        return None
    return Problem(
        constants.REASON_TARGET_REACHED,
        f"validation accuracy {found.validation_accuracy:g} is at least budget.targetAccuracy {target:g}",
    )


def _trials(survey: Survey, statuses: Statuses) -> Problem | None:
    if survey.spec is None or sum(map(is_admitted, statuses.values())) < survey.spec.budget.trials:
        return None
    return Problem(constants.REASON_BUDGET_USED, "all of budget.trials were admitted")


def _gpu_hours(survey: Survey, statuses: Statuses) -> Problem | None:
    limit = survey.spec.budget.gpu_hours if survey.spec is not None else None
    if limit is None or _gpu_seconds(survey, statuses) < limit * 3600:
        return None
    return Problem(constants.REASON_GPU_HOURS_USED, f"budget.gpuHours of {limit:g} are used")


def _wall_clock(survey: Survey, statuses: Statuses) -> Problem | None:
    end = _wall_clock_end(survey, statuses)
    if end is None or survey.spec is None or (paused_since(survey.observed.search.status) or survey.now) < end:
        return None
    return Problem(constants.REASON_WALL_CLOCK_USED, f"budget.wallClock of {survey.spec.budget.wall_clock} is over")


def _no_improvement(survey: Survey, statuses: Statuses) -> Problem | None:
    limit = survey.spec.budget.no_improvement_trials if survey.spec is not None else None
    if limit is None:
        return None
    highest, since = float("-inf"), 0
    for result in finished(survey, statuses):
        better = result.mean > highest
        highest, since = (result.mean, 0) if better else (highest, since + len(result.accuracies))
    if since < limit:
        return None
    return Problem(
        constants.REASON_NO_IMPROVEMENT,
        f"{since} results in a row are no better than {highest:g}, budget.noImprovementTrials is {limit}",
    )


def _gpu_seconds(survey: Survey, statuses: Statuses) -> float:
    """Of ended attempts and running ones."""
    running = sum(gpus * (survey.now - started).total_seconds() for gpus, started in _running(survey))
    return sum(status.gpu_seconds for status in statuses.values()) + running


def _running(survey: Survey) -> list[tuple[float, datetime]]:
    """GPUs and start of attempts that run."""
    return [
        (attempt.job.pod.gpus, attempt.outcome.started)
        for attempt in survey.attempts.values()
        if isinstance(attempt.outcome, Running) and attempt.job is not None and attempt.job.pod is not None
    ]


# --- wall clock ---


def _wall_clock_end(survey: Survey, statuses: Statuses) -> datetime | None:
    """When budget.wallClock is over, if the search is not paused until then."""
    seconds = survey.spec.budget.wall_clock_seconds if survey.spec is not None else None
    if seconds is None:
        return None
    start = min((status.admission_time for status in statuses.values() if status.admission_time), default=None)
    if start is None:
        return None
    paused = survey.observed.search.status.paused_seconds
    return datetime.fromisoformat(start) + timedelta(seconds=seconds + paused)


def paused_since(status: NASSearchStatus) -> datetime | None:
    """Since when a search is suspended or has ended, if it is so."""
    if status.completion_time is not None:
        return datetime.fromisoformat(status.completion_time)
    for condition in status.conditions:
        if (condition.type, condition.status) == (constants.CONDITION_SUSPENDED, "True"):
            return datetime.fromisoformat(condition.last_transition_time)
    return None


def paused_seconds(old: NASSearchStatus, new: NASSearchStatus, now: datetime) -> int:
    """All seconds of pauses that are over with the new status; stamps are whole seconds, and so are their differences."""
    before, after = paused_since(old), paused_since(new)
    if before is None or before == after or old.start_time is None:
        return old.paused_seconds
    end = after or datetime.fromisoformat(stamp(now))
    return old.paused_seconds + max(0, round((end - before).total_seconds()))


# --- estimate ---


def estimate(survey: Survey, statuses: Statuses) -> str | None:
    """When the search will be complete at the pace so far; the same until a trial is admitted, starts or ends, or the room
    for trials changes.

    The trials that are left, of mean duration, one after the other in `parallelism` slots or as many as there is room for, from
    the last admission or end. At most a hundred years from there.
    """
    return _at_this_pace(survey, statuses, _left(survey, statuses), _wall_clock_end(survey, statuses))


def estimate_promotion(promoted: Survey, statuses: Statuses, left: int) -> str | None:
    """When the trainings to the end that are left will be done, at the pace of those that have ended."""
    return _at_this_pace(promoted, statuses, left, None)


def _at_this_pace(survey: Survey, statuses: Statuses, left: int, end: datetime | None) -> str | None:
    """`end`: when no trial is admitted any more."""
    ended = [
        (datetime.fromisoformat(status.start_time), datetime.fromisoformat(status.completion_time))
        for status in statuses.values()
        if status.start_time and status.completion_time and status.phase in ("Succeeded", "Failed")
    ]
    slots = _slots(survey)
    if not ended or slots == 0 or survey.suspended:
        return None
    resumed = _resumed(survey)
    whole = [(start, end) for start, end in ended if not start < resumed <= end] or ended
    mean = timedelta(seconds=sum((end - start).total_seconds() for start, end in whole) / len(whole))
    admitted = max((s.admission_time for s in statuses.values() if s.admission_time), default=stamp(resumed))
    last = max(datetime.fromisoformat(admitted), *(end for _, end in ended), resumed)
    starts = [datetime.fromisoformat(s.start_time) for s in statuses.values() if s.phase == "Running" and s.start_time]
    seconds = min(mean.total_seconds() * left / slots, FAR_SECONDS)
    done = max(last + timedelta(seconds=seconds), *(start + mean for start in starts), last)
    return stamp(done if end is None else min(done, max(end, last) + mean))


def _slots(survey: Survey) -> int:
    """Trials that can run at once. No room at all is no pace, but nodes that are away, or a quota that a person is mending."""
    spec = survey.spec
    if spec is None:
        return 0
    bound = capacity.limit(spec, survey.observed.facts)
    return spec.parallelism if bound is None or bound.trials == 0 else min(spec.parallelism, bound.trials)


def _left(survey: Survey, statuses: Statuses) -> int:
    """Trials that are in flight or will be."""
    flying = sum(is_admitted(s) and not is_terminal(s) for s in statuses.values())
    if survey.spec is None or reached(survey, statuses) is not None:
        return flying
    ended = [status for status in statuses.values() if is_admitted(status) and is_terminal(status)]
    left = survey.spec.budget.trials - len(ended)
    used = sum(status.gpu_seconds for status in ended)
    if survey.spec.budget.gpu_hours is not None and used > 0:
        left = min(left, ceil((survey.spec.budget.gpu_hours * 3600 - used) * len(ended) / used))
    return max(left, flying)


def _resumed(survey: Survey) -> datetime:
    """When the search was last resumed; long ago if it never was."""
    for condition in survey.observed.search.status.conditions:
        if (condition.type, condition.status) == (constants.CONDITION_SUSPENDED, "False"):
            return datetime.fromisoformat(condition.last_transition_time)
    return datetime.fromisoformat("1970-01-01T00:00:00Z")
