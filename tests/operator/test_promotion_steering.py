"""What people do to a promotion: more or less of it, another recipe, trainings given up, tried again or deleted."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core.api import NASSearchSpec, NASTrialStatus
from bananas_operator.actions import CreateJob, EnsurePredictor
from bananas_operator.views import JobView, Observed, Problem, TrialView

from .builders import at, ended, job, pod, running, search, trial
from .test_promotion import PROMOTE, asked, condition, decide, done, finished, made, to_the_end, told, writes

MISMATCH = Problem("RecipeMismatch", "spec.recipe is not that of the search")


def attempt(of: TrialView, number: int = 1, **changes: Any) -> JobView:
    """The Job of an attempt."""
    view = replace(job(of.index, number), name=f"{of.name}-{number}", uid=f"job-{of.name}-{number}")
    return replace(view, trial_uid=of.uid, **changes)


def waits_again(given: NASSearchSpec | None = None) -> tuple[TrialView, JobView]:
    """A training whose first attempt has failed, with the Job that is kept for its logs."""
    failure = {"reason": "ProgramError", "message": "exit code 1"}
    over = {"attempts": 1, "settled_attempt": 1, "retries": 1, "settled_time": "2026-01-01T12:00:10Z"}
    waiting = to_the_end(1, 1, "Queued", given, failure=failure, **over)
    return waiting, attempt(waiting, failed=True, pod=pod(ended(1), phase="Failed"))


def open_again(given: NASSearchSpec, *promoted: TrialView, **changes: Any) -> Observed:
    """The budget was raised in the middle of the promotion, and a trial of it runs."""
    seen = done(given, *promoted, **changes)
    begun, working = trial(3, "Running", attempts=1), job(3, the_pod=pod(running()))
    return replace(seen, trials=(*seen.trials, begun), jobs=(*seen.jobs, working))


def starts(seen: Observed) -> list[str]:
    return [a.manifest["metadata"]["name"] for a in decide(seen).actions if isinstance(a, CreateJob)]


def test_a_raised_budget_holds_back_what_has_not_begun_and_the_rest_keeps_its_slot() -> None:
    given = asked(budget={"trials": 5}, parallelism=2)
    begun = to_the_end(1, 1, "Running", given, attempts=1)
    working = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=begun.uid, pod=pod(running()))
    seen = done(given, begun, to_the_end(1, 2, given=given), jobs=(working,))
    seen = replace(seen, trials=(*seen.trials, *(replace(trial(i), spec=None, problem=None) for i in (3, 4))))
    decided = writes(decide(seen))
    assert "s-1-final-2" not in decided, "it is neither admitted nor given up"
    assert [decided[name].phase for name in ("s-3",)] == ["Queued"]
    assert "s-4" not in decided, "one slot of two is the promotion's"

    results = (trial(i, "Succeeded", validation_accuracy=0.85) for i in (3, 4))
    again = done(given, finished(1, 1, 0.9), to_the_end(1, 2, given=given), to_the_end(2, 1, given=given))
    again = replace(again, trials=(*again.trials, *results))
    todo = decide(again)
    assert writes(todo)["s-1-final-2"].phase == "Queued", "when the search has ended again, it is trained after all"
    assert writes(todo)["s-2-final-1"].reason == "Withdrawn", "another has displaced it"
    assert [t["metadata"]["name"] for t in made(todo)] == ["s-3-final-1", "s-3-final-2"]
    promotion = told(todo).promotion
    assert promotion is not None
    assert (promotion.ended, [result.failed for result in promotion.results]) == (1, [0, 0])


def test_a_promotion_that_is_removed_and_restored_trains_what_it_withdrew() -> None:
    begun = to_the_end(1, 1, "Running", attempts=1, node="node1", start_time="2026-01-01T12:00:00Z")
    working = replace(job(1), name="s-1-final-1-1", uid="job-p", trial_uid=begun.uid, pod=pod(running()))
    waiting = [to_the_end(1, 2), to_the_end(2, 1), to_the_end(2, 2)]
    removed = done(asked(promote=None), begun, *waiting, jobs=(working,))
    decided = writes(decide(removed))
    assert {(name, status.phase, status.reason) for name, status in decided.items()} == {
        (t.name, "Cancelled", "Withdrawn") for t in waiting
    }
    assert told(decide(removed)).phase == "Complete"

    withdrawn = [replace(t, status=decided[t.name]) for t in waiting]
    restored = decide(done(asked(), finished(1, 1, 0.9), *withdrawn))
    assert [t["metadata"]["name"] for t in made(restored)] == ["s-1-final-2-r2", "s-2-final-1-r2", "s-2-final-2-r2"]
    promotion = told(restored).promotion
    assert promotion is not None
    assert (promotion.trainings, promotion.ended) == (4, 1)
    assert [result.failed for result in promotion.results] == [0, 0]

    third = replace(finished(1, 2, 0.8), name="s-1-final-2-r2", uid="third")
    promotion = told(decide(done(asked(), finished(1, 1, 0.9), *withdrawn, third))).promotion
    assert promotion is not None
    assert (promotion.results[0].succeeded, promotion.results[0].test_accuracy) == (2, pytest.approx(0.85))


def test_what_waits_when_a_search_is_given_up_is_withdrawn() -> None:
    given = asked(trial={"maxFailedTrials": 0}, budget={"trials": 4})
    failed = trial(3, "Failed", failure={"reason": "Diverged", "message": ""})
    seen = done(given, to_the_end(1, 1, given=given))
    todo = decide(replace(seen, trials=(*seen.trials, failed)))
    assert writes(todo)["s-1-final-1"].reason == "Withdrawn"


def test_a_spec_that_cannot_be_read_withdraws_nothing() -> None:
    seen = done(asked(), to_the_end(1, 1))
    unread = replace(seen.search, spec=None, problem="spec.promote: a field of a later release")
    assert "s-1-final-1" not in writes(decide(replace(seen, search=unread)))


def test_a_failed_training_that_a_person_wants_again_is_made_again_once() -> None:
    failure = {"reason": "ProgramError", "message": ""}
    failed = to_the_end(1, 1, "Failed", failure=failure, settled_time="2026-01-01T11:40:00Z")
    others = (finished(1, 2, 0.9), finished(2, 1, 0.8), finished(2, 2, 0.8))
    assert made(decide(done(asked(), failed, *others))) == []
    retried = replace(failed, retried_at=at(0))
    todo = decide(done(asked(), retried, *others))
    assert [t["metadata"]["name"] for t in made(todo)] == ["s-1-final-1-r2"]
    assert told(todo).phase == "Running"
    second = replace(failed, name="s-1-final-1-r2", uid="second")
    seen = done(asked(), retried, *others, second)
    assert made(decide(seen)) == []
    status = told(decide(seen))
    assert status.phase == "Complete"
    assert status.promotion is not None
    assert (status.promotion.results[0].succeeded, status.promotion.results[0].failed) == (1, 1)


def test_a_training_that_a_person_gave_up_is_not_made_again() -> None:
    given_up = to_the_end(1, 1, "Cancelled", reason="CancelledByUser")
    seen = done(asked(), given_up, finished(1, 2, 0.9), finished(2, 1, 0.8), finished(2, 2, 0.8))
    assert made(decide(seen)) == []
    assert told(decide(seen)).phase == "Complete"


@pytest.mark.parametrize(
    "change", [{"promote": None}, {"promote": {**PROMOTE, "epochs": 7}}, {"promote": {**PROMOTE, "top": 1}}]
)
def test_an_unwanted_training_whose_failed_attempt_is_kept_for_its_logs_is_withdrawn(change: dict[str, Any]) -> None:
    waiting, kept = waits_again()
    if change["promote"] and "epochs" in change["promote"]:
        waiting = replace(waiting, problem=MISMATCH)
    if change["promote"] and "top" in change["promote"]:
        waiting = replace(waiting, hash="another")
    seen = done(asked(**change), waiting, jobs=(kept,))
    assert starts(seen) == []
    assert writes(decide(seen))[waiting.name].reason in ("Withdrawn", "RecipeMismatch")
    wanted, kept = waits_again()
    assert starts(done(asked(), wanted, jobs=(kept,))) == ["s-1-final-1-2"]


def test_an_unwanted_training_whose_attempt_runs_goes_on() -> None:
    begun = to_the_end(1, 1, "Running", attempts=1, node="node1", start_time="2026-01-01T12:00:00Z")
    seen = done(asked(promote=None), begun, jobs=(attempt(begun, pod=pod(running())),))
    assert writes(decide(seen)) == {}
    queued, kept = waits_again()
    revived = replace(kept, failed=False, pod=pod(running()))
    assert writes(decide(done(asked(promote=None), queued, jobs=(revived,)))) == {}, "its node has come back"


def test_while_the_search_is_open_again_a_training_of_another_recipe_is_withdrawn_and_gives_its_slot_back() -> None:
    given = asked(budget={"trials": 5}, parallelism=2)
    outdated = replace(to_the_end(1, 1, "Queued", given), problem=MISMATCH)
    seen = open_again(given, outdated)
    assert starts(seen) == []
    status = writes(decide(seen))[outdated.name]
    assert (status.phase, status.reason) == ("Cancelled", "RecipeMismatch")
    assert starts(open_again(given, to_the_end(1, 1, "Queued", given))) == ["s-1-final-1-1"], "of the recipe asked for"
    begun = replace(to_the_end(1, 1, "Running", given, attempts=1, node="node1"), problem=MISMATCH)
    begun = replace(begun, status=begun.status.model_copy(update={"start_time": "2026-01-01T12:00:00Z"}))
    going_on = open_again(given, begun, jobs=(attempt(begun, pod=pod(running())),))
    assert begun.name not in writes(decide(going_on))


@pytest.mark.parametrize(
    "circumstance", ["complete", "open", "suspended", "suspended and open", "not asked for", "given up", "not readable"]
)
def test_a_training_that_a_person_gives_up_before_it_is_admitted_is_recorded_as_that(circumstance: str) -> None:
    given = asked(
        suspend="suspended" in circumstance,
        promote=None if circumstance == "not asked for" else PROMOTE,
        budget={"trials": 4 if "open" in circumstance else 3},
        trial={"maxFailedTrials": 0},
    )
    unwanted = replace(to_the_end(1, 1), cancelled=True)
    seen = open_again(given, unwanted) if "open" in circumstance else done(asked(), unwanted, search=search(given))
    if circumstance == "given up":
        lost = trial(3, "Failed", failure={"reason": "Diverged", "message": ""})
        seen = replace(seen, trials=(*seen.trials, lost))
    if circumstance == "not readable":
        seen = replace(seen, search=replace(seen.search, spec=None, problem="spec: a field of a later release"))
    status: NASTrialStatus = writes(decide(seen))[unwanted.name]
    assert (status.phase, status.reason) == ("Cancelled", "CancelledByUser")
    assert [name for name in writes(decide(seen)) if name == unwanted.name] == [unwanted.name]


def test_a_running_training_that_is_deleted_does_not_open_the_search_again() -> None:
    """Its Job is there until the garbage collector has taken it."""
    gone = to_the_end(1, 1, "Running", attempts=1)
    left = attempt(gone, pod=pod(running()))
    for others in ((finished(1, 2, 0.9), finished(2, 1, 0.9), finished(2, 2, 0.9)), ()):
        todo = decide(done(asked(parallelism=1), *others, jobs=(left,)))
        assert not any(isinstance(action, EnsurePredictor) for action in todo.actions)
        assert condition(told(todo), "Progressing") == ("True", "Promoting")
        assert "s-1-final-1" in [manifest["metadata"]["name"] for manifest in made(todo)]
    anew = replace(to_the_end(1, 1, "Queued"), uid="anew")
    assert starts(done(asked(parallelism=1), anew, jobs=(left,))) == [], "the slot is taken while it is there"
    assert starts(done(asked(parallelism=2), anew, jobs=(left,))) != []
    assert told(decide(done(asked(promote=None), jobs=(left,)))).phase == "Complete"


def test_a_running_trial_of_the_search_that_is_deleted_keeps_it_open_until_its_job_is_gone() -> None:
    todo = decide(done(asked(), jobs=(job(7, the_pod=pod(running())),)))
    assert made(todo) == []
    assert condition(told(todo), "Complete")[0] == "False"


def test_a_result_of_another_recipe_or_network_is_left_out_and_trained_anew() -> None:
    old = [replace(finished(1, seed, 0.9), problem=MISMATCH) for seed in (1, 2)]
    waiting = replace(to_the_end(2, 1), problem=MISMATCH)
    other = replace(finished(2, 2, 0.9), hash="another")
    todo = decide(done(asked(), *old, waiting, other))
    want = ["s-1-final-1-r2", "s-1-final-2-r2", "s-2-final-1-r2", "s-2-final-2-r2"]
    assert [t["metadata"]["name"] for t in made(todo)] == want
    assert {name: status.reason for name, status in writes(todo).items()} == {"s-2-final-1": "RecipeMismatch"}
    promotion = told(todo).promotion
    assert promotion is not None
    assert (promotion.ended, [result.succeeded for result in promotion.results]) == (0, [0, 0])


def test_a_promotion_keeps_its_recipe_though_a_later_release_publishes_another() -> None:
    """The trials say by a hash what they were made for; `parse` has found that it is what spec.promote asks."""
    given = asked(promote={**PROMOTE, "seeds": 3})
    before = [finished(1, seed, 0.9) for seed in (1, 2)]
    assert before[0].spec is not None
    assert before[0].spec.recipe is not None
    recipe = before[0].spec.recipe.model_copy(update={"learning_rate": 0.123})
    before = [replace(t, spec=t.spec.model_copy(update={"recipe": recipe})) for t in before if t.spec is not None]
    trials = made(decide(done(given, *before)))
    assert [t["metadata"]["name"] for t in trials] == ["s-1-final-3", "s-2-final-1", "s-2-final-2", "s-2-final-3"]
    assert {t["spec"]["recipe"]["learningRate"] for t in trials} == {0.123}
