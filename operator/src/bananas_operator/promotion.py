"""The best of a complete search, trained to the end: which trainings there should be, and what came of them. Pure.

Called by `plan`. A promoted trial is a NASTrial like the others, with Jobs and attempts like theirs, but it is made by the
operator, counts for no budget and is no training data: the predictor passes over it by its name. The test images are opened
by these trials only, each once, after its last epoch, and nothing is chosen by what they say. A trial that was trained by
another recipe than the promotion's, or that will never have a result though a person wants one, is left as it is and another
is made in its place, under a name of its own: results of different recipes are never mixed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import mean, stdev

from bananas_core import constants
from bananas_core.api import NASTrialSpec, NASTrialStatus
from bananas_core.api.promotion import PromotedResult, PromotionStatus
from bananas_core.api.recipe import Recipe
from bananas_core.api.trial import Origin
from bananas_core.names import best_name, is_promotions_job, numbered, promoted_name
from bananas_core.workload import pod
from bananas_core.workload.trials import is_void, promotion_hash
from bananas_operator import stalls
from bananas_operator.actions import CreateTrial, EnsureConfigMap, WriteTrial
from bananas_operator.admission import admission_changes
from bananas_operator.best import Result, ranked
from bananas_operator.placement import avoided
from bananas_operator.resources import CONFIG_MAPS, TRIALS, Json
from bananas_operator.settings import Settings
from bananas_operator.stalls import Stall
from bananas_operator.steering import CANCELLED_BY_USER, cancelled
from bananas_operator.survey import Survey, Verdict, is_admitted, is_terminal, survey
from bananas_operator.views import JobView, Observed, Problem, SearchView, TrialView

Statuses = dict[str, NASTrialStatus]
Made = dict[str, dict[int, TrialView]]
"""Trials of a promotion by first name and number."""


@dataclass(frozen=True)
class Promoted:
    """The trials of a promotion, and their statuses with what this pass will write."""

    seen: Survey
    statuses: Statuses

    @property
    def in_flight(self) -> int:
        """Slots that they have been admitted to."""
        return sum(is_admitted(status) and not is_terminal(status) for status in self.statuses.values())


@dataclass(frozen=True)
class _Training:
    """A training to the end that there should be."""

    winner: Result
    """What came of the trial whose network it trains, with what this pass will write: that may be the result itself."""
    seed: int
    name: str
    trial: TrialView | None
    """The trial of that name; None if it is still to be made."""


def surveys(observed: Observed, now: datetime, settings: Settings) -> tuple[Survey, Promoted]:
    """Looks at the search proper and at its promotion; a node is to blame for what failed there in either.

    The search has results when it is promoted, so an error of a promoted trial is its own and not the search's.
    """
    of_search, of_promotion = split(observed)
    seen = survey(of_search, now, settings)
    promoted = replace(survey(of_promotion, now, settings, promoted=True), has_success=True)
    if of_promotion.trials:
        nodes = avoided(observed.trials, now, settings)
        seen, promoted = replace(seen, avoided=nodes), replace(promoted, avoided=nodes)
    return seen, Promoted(promoted, {trial.uid: trial.status for trial in of_promotion.trials})


def split(observed: Observed) -> tuple[Observed, Observed]:
    """The search proper, and its promotion: each with its own trials and their Jobs."""
    promoted = tuple(trial for trial in observed.trials if trial.promoted)
    others = tuple(trial for trial in observed.trials if not trial.promoted)
    uids, known = {trial.uid for trial in promoted}, {trial.uid for trial in others}
    jobs = tuple(job for job in observed.jobs if job.trial_uid in uids or _is_orphan(observed, job, known))
    if not (promoted or jobs):
        return observed, replace(observed, trials=(), jobs=())
    apart = {job.uid for job in jobs}
    of_search = tuple(job for job in observed.jobs if job.uid not in apart)
    return replace(observed, trials=others, jobs=of_search), replace(observed, trials=promoted, jobs=jobs)


def _is_orphan(observed: Observed, job: JobView, known: set[str]) -> bool:
    """Whether a training to the end was deleted, or is not told yet: its Job takes a slot, but the search is not open again."""
    return job.trial_uid not in known and is_promotions_job(job.name, observed.search.name)


def promote(seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict) -> list[CreateTrial | WriteTrial]:
    """What there is to make, to admit and to cancel; keeps the statuses up to date.

    While the search goes on, what has not begun stays as it is: when the search ends again, it may still be wanted. Only what
    is of another recipe than asked for never will be, and would keep its slot.
    """
    if seen.spec is None:
        return []
    if verdict == "open" and seen.spec.promote is not None:
        return [*_withdraw_outdated(promoted)]
    trainings = _trainings(seen, statuses, promoted, verdict)
    why = "the search was given up" if verdict == "failed" else "spec.promote asks for no training of it to the end"
    return [
        *_withdraw(promoted, trainings, Problem(constants.REASON_WITHDRAWN, why)),
        *_admit(promoted, trainings),
        *_missing(seen, trainings, promoted),
    ]


def give_up(promoted: Promoted) -> list[WriteTrial]:
    """The end of what a person has given up before it was admitted, whatever else becomes of the search; `steered` ends the
    rest."""
    return [
        _cancel(trial, promoted, CANCELLED_BY_USER)
        for trial in promoted.seen.observed.trials
        if trial.cancelled and _waits(trial, promoted)
    ]


def find_stall(seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict) -> Stall | None:
    """What holds the promotion up."""
    trainings = _trainings(seen, statuses, promoted, verdict)
    wanted = {(TRIALS.kind, training.name) for training in trainings}
    for found in promoted.seen.observed.findings if trainings else ():
        if found.kind == CONFIG_MAPS.kind or (found.kind, found.name) in wanted:
            return Stall(found.problem, holds_jobs=False)
    return stalls.find_stall(promoted.seen) if promoted.in_flight else None


def outcome(
    seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict
) -> tuple[Verdict, PromotionStatus | None, list[EnsureConfigMap]]:
    """The verdict with the promotion in it, how far the promotion is, and the winner where it is to be published."""
    search = seen.observed.search
    if seen.spec is None or seen.spec.promote is None:
        return verdict, None, []
    trainings = _trainings(seen, statuses, promoted, verdict)
    if not trainings:
        return verdict, search.status.promotion, []
    status = _status(trainings, promoted)
    if status.ended < status.trainings:
        return "promoting", status, []
    name = best_name(search.name)
    done = status.model_copy(update={"config_map": name})
    published = search.status.promotion == done
    finding = seen.observed.finding(CONFIG_MAPS.kind, name)
    refused = finding is not None and seen.now < finding.retry_at
    if refused and not published:
        return "promoting", status, []
    if published and (refused or _is_fresh(seen)):
        return verdict, done, []
    return verdict, done, [_genotype(search, trainings[0].winner.trial, status.results[0])]


def _is_fresh(seen: Survey) -> bool:
    """Whether the ConfigMap was seen a short while ago: it is not watched, and somebody may delete or change it."""
    checked = seen.observed.winner_checked_at
    return checked is not None and seen.now < checked + timedelta(seconds=seen.settings.resync_seconds)


# --- trainings ---


def _winners(seen: Survey, statuses: Statuses) -> list[Result]:
    """Those whose networks are trained to the end: best validation accuracy first, of equal ones the lowest index."""
    promote = seen.spec.promote if seen.spec is not None else None
    if promote is None:
        return []
    results = [result for result in ranked(seen, statuses) if result.trial.spec is not None]
    return results[: promote.top]


def _trainings(seen: Survey, statuses: Statuses, promoted: Promoted, verdict: Verdict) -> list[_Training]:
    """The trainings that there should be, in the order in which they are admitted; none but at the end of a search."""
    spec = seen.spec
    if spec is None or spec.promote is None or verdict not in ("complete", "exhausted"):
        return []
    recipe, made = _recipe(seen, promoted), _made(seen, promoted)
    return [
        _training(seen, promoted, winner, seed, recipe, made)
        for winner in _winners(seen, statuses)
        for seed in range(1, spec.promote.seeds + 1)
    ]


def _recipe(seen: Survey, promoted: Promoted) -> Recipe:
    """That of the trainings which are there, if they were made for what spec.promote asks now: a later release may publish
    another, but one promotion has one recipe."""
    made = (t.spec.recipe for t in promoted.seen.observed.trials if t.problem is None and t.spec is not None)
    known = next((recipe for recipe in made if recipe is not None), None)
    spec = seen.spec
    assert spec is not None and spec.promote is not None  # else nothing is trained to the end
    return known or spec.promote.recipe_of(spec.space, spec.trial.recipe)


def _made(seen: Survey, promoted: Promoted) -> Made:
    """All that were made, those that cannot be read included."""
    made: Made = {}
    for trial in (*promoted.seen.observed.trials, *(trial for trial in seen.observed.trials if trial.spec is None)):
        first, number = numbered(trial.name)
        made.setdefault(first, {})[number] = trial
    return made


def _training(seen: Survey, promoted: Promoted, winner: Result, seed: int, recipe: Recipe, made_of: Made) -> _Training:
    """The last trial made for it that counts, or the name of the next."""
    search, index = seen.observed.search.name, winner.trial.index
    made = made_of.get(promoted_name(search, index, seed), {})
    for number in sorted(made, reverse=True):
        if _counts(made[number], promoted, winner.trial, recipe):
            return _Training(winner, seed, made[number].name, made[number])
    return _Training(winner, seed, promoted_name(search, index, seed, max(made, default=0) + 1), None)


def _counts(trial: TrialView, promoted: Promoted, winner: TrialView, recipe: Recipe) -> bool:
    """Whether a trial trains this network by this recipe, and is not void."""
    if trial.problem is not None or trial.spec is None or trial.hash != winner.hash or trial.spec.recipe != recipe:
        return False
    return not is_void(promoted.statuses[trial.uid], trial.retried_at)


def _missing(seen: Survey, trainings: list[_Training], promoted: Promoted) -> list[CreateTrial]:
    """The trials that are not there yet."""
    missing: list[CreateTrial] = []
    if all(training.trial is not None for training in trainings):
        return missing
    recipe = _recipe(seen, promoted)
    for training in trainings:
        finding = seen.observed.finding(TRIALS.kind, training.name)
        if training.trial is None and (finding is None or seen.now >= finding.retry_at):
            missing.append(CreateTrial(_manifest(seen, training, recipe)))
    return missing


def _manifest(seen: Survey, training: _Training, recipe: Recipe) -> Json:
    """The NASTrial that trains a winner to the end with one seed."""
    spec, search, winner = seen.spec, seen.observed.search, training.winner.trial
    assert spec is not None and spec.promote is not None and winner.spec is not None  # else there are no winners
    architecture = winner.spec.architecture
    trial = NASTrialSpec(
        search=search.name,
        index=winner.index,
        architecture=architecture,
        seed=training.seed,
        recipe=recipe,
        origin=Origin(method="promotion", parent=winner.index),
    )
    labels = {**pod.labels(search.name, search.uid, "trial"), constants.LABEL_ARCHITECTURE: architecture.hash()}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRIAL_KIND,
        "metadata": {
            "namespace": search.namespace,
            "name": training.name,
            "labels": labels,
            "annotations": {constants.ANNOTATION_PROMOTION_HASH: promotion_hash(spec.promote)},
            "ownerReferences": [pod.owner(constants.SEARCH_KIND, search.name, search.uid)],
        },
        "spec": trial.to_kubernetes(),
    }


# --- slots ---


def _admit(promoted: Promoted, trainings: list[_Training]) -> list[WriteTrial]:
    """Admissions while there are free slots; all slots are the promotion's, as no trial of the search is in flight."""
    seen, in_flight = promoted.seen, promoted.in_flight
    parallelism = seen.spec.parallelism if seen.spec is not None else 0
    writes = []
    for training in trainings:
        trial = training.trial
        if trial is None or not _waits(trial, promoted) or promoted.statuses[trial.uid].phase != "Pending":
            continue
        if in_flight < parallelism:
            in_flight += 1
            status = promoted.statuses[trial.uid].model_copy(update=admission_changes(trial, seen.now))
            writes.append(_write(trial, promoted, "admitted to the promotion", status))
    return writes


