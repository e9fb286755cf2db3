"""Training of the best to the end: what is made, admitted, told and published."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus, Recipe
from bananas_core.api.promotion import FINAL_TRAINING, Promotion
from bananas_core.names import promoted_name
from bananas_operator.actions import (
    CreateJob,
    CreateTrial,
    DeletePredictor,
    EnsureConfigMap,
    Plan,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.plan import plan
from bananas_operator.views import Finding, Observed, Problem, TrialView
from bananas_trainer.recipes import fields_of

from .builders import SETTINGS, at, job, observed, pod, running, search, spec, trial

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

    again = decide(done(asked(), *ends, search=search(asked(), status=status)))
    assert not [a for a in again.actions if isinstance(a, EnsureConfigMap | WriteSearch)], (
        "an idle search is not written"
    )


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


def test_a_raised_budget_takes_back_what_has_not_begun_and_the_rest_keeps_its_slot() -> None:
    given = asked(budget={"trials": 5}, parallelism=2)
    begun = to_the_end(1, 1, "Running", given, attempts=1)
    working = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=begun.uid, pod=pod(running()))
    seen = done(given, begun, to_the_end(1, 2, given=given), jobs=(working,))
    seen = replace(seen, trials=(*seen.trials, *(replace(trial(i), spec=None, problem=None) for i in (3, 4))))
    decided = writes(decide(seen))
    assert decided["s-1-final-2"].reason == "Withdrawn"
    assert [decided[name].phase for name in ("s-3",)] == ["Queued"]
    assert "s-4" not in decided, "one slot of two is the promotion's"


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
