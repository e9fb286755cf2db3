"""The status of a search, by the Kubernetes conventions for conditions. Pure, called by `plan` at the end of a pass.

It depends on what is there, not on what happened: an idle search gets the very same status again, and nothing is written.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bananas_core import constants
from bananas_core.api import Condition, NASSearchStatus, NASTrialStatus
from bananas_core.api.promotion import PromotionStatus
from bananas_core.api.search import GpuSeconds, Interruptions, TrialCounts
from bananas_core.workload import capacity
from bananas_operator import budgets
from bananas_operator.actions import Note
from bananas_operator.attempts import stamp
from bananas_operator.best import best
from bananas_operator.classify import Waiting
from bananas_operator.facts import refusal
from bananas_operator.placement import Avoided
from bananas_operator.promotion import Promoted
from bananas_operator.stalls import Stall
from bananas_operator.survey import Survey, Verdict, is_admitted, is_terminal
from bananas_operator.views import Observed, Problem, TrialView

Statuses = dict[str, NASTrialStatus]
_SUSPENDED = Problem(constants.REASON_SUSPENDED, "spec.suspend is true")
Phase = Literal["Pending", "Running", "Stalled", "Suspended", "Complete", "Failed"]


@dataclass(frozen=True)
class Found:
    """What a pass has found, of which the status tells."""

    survey: Survey
    statuses: Statuses
    """By trial UID, with what this pass will write; the promotion's are in `promoted`."""
    stall: Stall | None
    verdict: Verdict
    promoted: Promoted
    promotion: PromotionStatus | None


def search_status(found: Found) -> NASSearchStatus:
    """The status that the search should have; the predictor's part is passed through untouched.

    The promotion's trials cost GPU time, and are no trials of the search.
    """
    survey, statuses, verdict, promoted = found.survey, found.statuses, found.verdict, found.promoted
    search = survey.observed.search
    old = search.status
    ended = _has_ended(verdict)
    costs = [*statuses.values(), *promoted.statuses.values()]
    counts = Counter(status.phase for status in statuses.values())
    admissions = [status.admission_time for status in statuses.values() if status.admission_time]
    status = NASSearchStatus(
        phase=_phase(survey, statuses, found.stall, verdict),
        observed_generation=search.generation,
        conditions=_conditions(found),
        trials=TrialCounts(**{phase.lower(): number for phase, number in counts.items()}),
        in_flight=_in_flight(statuses) + promoted.in_flight,
        selector=f"{constants.LABEL_SEARCH_UID}={search.uid},{constants.LABEL_COMPONENT}=trial",
        best=best(survey, statuses),
        predictor=old.predictor,
        gpu_seconds=GpuSeconds(
            used=round(sum(status.gpu_seconds for status in costs), 3),
            wasted=round(sum(status.gpu_seconds_wasted for status in costs), 3),
        ),
        promotion=found.promotion,
        avoided_nodes=() if ended else tuple(one.node for one in survey.avoided),
        interruptions=Interruptions(
            total=sum(status.interruptions for status in costs),
            preemptions=sum(status.preemptions for status in costs),
        ),
        start_time=min(admissions, default=None),
        completion_time=(old.completion_time or stamp(survey.now)) if ended else None,
        estimated_completion_time=_estimate(found),
    )
    return status.model_copy(update={"paused_seconds": budgets.paused_seconds(old, status, survey.now)})


def _estimate(found: Found) -> str | None:
    if found.verdict == "promoting" and found.promotion is not None:
        left = found.promotion.trainings - found.promotion.ended
        return budgets.estimate_promotion(found.promoted.seen, found.promoted.statuses, left)
    return budgets.estimate(found.survey, found.statuses) if found.verdict == "open" else None


def is_held(observed: Observed, new: NASSearchStatus, now: datetime) -> bool:
    """Whether a status differs from the one that is there in numbers only, and may wait for others to be written with it."""
    old, until = observed.search.status, observed.status_held_until
    return old != new and until is not None and now < until and _without_numbers(old) == _without_numbers(new)


