"""Training of the best to the end: what is made, admitted, told and published."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus, Recipe
from bananas_core.api.promotion import FINAL_TRAINING, Promotion
from bananas_core.names import promoted_name
from bananas_core.workload.job import template_hash
from bananas_operator.actions import (
    CreateJob,
    CreateTrial,
    DeletePredictor,
    EnsureConfigMap,
    Plan,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.parse import trial_view
from bananas_operator.plan import plan
from bananas_operator.views import Finding, Observed, Problem, TrialView
from bananas_trainer.recipes import fields_of

from .builders import ARCHITECTURES, SETTINGS, at, ended, job, observed, pod, report, running, search, spec, trial

PROMOTE = {"top": 2, "seeds": 2, "recipe": "search"}


def asked(**changes: Any) -> NASSearchSpec:
    return spec(**{"evaluator": "train", "budget": {"trials": 3}, "promote": PROMOTE, **changes})


def done(given: NASSearchSpec, *promoted: TrialView, **changes: Any) -> Observed:
    """A search whose three trials have ended: the second is the best, then the third."""
    results = (
        trial(0, "Succeeded", validation_accuracy=0.5),
        trial(1, "Succeeded", validation_accuracy=0.9),
        trial(2, "Succeeded", validation_accuracy=0.8),
    )
    return replace(observed(*results, *promoted, search=search(given)), **changes)


def to_the_end(
    index: int, seed: int, phase: str = "Pending", given: NASSearchSpec | None = None, **status: Any
) -> TrialView:
    given = given or asked()
    assert given.promote is not None
    origin = trial(index)
    assert origin.spec is not None
    made = NASTrialSpec.model_validate(
        {
            **origin.spec.to_kubernetes(),
            "table": None,
            "seed": seed,
            "recipe": given.promote.recipe_of(given.space, given.trial.recipe),
            "origin": {"method": "promotion", "parent": index},
        }
    )
    if phase != "Pending":
        status = {"admission_time": "2026-01-01T11:30:00Z", **status}
    return replace(
        origin,
        name=promoted_name("s", index, seed),
        uid=f"promoted-{index}-{seed}",
        spec=made,
        status=NASTrialStatus.model_validate({"phase": phase, **status}),
    )


def finished(index: int, seed: int, accuracy: float) -> TrialView:
    return to_the_end(index, seed, "Succeeded", validation_accuracy=accuracy, test_accuracy=accuracy, parameters=1000)


def decide(seen: Observed) -> Plan:
    return plan(seen, at(100), SETTINGS)


def made(todo: Plan) -> list[dict[str, Any]]:
    return [action.manifest for action in todo.actions if isinstance(action, CreateTrial)]


def writes(todo: Plan) -> dict[str, NASTrialStatus]:
    return {a.trial.name: a.status for a in todo.actions if isinstance(a, WriteTrial)}


def told(todo: Plan) -> NASSearchStatus:
    (status,) = (action.status for action in todo.actions if isinstance(action, WriteSearch))
    return status


def condition(status: NASSearchStatus, type_: str) -> tuple[str, str]:
    return next((c.status, c.reason) for c in status.conditions if c.type == type_)


def test_the_best_by_validation_are_made_once_for_each_seed_when_the_budget_is_used() -> None:
    todo = decide(done(asked()))
    trials = made(todo)
    assert [t["metadata"]["name"] for t in trials] == ["s-1-final-1", "s-1-final-2", "s-2-final-1", "s-2-final-2"]
    assert [t["spec"]["seed"] for t in trials] == [1, 2, 1, 2]
    assert {t["spec"]["origin"]["method"] for t in trials} == {"promotion"}
    assert [t["metadata"]["ownerReferences"][0]["uid"] for t in trials] == ["search-uid"] * 4
    for manifest in trials:
        recipe = manifest["spec"]["recipe"]
        assert (recipe["validationFraction"], recipe["testAtEnd"]) == (0, True)
    assert any(isinstance(action, DeletePredictor) for action in todo.actions)
    status = told(todo)
    assert status.phase == "Running"
    assert condition(status, "Progressing") == ("True", "Promoting")
    assert condition(status, "Complete") == ("False", "Promoting")
    assert status.completion_time is None


def test_the_last_result_of_all_may_be_the_best() -> None:
    """The pass that records it is the one that finds the search complete and tells of the promotion."""
    begun = trial(2, "Running", attempts=1)
    end = job(2, the_pod=pod(ended(0, report(2, accuracy=0.99), "Completed"), phase="Succeeded"), complete=True)
    seen = done(asked())
    seen = replace(seen, trials=(*seen.trials[:2], begun), jobs=(end,))
    promotion = told(decide(seen)).promotion
    assert promotion is not None
    assert [(r.trial, r.validation_accuracy) for r in promotion.results] == [("s-2", 0.99), ("s-1", 0.9)]


def test_of_repeated_trials_the_mean_is_told_by_which_they_were_chosen() -> None:
    given = asked(trial={"repeats": 2}, budget={"trials": 4})
    first, second, third, fourth = (
        trial(i, "Succeeded", ARCHITECTURES[i // 2], validation_accuracy=accuracy)
        for i, accuracy in enumerate((0.9, 0.7, 0.85, 0.83))
    )
    promotion = told(decide(observed(first, second, third, fourth, search=search(given)))).promotion
    assert promotion is not None
    assert [(r.trial, r.validation_accuracy) for r in promotion.results] == [("s-2", 0.84), ("s-0", 0.8)]


def test_what_is_made_parses_as_a_trial_of_the_search() -> None:
    given = asked()
    manifest = made(decide(done(given)))[0]
    assert to_the_end(1, 1, given=given).spec == NASTrialSpec.model_validate(manifest["spec"])


def test_nothing_is_made_while_a_trial_runs_or_without_results_or_unasked() -> None:
    going = done(asked())
    going = replace(
        going, trials=(*going.trials[:2], trial(2, "Running", attempts=1)), jobs=(job(2, the_pod=pod(running())),)
    )
    assert made(decide(going)) == []
    failure = {"reason": "Diverged", "message": ""}
    lost = replace(going, trials=tuple(trial(i, "Failed", failure=failure) for i in range(3)), jobs=())
    assert made(decide(lost)) == []
    assert told(decide(lost)).phase == "Complete"
    assert made(decide(done(asked(promote=None)))) == []


def test_they_are_admitted_best_first_to_as_many_slots_as_there_are() -> None:
    waiting = [to_the_end(i, s) for i, s in ((2, 1), (2, 2), (1, 1), (1, 2))]
    want = {"s-1-final-1": "Queued", "s-1-final-2": "Queued"}
    assert {name: status.phase for name, status in writes(decide(done(asked(parallelism=2), *waiting))).items()} == want
    assert writes(decide(done(asked(parallelism=0), *waiting))) == {}


def test_an_admitted_one_gets_a_job_with_the_recipe_of_the_promotion() -> None:
    todo = decide(done(asked(), to_the_end(1, 1, "Queued")))
    (start,) = (action for action in todo.actions if isinstance(action, CreateJob))
    assert start.manifest["metadata"]["name"] == "s-1-final-1-1"
    assert (
        '"testAtEnd":true'
        in start.manifest["spec"]["template"]["metadata"]["annotations"]["nas.bananas.dev/trial-file"]
    )


def test_they_count_for_no_budget_and_are_neither_best_nor_failed_trials_of_the_search() -> None:
    failure = {"reason": "Diverged", "message": ""}
    seen = done(asked(trial={"maxFailedTrials": 0}), finished(1, 1, 0.99), to_the_end(1, 2, "Failed", failure=failure))
    status = told(decide(seen))
    assert status.phase == "Running"
    assert (status.trials.succeeded, status.trials.failed) == (3, 0)
    assert status.best is not None
    assert status.best.trial == "s-1"


def test_mean_and_deviation_are_told_once_all_seeds_of_a_network_have_ended() -> None:
    seen = done(asked(), finished(1, 1, 0.90), finished(1, 2, 0.92), finished(2, 1, 0.95), to_the_end(2, 2, "Queued"))
    promotion = told(decide(seen)).promotion
    assert promotion is not None
    assert (promotion.trainings, promotion.ended) == (4, 3)
    first, second = promotion.results
    assert (first.trial, first.succeeded, first.test_accuracy) == ("s-1", 2, pytest.approx(0.91))
    assert first.test_accuracy_standard_deviation == pytest.approx(0.014142, abs=1e-6)
    assert (second.trial, second.succeeded, second.test_accuracy) == ("s-2", 1, None)


def test_the_winner_is_published_by_validation_whatever_the_tests_say_and_the_search_is_complete() -> None:
    ends = (finished(1, 1, 0.90), finished(1, 2, 0.92), finished(2, 1, 0.97), finished(2, 2, 0.99))
    todo = decide(done(asked(), *ends))
    (published,) = (action for action in todo.actions if isinstance(action, EnsureConfigMap))
    assert published.manifest["metadata"]["name"] == "s-best"
    assert published.manifest["data"]["trial"] == "s-1"
    assert published.manifest["data"]["testAccuracy"] == "0.91"
    status = told(todo)
    assert status.phase == "Complete"
    assert status.promotion is not None
    assert status.promotion.config_map == "s-best"
    assert todo.actions.index(published) < len(todo.actions) - 1, "the status that tells of it comes after it"

    idle = done(asked(), *ends, search=search(asked(), status=status), deployment=None, winner_checked_at=at(0))
    assert decide(idle).actions == (), "an idle search is not written"


def test_a_published_winner_is_looked_at_again_at_each_resync_and_after_a_restart() -> None:
    ends = (finished(1, 1, 0.90), finished(1, 2, 0.92), finished(2, 1, 0.97), finished(2, 2, 0.99))
    complete = search(asked(), status=told(decide(done(asked(), *ends))))
    idle = done(asked(), *ends, search=complete, deployment=None)
    for checked, want in ((None, 1), (at(100 - SETTINGS.resync_seconds - 1), 1), (at(99), 0)):
        todo = decide(replace(idle, winner_checked_at=checked))
        assert [type(action) for action in todo.actions] == [EnsureConfigMap] * want
    problem = Problem("NameConflict", "another's")
    refused = Finding("ConfigMap", "s-best", problem, at(200))
    assert decide(replace(idle, findings=(refused,))).actions == (), "the search stays complete, and it is tried again"


def test_a_training_to_the_end_that_failed_is_told_and_the_others_count() -> None:
    failure = {"reason": "Diverged", "message": "the loss is nan"}
    seen = done(
        asked(),
        finished(1, 1, 0.9),
        to_the_end(1, 2, "Failed", failure=failure),
        finished(2, 1, 0.8),
        finished(2, 2, 0.8),
    )
    status = told(decide(seen))
    assert status.phase == "Complete"
    assert status.promotion is not None
    first = status.promotion.results[0]
    assert (first.succeeded, first.failed, first.test_accuracy) == (1, 1, 0.9)
    assert first.test_accuracy_standard_deviation is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"top": 1, "seeds": 5, "deadlineSeconds": 60, "noProgressSeconds": 60}, True),
        ({"recipe": "final"}, False),
        ({"epochs": 7}, False),
        ({"channels": 8}, False),
        ({"layers": 9}, False),
        ({"batchSize": 9}, False),
    ],
)
def test_trials_of_a_promotion_are_known_by_what_was_asked_of_their_recipe(change: dict[str, Any], same: bool) -> None:
    (manifest, *_) = made(decide(done(asked())))
    stored = {**manifest, "metadata": {**manifest["metadata"], "uid": "u", "resourceVersion": "1"}}
    stored["spec"] = {**stored["spec"], "recipe": {**stored["spec"]["recipe"], "learningRate": 0.123}}
    stored["metadata"]["name"] = "s-1-final-1-r3"
    problem = trial_view(stored, search(asked(promote={**PROMOTE, **change}))).problem
    assert (problem is None) == same
    if problem is not None:
        assert problem.reason == "RecipeMismatch"


@pytest.mark.parametrize("name", ["s-1-final-1-r1", "s-1-final-1-2", "s-1-final-1-r02", "s-1-final-2", "s-11-final-1"])
def test_a_promoted_trial_of_another_name_is_none(name: str) -> None:
    (manifest, *_) = made(decide(done(asked())))
    stored = {**manifest, "metadata": {**manifest["metadata"], "name": name, "uid": "u", "resourceVersion": "1"}}
    problem = trial_view(stored, search(asked())).problem
    assert problem is not None
    assert problem.reason == "InvalidTrial"


def test_bounds_of_time_are_the_promotions_own() -> None:
    short = {"deadlineSeconds": 60, "noProgressSeconds": 30}
    queued = to_the_end(1, 1, "Queued")

    def deadline(promote: dict[str, Any]) -> int | None:
        todo = decide(done(asked(trial=short, promote=promote), queued))
        (start,) = (action for action in todo.actions if isinstance(action, CreateJob))
        found: int | None = start.manifest["spec"]["template"]["spec"].get("activeDeadlineSeconds")
        return found

    assert deadline(PROMOTE) is None
    assert deadline({**PROMOTE, "deadlineSeconds": 86_400}) == 86_400

    def silent(promote: dict[str, Any]) -> NASTrialStatus | None:
        given = asked(trial=short, promote=promote)
        told_before = {"epoch": 1, "epochs": 3, "time": "2026-01-01T12:00:10Z"}
        begun = to_the_end(1, 1, "Running", given, attempts=1, node="node1", progress=told_before)
        begun = replace(begun, status=begun.status.model_copy(update={"start_time": "2026-01-01T12:00:00Z"}))
        working = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=begun.uid, pod=pod(running()))
        return writes(decide(done(given, begun, jobs=(working,)))).get("s-1-final-1")

    assert silent(PROMOTE) is None
    hung = silent({**PROMOTE, "noProgressSeconds": 60})
    assert hung is not None
    assert hung.failure is not None
    assert hung.failure.reason == "Hang"
    assert "spec.promote.noProgressSeconds" in hung.failure.message


def test_a_job_that_waits_is_superseded_by_the_promotions_deadline_and_not_by_the_searchs() -> None:
    given = asked()
    queued = to_the_end(1, 1, "Queued", attempts=1)

    def decided(changed: NASSearchSpec) -> NASTrialStatus | None:
        hash_ = template_hash(given, SETTINGS, promoted=True)
        waits = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=queued.uid, template_hash=hash_, pod=pod())
        return writes(decide(done(changed, queued, jobs=(waits,)))).get("s-1-final-1")

    assert decided(given) is None
    assert decided(asked(trial={"deadlineSeconds": 60})) is None
    superseded = decided(asked(promote={**PROMOTE, "deadlineSeconds": 60}))
    assert superseded is not None
    assert superseded.settled_attempt == 1


def test_the_condition_says_what_the_trainings_wait_for_and_which_nodes_are_avoided() -> None:
    faults = [{"node": "bad", "time": f"2026-01-01T11:5{n}:00Z"} for n in (8, 9)]
    queued = to_the_end(1, 1, "Queued", attempts=1, node_faults=faults[:1])
    hash_ = template_hash(asked(), SETTINGS, promoted=True)
    waits = pod(node=None, unschedulable="0/3 nodes are available: Insufficient nvidia.com/gpu.")
    working = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=queued.uid, template_hash=hash_, pod=waits)
    seen = done(asked(), queued, jobs=(working,))
    first = replace(seen.trials[0], status=seen.trials[0].status.model_copy(update={"node_faults": ()}))
    blamed = trial(0, "Succeeded", validation_accuracy=0.5, node_faults=faults[1:])
    seen = replace(seen, trials=(blamed, *seen.trials[1:]))
    status = told(decide(seen))
    assert condition(status, "Progressing") == ("True", "Unschedulable")
    message = next(c.message for c in status.conditions if c.type == "Progressing")
    assert message.startswith(
        "0 of 4 trainings to the end have ended; 1 in flight without a pod that runs: waits for a node: 0/3"
    )
    assert "node bad is avoided until" in message
    assert status.avoided_nodes == ("bad",), "one fault of the search and one of the promotion are two in a row"
    alone = told(decide(replace(seen, trials=(first, *seen.trials[1:]))))
    assert alone.avoided_nodes == ()


def test_the_end_of_a_promotion_is_estimated_from_the_trainings_that_have_ended() -> None:
    times = {"start_time": "2026-01-01T11:30:00Z", "completion_time": "2026-01-01T12:00:00Z"}
    ended = replace(finished(1, 1, 0.9), status=finished(1, 1, 0.9).status.model_copy(update=times))
    assert told(decide(done(asked(), to_the_end(1, 1)))).estimated_completion_time is None
    status = told(decide(done(asked(parallelism=1), ended)))
    assert status.estimated_completion_time == "2026-01-01T13:30:00Z", "three more, half an hour each"


def test_a_training_without_validation_images_has_no_validation_accuracy() -> None:
    begun = to_the_end(1, 1, "Running", attempts=1)

    def status(test_accuracy: float | None) -> NASTrialStatus:
        text = report(1, accuracy=0.97, test_accuracy=test_accuracy, epochs=3).replace("trial-1", begun.uid)
        end = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=begun.uid, complete=True)
        end = replace(end, pod=pod(ended(0, text, "Completed"), phase="Succeeded"))
        return writes(decide(done(asked(), begun, jobs=(end,))))["s-1-final-1"]

    found = status(0.97)
    assert (found.phase, found.validation_accuracy, found.test_accuracy) == ("Succeeded", None, 0.97)
    assert found.progress is not None
    assert found.progress.validation_accuracy is None
    assert status(None).validation_accuracy == 0.97, "a trainer of one's own that tests nothing: what it says is kept"


def test_a_refused_trial_holds_the_promotion_up_and_is_tried_again_when_it_is_due() -> None:
    problem = Problem("QuotaExceeded", "no more objects")
    refused = Finding("NASTrial", "s-1-final-1", problem, at(200))
    todo = decide(done(asked(), findings=(refused,)))
    assert "s-1-final-1" not in [t["metadata"]["name"] for t in made(todo)]
    assert told(todo).phase == "Stalled"
    assert condition(told(todo), "Stalled") == ("True", "QuotaExceeded")
    later = plan(done(asked(), findings=(refused,)), at(201), SETTINGS)
    assert "s-1-final-1" in [t["metadata"]["name"] for t in made(later)]


def test_the_final_recipe_of_darts_is_that_of_the_trainer() -> None:
    recipe = Promotion().recipe_of("darts", Recipe(dataset="cifar10", file="cifar-10-batches-py", epochs=3))
    want = {**fields_of("final"), "dataset": "cifar10", "file": "cifar-10-batches-py"}
    assert {name: getattr(recipe, name) for name in want} == want
    assert set(FINAL_TRAINING) == {"darts", "nasbench101", "nasbench201"}


def test_what_is_asked_for_goes_before_what_the_recipe_says() -> None:
    recipe = Promotion(recipe="final", epochs=4, channels=8, layers=5, batch_size=32).recipe_of("darts", Recipe())
    assert (recipe.epochs, recipe.channels, recipe.layers, recipe.batch_size) == (4, 8, 5, 32)
    assert recipe.score_epochs == 4, "no more epochs are averaged than there are"