def _withdraw(promoted: Promoted, trainings: list[_Training], problem: Problem) -> list[WriteTrial]:
    """The end of trials that wait and are not wanted any more; those at work go on to their end."""
    wanted = {training.trial.uid for training in trainings if training.trial is not None}
    unwanted = [trial for trial in promoted.seen.observed.trials if trial.uid not in wanted]
    return [_cancel(trial, promoted, trial.problem or problem) for trial in unwanted if _waits(trial, promoted)]


def _withdraw_outdated(promoted: Promoted) -> list[WriteTrial]:
    return [
        _cancel(trial, promoted, trial.problem)
        for trial in promoted.seen.observed.trials
        if trial.problem is not None and _waits(trial, promoted)
    ]


def _waits(trial: TrialView, promoted: Promoted) -> bool:
    """Whether nothing of it is at work, and its status may be written; Jobs of attempts that are over are no work."""
    at_work = trial.uid in promoted.seen.attempts or bool(promoted.seen.survivors(trial))
    waits = promoted.statuses[trial.uid].phase in ("Pending", "Queued") and not at_work
    return waits and not (trial.deleting or promoted.seen.stuck(trial))


def _cancel(trial: TrialView, promoted: Promoted, problem: Problem) -> WriteTrial:
    status = cancelled(promoted.statuses[trial.uid], problem, promoted.seen.now)
    return _write(trial, promoted, f"cancelled: {problem.reason}", status)


