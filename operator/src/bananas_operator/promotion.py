"""The best of a complete search, trained to the end: which trainings there should be, and what came of them. Pure.

Called by `plan`. A promoted trial is a NASTrial like the others, with Jobs and attempts like theirs, but it is made by the
operator, counts for no budget and is no training data: the predictor passes over it by its name. The test images are opened
by these trials only, each once, after its last epoch, and nothing is chosen by what they say.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from statistics import mean, stdev

from bananas_core import constants
from bananas_core.api import NASTrialSpec, NASTrialStatus
from bananas_core.api.promotion import PromotedResult, PromotionStatus
from bananas_core.api.trial import Origin
from bananas_core.names import best_name, promoted_name
from bananas_core.workload import pod
from bananas_operator import stalls
from bananas_operator.actions import CreateTrial, EnsureConfigMap, WriteTrial
from bananas_operator.admission import admission_changes
from bananas_operator.attempts import stamp
from bananas_operator.best import ranked
from bananas_operator.resources import CONFIG_MAPS, TRIALS, Json
from bananas_operator.settings import Settings
from bananas_operator.stalls import Stall
from bananas_operator.steering import CANCELLED_BY_USER
from bananas_operator.survey import Survey, Verdict, is_admitted, is_terminal, survey
from bananas_operator.views import Observed, Problem, SearchView, TrialView

Statuses = dict[str, NASTrialStatus]


@dataclass(frozen=True)
class Promoted:
    """The trials of a promotion, and their statuses with what this pass will write."""

    seen: Survey
    statuses: Statuses

    @property
    def in_flight(self) -> int:
        """Slots that they have been admitted to."""
        return sum(is_admitted(status) and not is_terminal(status) for status in self.statuses.values())


def split(observed: Observed) -> tuple[Observed, Observed]:
    """The search proper, and its promotion: each with its own trials and their Jobs."""
    promoted = tuple(trial for trial in observed.trials if trial.promoted)
    if not promoted:
        return observed, replace(observed, trials=(), jobs=())
    uids = {trial.uid for trial in promoted}
    search = replace(
        observed,
        trials=tuple(trial for trial in observed.trials if not trial.promoted),
        jobs=tuple(job for job in observed.jobs if job.trial_uid not in uids),
    )
    return search, replace(observed, trials=promoted, jobs=tuple(job for job in observed.jobs if job.trial_uid in uids))


def survey_promotion(observed: Observed, now: datetime, settings: Settings) -> Promoted:
    """Looks at a promotion. The search has results, so an error of its trials is theirs and not the search's."""
    seen = replace(survey(observed, now, settings), has_success=True)
    return Promoted(seen, {trial.uid: trial.status for trial in observed.trials})


def promote(seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict) -> list[CreateTrial | WriteTrial]:
    """What there is to make, to admit and to cancel; keeps the statuses up to date."""
    winning = _winners(seen, statuses) if verdict in ("complete", "exhausted") else []
    if not winning:
        why = "the search goes on" if verdict == "open" else "spec.promote asks for no training of it to the end"
        return [*_withdraw(promoted, Problem(constants.REASON_WITHDRAWN, why))]
    return [*_admit(promoted, winning), *_missing(seen, winning, promoted)]


def find_stall(promoted: Promoted) -> Stall | None:
    """What holds the promotion up."""
    seen = promoted.seen
    for found in seen.observed.findings:
        if found.kind in (TRIALS.kind, CONFIG_MAPS.kind):
            return Stall(found.problem, holds_jobs=False)
    return stalls.find_stall(seen) if promoted.in_flight else None


def outcome(
    seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict
) -> tuple[Verdict, PromotionStatus | None, list[EnsureConfigMap]]:
    """The verdict with the promotion in it, how far the promotion is, and the winner where it is to be published."""
    search = seen.observed.search
    if seen.spec is None or seen.spec.promote is None:
        return verdict, None, []
    winning = _winners(seen, statuses)
    if verdict not in ("complete", "exhausted") or not winning:
        return verdict, search.status.promotion, []
    status = _status(seen, winning, promoted)
    if status.ended < status.trainings:
        return "promoting", status, []
    old, name = search.status.promotion, best_name(search.name)
    done = status.model_copy(update={"config_map": name})
    if old == done:
        return verdict, done, []
    finding = seen.observed.finding(CONFIG_MAPS.kind, name)
    if finding is not None and seen.now < finding.retry_at:
        return "promoting", status, []
    return verdict, done, [_genotype(search, winning[0], status.results[0])]


def _winners(seen: Survey, statuses: Statuses) -> list[TrialView]:
    """The trials whose networks are trained to the end: best validation accuracy first, of equal ones the lowest index."""
    promote = seen.spec.promote if seen.spec is not None else None
    if promote is None:
        return []
    results = [result.trial for result in ranked(seen, statuses) if result.trial.spec is not None]
    return results[: promote.top]


def _wanted(seen: Survey, winning: list[TrialView]) -> list[tuple[TrialView, int, str]]:
    """Winner, seed and name of each training, in the order in which they are admitted."""
    promote = seen.spec.promote if seen.spec is not None else None
    assert promote is not None  # else there are no winners
    name = seen.observed.search.name
    return [
        (winner, seed, promoted_name(name, winner.index, seed))
        for winner in winning
        for seed in range(1, promote.seeds + 1)
    ]


def _missing(seen: Survey, winning: list[TrialView], promoted: Promoted) -> list[CreateTrial]:
    """The trials that are not there yet."""
    there = {trial.name for trial in promoted.seen.observed.trials}
    missing = []
    for winner, seed, name in _wanted(seen, winning):
        finding = seen.observed.finding(TRIALS.kind, name)
        if name not in there and (finding is None or seen.now >= finding.retry_at):
            missing.append(CreateTrial(_manifest(seen, winner, seed, name)))
    return missing