def _without_numbers(status: NASSearchStatus) -> NASSearchStatus:
    numbers = NASSearchStatus()
    return status.model_copy(
        update={
            "conditions": tuple(
                found.model_copy(update={"message": ""}) if found.type == constants.CONDITION_PROGRESSING else found
                for found in status.conditions
            ),
            "trials": numbers.trials,
            "in_flight": numbers.in_flight,
            "gpu_seconds": numbers.gpu_seconds,
            "interruptions": numbers.interruptions,
            "estimated_completion_time": None,
        }
    )


def transition_notes(old: NASSearchStatus, new: NASSearchStatus) -> tuple[Note, ...]:
    """The Events of a change of status."""
    before = {c.type: c for c in old.conditions}
    after = {c.type: c for c in new.conditions}
    notes: list[Note] = []
    for type_, level in (
        (constants.CONDITION_STALLED, "Warning"),
        (constants.CONDITION_FAILED, "Warning"),
        (constants.CONDITION_COMPLETE, "Normal"),
        (constants.CONDITION_SUSPENDED, "Normal"),
        (constants.CONDITION_OVERSUBSCRIBED, "Warning"),
    ):
        was, now = before.get(type_), after[type_]
        if now.status == "True" and (was is None or was.status != "True" or was.reason != now.reason):
            reason = constants.REASON_COMPLETED if type_ == constants.CONDITION_COMPLETE else now.reason
            notes.append(Note("Warning" if level == "Warning" else "Normal", reason, now.message))
    useful = after[constants.CONDITION_PREDICTOR_USEFUL]
    was_useful = before.get(constants.CONDITION_PREDICTOR_USEFUL)
    if useful.status == "False" and (was_useful is None or was_useful.status != "False"):
        notes.append(Note("Warning", useful.reason, useful.message))
    notes += [
        Note("Warning", constants.EVENT_NODE_AVOIDED, f"node {node} failed twice in a row; it is avoided for a while")
        for node in new.avoided_nodes
        if node not in old.avoided_nodes
    ]
    if new.best is not None and new.best != old.best:
        notes.append(
            Note(
                "Normal",
                constants.EVENT_NEW_BEST,
                f"trial {new.best.trial}: validation accuracy {new.best.validation_accuracy:.4f}",
            )
        )
    return tuple(notes)


def _has_ended(verdict: Verdict) -> bool:
    return verdict not in ("open", "promoting")


def _phase(survey: Survey, statuses: Statuses, stall: Stall | None, verdict: Verdict) -> Phase:
    if verdict == "failed":
        return "Failed"
    if _has_ended(verdict):
        return "Complete"
    if survey.suspended:
        return "Suspended"
    if stall is not None:
        return "Stalled"
    return "Running" if any(is_admitted(status) for status in statuses.values()) else "Pending"


def _in_flight(statuses: Statuses) -> int:
    return sum(is_admitted(status) and not is_terminal(status) for status in statuses.values())


# --- conditions ---


def _conditions(found: Found) -> tuple[Condition, ...]:
    survey, statuses, stall, verdict = found.survey, found.statuses, found.stall, found.verdict
    conditions = (
        (constants.CONDITION_READY, *_ready(survey, stall, verdict)),
        (constants.CONDITION_PROGRESSING, *_progressing(found)),
        (constants.CONDITION_COMPLETE, *_complete(survey, statuses, verdict)),
        (constants.CONDITION_FAILED, *_failed(survey, statuses, verdict)),
        (constants.CONDITION_STALLED, *_stalled(stall, verdict)),
        (constants.CONDITION_OVERSUBSCRIBED, *_oversubscribed(survey, verdict)),
        (constants.CONDITION_SUSPENDED, *_suspended(survey, statuses)),
        (constants.CONDITION_PREDICTOR_USEFUL, *_predictor_useful(survey)),
    )
    old = {condition.type: condition for condition in survey.observed.search.status.conditions}
    return tuple(
        Condition(
            type=type_,
            status=_word(status),
            observed_generation=survey.observed.search.generation,
            last_transition_time=old[type_].last_transition_time
            if type_ in old and old[type_].status == _word(status)
            else stamp(survey.now),
            reason=reason,
            message=message[:4096],
        )
        for type_, status, reason, message in conditions
    )


def _word(status: bool | None) -> Literal["True", "False", "Unknown"]:
    return "Unknown" if status is None else "True" if status else "False"