def _write(trial: TrialView, promoted: Promoted, decision: str, status: NASTrialStatus) -> WriteTrial:
    promoted.statuses[trial.uid] = status
    return WriteTrial(trial, status, decision)


# --- results ---


def _status(trainings: list[_Training], promoted: Promoted) -> PromotionStatus:
    """How far the trainings of the winners are."""
    found: dict[str, list[NASTrialStatus | None]] = {}
    for training in trainings:
        status = promoted.statuses[training.trial.uid] if training.trial is not None else None
        found.setdefault(training.winner.trial.name, []).append(status)
    winners = {training.winner.trial.name: training.winner for training in trainings}
    ended = sum(status is not None and is_terminal(status) for statuses in found.values() for status in statuses)
    results = tuple(_result(winner, found[name]) for name, winner in winners.items())
    return PromotionStatus(trainings=len(trainings), ended=ended, results=results)


def _result(winner: Result, trainings: list[NASTrialStatus | None]) -> PromotedResult:
    ended = [status for status in trainings if status is not None and is_terminal(status)]
    good = [status for status in ended if status.phase == "Succeeded"]
    complete = len(ended) == len(trainings)  # a mean of some of the seeds would be chosen by what ended first
    tests = [status.test_accuracy for status in good if status.test_accuracy is not None] if complete else []
    return PromotedResult(
        trial=winner.trial.name,
        validation_accuracy=winner.mean,
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