def _manifest(seen: Survey, winner: TrialView, seed: int, name: str) -> Json:
    """The NASTrial that trains a winner to the end with one seed."""
    spec, search = seen.spec, seen.observed.search
    assert spec is not None and spec.promote is not None and winner.spec is not None  # else there are no winners
    architecture = winner.spec.architecture
    trial = NASTrialSpec(
        search=search.name,
        index=winner.index,
        architecture=architecture,
        seed=seed,
        recipe=spec.promote.recipe_of(spec.space, spec.trial.recipe),
        origin=Origin(method="promotion", parent=winner.index),
    )
    labels = {**pod.labels(search.name, search.uid, "trial"), constants.LABEL_ARCHITECTURE: architecture.hash()}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRIAL_KIND,
        "metadata": {
            "namespace": search.namespace,
            "name": name,
            "labels": labels,
            "ownerReferences": [pod.owner(constants.SEARCH_KIND, search.name, search.uid)],
        },
        "spec": trial.to_kubernetes(),
    }


def _admit(promoted: Promoted, winning: list[TrialView]) -> list[WriteTrial]:
    """Admissions while there are free slots; all slots are the promotion's, as no trial of the search is in flight."""
    seen, in_flight = promoted.seen, promoted.in_flight
    assert seen.spec is not None  # else there are no winners
    trials = {trial.name: trial for trial in seen.observed.trials if promoted.statuses[trial.uid].phase == "Pending"}
    writes = []
    for _, _, name in _wanted(seen, winning):
        trial = trials.get(name)
        if trial is None or trial.deleting:
            continue
        problem = CANCELLED_BY_USER if trial.cancelled else trial.problem
        if problem is not None:
            writes.append(_cancel(trial, promoted, problem))
        elif in_flight < seen.spec.parallelism:
            in_flight += 1
            changes = admission_changes(trial, seen.now)
            writes.append(_write(trial, promoted, "admitted to the promotion", changes))
    return writes


def _withdraw(promoted: Promoted, problem: Problem) -> list[WriteTrial]:
    """The end of trials that have not begun, where the search goes on or wants no promotion any more."""
    pending = [t for t in promoted.seen.observed.trials if promoted.statuses[t.uid].phase == "Pending"]
    return [_cancel(trial, promoted, problem) for trial in pending if not trial.deleting]


def _cancel(trial: TrialView, promoted: Promoted, problem: Problem) -> WriteTrial:
    changes = {
        "phase": "Cancelled",
        "reason": problem.reason,
        "message": problem.message,
        "completion_time": stamp(promoted.seen.now),
    }
    return _write(trial, promoted, f"cancelled: {problem.reason}", changes)


def _write(trial: TrialView, promoted: Promoted, decision: str, changes: dict[str, str]) -> WriteTrial:
    status = promoted.statuses[trial.uid].model_copy(update=changes)
    promoted.statuses[trial.uid] = status
    return WriteTrial(trial, status, decision)


def _status(seen: Survey, winning: list[TrialView], promoted: Promoted) -> PromotionStatus:
    """How far the trainings of the winners are."""
    found = {trial.name: promoted.statuses[trial.uid] for trial in promoted.seen.observed.trials}
    wanted = _wanted(seen, winning)
    results = []
    for winner in winning:
        trainings = [found.get(name) for trial, _, name in wanted if trial is winner]
        results.append(_result(winner, trainings))
    ended = sum(name in found and is_terminal(found[name]) for _, _, name in wanted)
    return PromotionStatus(trainings=len(wanted), ended=ended, results=tuple(results))


def _result(winner: TrialView, trainings: list[NASTrialStatus | None]) -> PromotedResult:
    ended = [status for status in trainings if status is not None and is_terminal(status)]
    good = [status for status in ended if status.phase == "Succeeded"]
    complete = len(ended) == len(trainings)  # a mean of some of the seeds would be chosen by what ended first
    tests = [status.test_accuracy for status in good if status.test_accuracy is not None] if complete else []
    accuracy = winner.status.validation_accuracy
    assert accuracy is not None  # winners have a result
    return PromotedResult(
        trial=winner.name,
        validation_accuracy=accuracy,
        succeeded=len(good),
        failed=len(ended) - len(good),
        test_accuracy=round(mean(tests), 6) if tests else None,
        test_accuracy_standard_deviation=round(stdev(tests), 6) if len(tests) > 1 else None,
        parameters=next((status.parameters for status in good if status.parameters is not None), None),
    )


def _genotype(search: SearchView, winner: TrialView, result: PromotedResult) -> EnsureConfigMap:
    """The ConfigMap with the winner: the best by validation accuracy, whatever the test images say."""
    assert winner.spec is not None  # winners have a result
    data = {
        "trial": winner.name,
        "genotype.txt": winner.spec.architecture.to_text(),
        "architecture.json": winner.spec.architecture.canonical_json(),
        "validationAccuracy": str(result.validation_accuracy),
    }
    if result.test_accuracy is not None:
        data["testAccuracy"] = str(result.test_accuracy)
    if result.test_accuracy_standard_deviation is not None:
        data["testAccuracyStandardDeviation"] = str(result.test_accuracy_standard_deviation)
    return EnsureConfigMap(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "namespace": search.namespace,
                "name": best_name(search.name),
                "labels": pod.labels(search.name, search.uid, "result"),
                "ownerReferences": [pod.owner(constants.SEARCH_KIND, search.name, search.uid)],
            },
            "data": data,
        }
    )