def _predictor_useful(survey: Survey) -> tuple[bool | None, str, str]:
    """The predictor judges its forecasts; it holds nothing up, so this is a condition of its own and no stall."""
    strategy = survey.spec.strategy if survey.spec is not None else None
    if strategy is None or not strategy.has_predictor:
        return None, constants.REASON_NO_PREDICTOR, ""
    said = survey.observed.search.status.predictor
    if said is None or said.forecasts < constants.FORECASTS_JUDGED:
        return None, constants.REASON_TOO_FEW_FORECASTS, ""
    if not said.no_better_than_chance:
        return True, constants.REASON_ALL_GOOD, ""
    correlation = f"{said.rank_correlation:.2f}" if said.rank_correlation is not None else "0"
    done = (
        "evolution proposes from now on, as spec.strategy.fallback says"
        if strategy.fallback == "evolution"
        else "nothing is done about it, for spec.strategy.fallback is none; set it to evolution to let that propose"
    )
    text = f"the rank correlation of {said.forecasts} forecasts with their results is {correlation}, no better than chance; {done}"
    return False, constants.REASON_NO_BETTER_THAN_CHANCE, text


def _ready(survey: Survey, stall: Stall | None, verdict: Verdict) -> tuple[bool, str, str]:
    if verdict == "failed":
        return False, constants.REASON_TOO_MANY_FAILED_TRIALS, "the search was given up"
    if _has_ended(verdict):
        return True, constants.REASON_COMPLETED, ""
    problem = stall.problem if stall is not None else _SUSPENDED if survey.suspended else None
    if problem is not None:
        return False, problem.reason, problem.message
    if verdict == "promoting":
        return True, constants.REASON_PROMOTING, ""
    deployment = survey.observed.deployment
    if deployment is None or not deployment.available:
        return False, constants.REASON_STARTING, "the predictor starts"
    return True, constants.REASON_ALL_GOOD, ""


def _progressing(found: Found) -> tuple[bool, str, str]:
    survey, statuses, stall, verdict = found.survey, found.statuses, found.stall, found.verdict
    if verdict == "failed":
        return False, constants.REASON_TOO_MANY_FAILED_TRIALS, ""
    if _has_ended(verdict) or survey.suspended:
        return False, constants.REASON_COMPLETED if _has_ended(verdict) else constants.REASON_SUSPENDED, ""
    waits = [*_all_waits(survey), *_all_waits(found.promoted.seen)]
    surroundings = _surroundings(survey, waits)
    promotion = found.promotion
    if verdict == "promoting" and promotion is not None and stall is None:
        text = f"{promotion.ended} of {promotion.trainings} trainings to the end have ended"
        reason = waits[0].reason if waits else constants.REASON_PROMOTING
        return True, reason, "; ".join((text, *surroundings))
    in_flight = _in_flight(statuses)
    if stall is not None and stall.holds_admission:
        return False, stall.problem.reason, ""
    if survey.spec is not None and survey.spec.parallelism == 0 and not in_flight:
        return False, constants.REASON_NO_PARALLELISM, "spec.parallelism is 0"
    parts = [_done(survey, statuses), *surroundings]
    predictor = survey.observed.search.status.predictor
    if predictor is not None and predictor.message:
        parts.append(f"predictor: {predictor.message}")
    return True, waits[0].reason if waits else constants.REASON_RUNNING, "; ".join(parts)


def _all_waits(survey: Survey) -> list[Problem]:
    return [problem for trial in survey.observed.trials if (problem := _waits(survey, trial)) is not None]


def _surroundings(survey: Survey, waits: list[Problem]) -> list[str]:
    """What of the cluster those in flight wait for, and what keeps them from a node."""
    parts = [f"{len(waits)} in flight without a pod that runs: {waits[0].message}"] if waits else []
    parts += [_avoidance(one) for one in survey.avoided]
    parts += [
        f"{claim.field} {claim.name} is of one node: all trials run there"
        for claim in survey.observed.facts.claims
        if claim.of_one_node and not claim.of_one_pod
    ]
    return parts


def _waits(survey: Survey, trial: TrialView) -> Problem | None:
    """What of the cluster a trial in flight waits for, and for how long nobody can say."""
    attempt = survey.attempts.get(trial.uid)
    if attempt is None or not isinstance(attempt.outcome, Waiting) or attempt.job is None:
        return None
    job, message = attempt.job, attempt.outcome.message
    if job.suspended:
        return Problem(constants.REASON_JOBS_SUSPENDED, message or "")
    if job.pod is None:
        return refusal(job.refusal, "spec.trial.template", constants.REASON_POD_REFUSED) if job.refusal else None
    return Problem(constants.REASON_UNSCHEDULABLE, message) if job.pod.unschedulable and message else None


def _avoidance(one: Avoided) -> str:
    return f"node {one.node} is avoided until {one.until:%H:%M} UTC, because attempts failed there twice in a row"


def _done(survey: Survey, statuses: Statuses) -> str:
    done = sum(is_admitted(status) and is_terminal(status) for status in statuses.values())
    of = f" of {survey.spec.budget.trials}" if survey.spec is not None else ""
    return f"{done}{of} trials ended"


def _complete(survey: Survey, statuses: Statuses, verdict: Verdict) -> tuple[bool, str, str]:
    reached = budgets.reached(survey, statuses)
    if verdict == "complete" and reached is not None:
        return True, reached.reason, f"{reached.message}; {_done(survey, statuses)}"
    if verdict == "exhausted":
        predictor = survey.observed.search.status.predictor
        said = predictor.message if predictor is not None else ""
        return True, constants.REASON_SPACE_EXHAUSTED, f"{said or 'no architecture is left'}; {_done(survey, statuses)}"
    if verdict == "promoting":
        return False, constants.REASON_PROMOTING, ""
    return False, constants.REASON_RUNNING if verdict == "open" else constants.REASON_TOO_MANY_FAILED_TRIALS, ""


def _failed(survey: Survey, statuses: Statuses, verdict: Verdict) -> tuple[bool, str, str]:
    if verdict != "failed" or survey.spec is None:
        return False, constants.REASON_ALL_GOOD, ""
    failures = [s.failure for s in statuses.values() if s.phase == "Failed" and s.failure is not None]
    failed = sum(status.phase == "Failed" for status in statuses.values())
    text = f"{failed} trials failed, spec.trial.maxFailedTrials is {survey.spec.trial.max_failed_trials}"
    for reason, number in Counter(failure.reason for failure in failures).most_common(1):
        example = next(failure.message for failure in failures if failure.reason == reason)
        text += f". Commonest reason, {number} times: {reason}: {example}"
    return True, constants.REASON_TOO_MANY_FAILED_TRIALS, text


def _stalled(stall: Stall | None, verdict: Verdict) -> tuple[bool, str, str]:
    if stall is None or _has_ended(verdict):
        return False, constants.REASON_ALL_GOOD, ""
    return True, stall.problem.reason, stall.problem.message


def _oversubscribed(survey: Survey, verdict: Verdict) -> tuple[bool | None, str, str]:
    if _has_ended(verdict):
        return False, constants.REASON_COMPLETED, ""
    spec, facts = survey.spec, survey.observed.facts
    bound = capacity.limit(spec, facts) if spec is not None else None
    if spec is not None and bound is not None and bound.trials < spec.parallelism:
        reason = constants.REASON_QUOTA_TOO_SMALL if bound.by_quota else constants.REASON_TOO_FEW_NODES
        advice = "The others wait: lower parallelism, or raise the bound"
        return True, reason, f"spec.parallelism is {spec.parallelism}, but {bound.message}. {advice}"
    if facts.nodes is None:
        return None, constants.REASON_NODES_UNKNOWN, "the operator may not list nodes"
    return False, constants.REASON_ALL_GOOD, ""


def is_oversubscribed(survey: Survey) -> bool:
    """Whether parallelism exceeds what there is room for: more room may come, of which no watch tells."""
    return _oversubscribed(survey, "open")[0] is True


def _suspended(survey: Survey, statuses: Statuses) -> tuple[bool, str, str]:
    if not survey.suspended:
        return False, constants.REASON_ALL_GOOD, ""
    stopping = sum(
        job.attempt > trial.status.settled_attempt
        for trial in survey.observed.trials
        if not is_terminal(statuses[trial.uid])
        for job in survey.jobs(trial)[-1:]
    )
    trials = f"{stopping} trials save what they have" if stopping else f"{_in_flight(statuses)} trials wait to go on"
    return True, constants.REASON_SUSPENDED, f"spec.suspend is true; {trials}"
