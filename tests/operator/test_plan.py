"""Decisions of single passes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api import NASSearchStatus, NASTrialStatus
from bananas_core.api.search import PredictorStatus
from bananas_core.contract import FailureReport, ProgressMessage
from bananas_operator.actions import (
    CreateJob,
    DeleteJob,
    DeleteJobs,
    DeletePredictor,
    EnsurePredictor,
    Plan,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.plan import plan
from bananas_operator.views import (
    ContainerWaiting,
    Facts,
    Finding,
    Observed,
    Problem,
    ProgressView,
)

from .builders import (
    ARCHITECTURES,
    SETTINGS,
    at,
    deployment,
    ended,
    job,
    observed,
    pod,
    report,
    running,
    search,
    spec,
    trial,
)


def decide(seen: Observed, seconds: float = 100) -> Plan:
    return plan(seen, at(seconds), SETTINGS)


def writes(todo: Plan) -> dict[str, NASTrialStatus]:
    return {a.trial.name: a.status for a in todo.actions if isinstance(a, WriteTrial)}


def starts(todo: Plan) -> list[tuple[str, int]]:
    return [(a.trial.name, a.attempt) for a in todo.actions if isinstance(a, CreateJob)]


def status(todo: Plan) -> NASSearchStatus:
    return next(a.status for a in todo.actions if isinstance(a, WriteSearch))


def condition(todo: Plan, type_: str) -> tuple[str, str, str]:
    found = next(c for c in status(todo).conditions if c.type == type_)
    return found.status, found.reason, found.message


def notes(todo: Plan) -> list[str]:
    return [note.reason for a in todo.actions if isinstance(a, WriteTrial | WriteSearch) for note in a.notes]


def failure(reason: str = "x", message: str = "the trainer says") -> str:
    return FailureReport(kind="bananas.failure/v1", reason=reason, message=message).to_message()


def settled(seen: Observed, seconds: float = 100) -> Observed:
    """The same, with the search's status as a pass has written it."""
    todo = decide(seen, seconds)
    found = [a.status for a in todo.actions if isinstance(a, WriteSearch)]
    return replace(seen, search=replace(seen.search, status=found[0] if found else seen.search.status))


# --- admission ---


def test_pending_trials_are_admitted_lowest_index_first_up_to_parallelism() -> None:
    todo = decide(observed(*(trial(i) for i in range(3))))
    assert [a.trial.name for a in todo.actions if isinstance(a, WriteTrial)] == ["s-0", "s-1"]


def test_an_admission_says_when_and_starts_nothing_before_it_is_persisted() -> None:
    todo = decide(observed(trial(0)))
    assert writes(todo)["s-0"].phase == "Queued"
    assert writes(todo)["s-0"].admission_time == "2026-01-01T12:01:40Z"
    assert starts(todo) == []
    assert todo.again_at == at(100), "the Job follows at once"


def test_the_job_of_an_admitted_trial_is_created() -> None:
    todo = decide(observed(trial(0, "Queued")))
    assert starts(todo) == [("s-0", 1)]


def test_trials_in_flight_take_slots() -> None:
    todo = decide(observed(trial(0, "Running", attempts=1), trial(1), trial(2), jobs=(job(0, 1, pod(running())),)))
    assert [name for name, s in writes(todo).items() if s.phase == "Queued"] == ["s-1"]


def test_a_job_whose_trial_is_not_told_yet_takes_a_slot() -> None:
    todo = decide(observed(trial(1), trial(2), jobs=(job(0, 1, pod(running())),)))
    assert list(writes(todo)) == ["s-1"]


def test_a_pending_trial_that_has_a_job_already_takes_its_slot_first() -> None:
    todo = decide(observed(trial(0), trial(1), trial(2), jobs=(job(2, 1, pod(running())),)))
    assert [name for name, s in writes(todo).items() if s.phase == "Queued"] == ["s-2", "s-0"]


def test_the_budget_counts_admitted_trials_whatever_became_of_them() -> None:
    ended_ones = (trial(0, "Succeeded", validation_accuracy=0.5), trial(1, "Failed"), trial(2, "Succeeded"))
    todo = decide(observed(*ended_ones, trial(3), trial(4)))
    assert list(writes(todo)) == ["s-3"]


def test_a_cancelled_trial_takes_nothing_of_the_budget() -> None:
    todo = decide(observed(*(trial(i, "Cancelled") for i in range(4)), trial(4)))
    assert list(writes(todo)) == ["s-4"]


def test_the_same_architecture_is_cancelled_and_names_the_first() -> None:
    todo = decide(observed(trial(0, "Succeeded"), trial(1, architecture=ARCHITECTURES[0])))
    found = writes(todo)["s-1"]
    assert (found.phase, found.reason) == ("Cancelled", constants.REASON_DUPLICATE_ARCHITECTURE)
    assert "s-0" in (found.message or "")


def test_of_two_equal_pending_trials_the_first_is_admitted_before_the_second_is_cancelled() -> None:
    todo = decide(observed(trial(0), trial(1, architecture=ARCHITECTURES[0])))
    assert [(n, s.phase) for n, s in writes(todo).items()] == [("s-0", "Queued"), ("s-1", "Cancelled")]


def test_a_trial_with_a_problem_is_cancelled_with_it() -> None:
    bad = replace(trial(0), problem=Problem(constants.REASON_RECIPE_MISMATCH, "spec.table is not that of the search"))
    found = writes(decide(observed(bad)))["s-0"]
    assert (found.phase, found.reason) == ("Cancelled", constants.REASON_RECIPE_MISMATCH)


def test_parallelism_0_admits_nothing_and_says_so() -> None:
    todo = decide(observed(trial(0), search=search(spec(parallelism=0))))
    assert writes(todo) == {}
    assert condition(todo, "Progressing")[:2] == ("False", constants.REASON_NO_PARALLELISM)


def test_after_scaling_down_a_next_attempt_waits_for_the_surplus_to_finish() -> None:
    seen = observed(
        trial(0, "Queued", attempts=1, settled_attempt=1),
        trial(1, "Running", attempts=1),
        jobs=(job(1, 1, pod(running())),),
        search=search(spec(parallelism=1)),
    )
    assert starts(decide(seen)) == []


# --- attempts ---


def test_a_result_is_recorded_with_everything_that_the_report_says() -> None:
    text = report(accuracy=0.8, parameters=123, epochs=5, device="GPU", data_digest="sha256:1")
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(ended(0, text, end=20))),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.validation_accuracy, found.parameters, found.device) == ("Succeeded", 0.8, 123, "GPU")
    assert (found.settled_attempt, found.gpu_seconds, found.gpu_seconds_wasted) == (1, 20, 0)
    assert (found.start_time, found.completion_time) == ("2026-01-01T12:00:00Z", "2026-01-01T12:00:20Z")


def test_a_slot_that_a_result_frees_is_filled_in_the_same_pass() -> None:
    seen = observed(
        trial(0, "Running", attempts=1),
        trial(1),
        jobs=(job(0, 1, pod(ended(0, report()))),),
        search=search(spec(parallelism=1)),
    )
    assert list(writes(decide(seen))) == ["s-0", "s-1"]


def test_an_interruption_is_no_failure_and_the_next_attempt_follows_at_once() -> None:
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(ended(75, end=8))),))
    todo = decide(seen)
    found = writes(todo)["s-0"]
    assert (found.phase, found.interruptions, found.retries, found.settled_attempt) == ("Queued", 1, 0, 1)
    assert (found.gpu_seconds, found.gpu_seconds_wasted, found.next_attempt_time) == (8, 8, None)
    assert constants.EVENT_TRIAL_INTERRUPTED in notes(todo)
    after = observed(replace(trial(0), status=found), jobs=seen.jobs)
    assert starts(decide(after)) == [("s-0", 2)]


def test_a_job_deleted_by_hand_is_an_interruption() -> None:
    found = writes(decide(observed(trial(0, "Running", attempts=3, settled_attempt=2))))["s-0"]
    assert (found.phase, found.interruptions, found.settled_attempt) == ("Queued", 1, 3)


def test_a_trial_that_is_interrupted_for_ever_fails() -> None:
    seen = observed(
        trial(0, "Running", attempts=101, settled_attempt=100, interruptions=100),
        jobs=(job(0, 101, pod(ended(75))),),
    )
    found = writes(decide(seen))["s-0"]
    assert found.phase == "Failed"
    assert found.failure is not None
    assert found.failure.reason == constants.REASON_INTERRUPTED


def test_an_error_that_may_pass_is_tried_again_after_a_backoff() -> None:
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(ended(70, failure()))),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.retries, found.next_attempt_time) == ("Queued", 1, "2026-01-01T12:01:50Z")
    after = observed(replace(trial(0), status=found), jobs=seen.jobs)
    assert starts(decide(after, 105)) == []
    assert decide(settled(after, 105), 105).again_at == at(110)
    assert starts(decide(after, 110)) == [("s-0", 2)]


def test_after_the_last_retry_a_trial_fails_with_the_reason() -> None:
    seen = observed(
        trial(0, "Running", attempts=3, settled_attempt=2, retries=2), jobs=(job(0, 3, pod(ended(70, failure()))),)
    )
    todo = decide(seen)
    found = writes(todo)["s-0"]
    assert (found.phase, found.retries) == ("Failed", 3)
    assert found.failure is not None
    assert (found.failure.reason, found.failure.message) == (constants.REASON_PROGRAM_ERROR, "the trainer says")
    assert constants.EVENT_TRIAL_FAILED in notes(todo)


@pytest.mark.parametrize("code", [71, 72])
def test_an_error_of_the_trial_itself_is_not_tried_again(code: int) -> None:
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(ended(code, failure()))),))
    assert writes(decide(seen))["s-0"].phase == "Failed"


def test_the_attempt_number_rises_whatever_was_deleted() -> None:
    seen = observed(trial(0, "Queued", attempts=4, settled_attempt=4))
    assert starts(decide(seen)) == [("s-0", 5)]


def test_a_terminal_trial_is_left_alone_even_if_a_job_of_it_ends_otherwise() -> None:
    seen = observed(
        trial(0, "Succeeded", attempts=1, settled_attempt=1, validation_accuracy=0.5),
        jobs=(job(0, 1, pod(ended(70))), job(0, 2, pod(ended(0, report(attempt=2, accuracy=0.9))))),
    )
    assert writes(decide(seen)) == {}


def test_the_job_of_a_result_is_deleted_only_once_the_result_is_persisted() -> None:
    attempt = job(0, 1, pod(ended(0, report())))
    before = decide(observed(trial(0, "Running", attempts=1), jobs=(attempt,)))
    assert not [a for a in before.actions if isinstance(a, DeleteJob)]
    after = decide(observed(trial(0, "Succeeded", attempts=1, settled_attempt=1), jobs=(attempt,)))
    assert DeleteJob("s-0-1", "job-0-1") in after.actions


def test_a_failed_job_is_kept_for_its_log_and_then_deleted() -> None:
    seen = observed(trial(0, "Failed", attempts=1, settled_attempt=1), jobs=(job(0, 1, pod(ended(72))),))
    assert not [a for a in decide(seen).actions if isinstance(a, DeleteJob)]
    assert decide(settled(seen)).again_at == at(10 + 4 * 3600)
    assert [a for a in decide(seen, 10 + 4 * 3600).actions if isinstance(a, DeleteJob)]


def test_a_trial_that_is_being_deleted_gets_no_attempt() -> None:
    assert starts(decide(observed(replace(trial(0, "Queued"), deleting=True)))) == []


def test_a_search_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    assert decide(observed(trial(0), search=search(deleting=True))) == Plan()


# --- what holds a search up ---


def fatal(code: int = 66) -> Observed:
    return observed(trial(0, "Running", attempts=1), trial(1), jobs=(job(0, 1, pod(ended(code, failure()))),))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (64, constants.REASON_CONTRACT_BROKEN),
        (65, constants.REASON_DATA_INVALID),
        (66, constants.REASON_DATA_MISSING),
        (73, constants.REASON_CHECKPOINT_UNUSABLE),
        (78, constants.REASON_RECIPE_INVALID),
    ],
)
def test_an_error_that_every_trial_would_meet_stalls_the_search_and_fails_nobody(code: int, reason: str) -> None:
    found = writes(decide(fatal(code)))["s-0"]
    assert (found.phase, found.retries, found.settled_attempt) == ("Queued", 0, 1)
    after = observed(replace(trial(0), status=found), trial(1), jobs=fatal(code).jobs)
    todo = decide(after, 101)
    assert condition(todo, "Stalled")[:2] == ("True", reason)
    assert "the trainer says" in condition(todo, "Stalled")[2]
    assert status(todo).phase == "Stalled"
    assert reason in notes(todo)
    assert writes(todo) == {}, "nothing is admitted meanwhile"
    assert starts(todo) == []


def stalled(generation: int = 1) -> Observed:
    waiting: dict[str, Any] = {"attempts": 1, "settled_attempt": 1, "next_attempt_time": "2026-01-01T13:00:00Z"}
    cause: dict[str, Any] = {"failure": {"reason": constants.REASON_DATA_MISSING, "message": "no file"}}
    seen = settled(observed(trial(0, "Queued", **waiting, **cause), trial(1, "Queued", **waiting, **cause), trial(2)))
    return replace(seen, search=replace(seen.search, generation=generation))


def test_one_trial_tries_again_when_its_backoff_is_over() -> None:
    assert starts(decide(stalled(), 200)) == []
    assert starts(decide(stalled(), 3600)) == [("s-0", 2)]


def test_one_trial_tries_again_at_once_when_the_spec_has_changed() -> None:
    assert starts(decide(stalled(generation=2), 200)) == [("s-0", 2)]


def test_an_attempt_that_runs_for_a_while_ends_the_stall() -> None:
    def with_probe(seconds: float) -> Plan:
        return decide(replace(stalled(), jobs=(job(0, 2, pod(running(0))),)), seconds)

    assert status(with_probe(29)).phase == "Stalled"
    assert condition(with_probe(31), "Stalled")[0] == "False"


def test_progress_ends_the_stall_at_once() -> None:
    message = ProgressMessage(namespace="lab", trial="s-0", trial_uid="trial-0", attempt=2, epoch=1, epochs=9)
    seen = replace(
        stalled(),
        jobs=(job(0, 2, pod(running(100))),),
        progress=(("trial-0", ProgressView(message, at(0), at(0))),),
    )
    assert condition(decide(seen, 101), "Stalled")[0] == "False"


def test_after_a_first_success_such_an_error_is_one_that_may_pass() -> None:
    seen = replace(fatal(), trials=(*fatal().trials, trial(2, "Succeeded", validation_accuracy=0.5)))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.retries) == ("Queued", 1)


def blocked(**changes: Any) -> Observed:
    stuck = job(0, 1, pod(ContainerWaiting("ErrImagePull", "not found"), node="node1"), **changes)
    return observed(trial(0, "Queued", attempts=1), trial(1), jobs=(stuck,))


def test_an_image_that_cannot_be_pulled_stalls_the_search() -> None:
    todo = decide(blocked())
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_IMAGE_UNAVAILABLE)
    assert "s-1" not in writes(todo)


def test_a_stuck_attempt_of_an_older_template_is_given_up_without_being_counted() -> None:
    found = writes(decide(blocked(template_hash="another")))["s-0"]
    assert (found.phase, found.settled_attempt, found.interruptions, found.retries) == ("Queued", 1, 0, 0)
    after = replace(blocked(template_hash="another"), trials=(replace(trial(0), status=found), trial(1)))
    todo = decide(after)
    assert starts(todo) == [("s-0", 2)]
    assert DeleteJob("s-0-1", "job-0-1") in todo.actions


def test_with_results_there_an_image_is_waited_for_and_then_tried_again() -> None:
    seen = replace(blocked(), trials=(*blocked().trials, trial(2, "Succeeded", validation_accuracy=0.5)))
    assert writes(decide(seen))["s-0"].settled_attempt == 0
    found = writes(decide(seen, 301))["s-0"]
    assert (found.phase, found.retries, found.settled_attempt) == ("Queued", 1, 1)


def test_a_claim_that_does_not_exist_stops_admission_before_a_job_is_made() -> None:
    seen = observed(trial(0), trial(1, "Queued"), facts=Facts(missing_claims=(("spec.data.claim", "images"),)))
    todo = decide(seen)
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_CLAIM_NOT_FOUND)
    assert "spec.data.claim" in condition(todo, "Stalled")[2]
    assert (writes(todo), starts(todo)) == ({}, [])


def test_a_template_that_the_api_server_refuses_stops_admission() -> None:
    refused = Problem(constants.REASON_TEMPLATE_REFUSED, "spec.trial.template: no")
    todo = decide(observed(trial(0), facts=Facts(template=refused)))
    assert condition(todo, "Stalled") == ("True", refused.reason, refused.message)
    assert writes(todo) == {}


def test_a_pod_that_a_quota_refuses_stalls_the_search_until_it_is_there() -> None:
    refused = job(0, 1, None, refusal='pods "x" is forbidden: exceeded quota: q')
    todo = decide(observed(trial(0, "Queued", attempts=1), trial(1), jobs=(refused,)))
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_QUOTA_EXCEEDED)
    assert "s-1" not in writes(todo)
    there = replace(refused, pod=pod(running()))
    assert condition(decide(observed(trial(0, "Queued", attempts=1), jobs=(there,))), "Stalled")[0] == "False"


def test_a_foreign_job_of_the_wanted_name_is_a_conflict_and_is_asked_about_again_later() -> None:
    conflict = Finding(
        "Job", "s-0-1", Problem(constants.REASON_NAME_CONFLICT, "Job s-0-1 is not of this search"), at(110)
    )
    seen = observed(trial(0, "Queued"), trial(1), findings=(conflict,))
    todo = decide(seen)
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_NAME_CONFLICT)
    assert starts(todo) == []
    assert starts(decide(seen, 110)) == [("s-0", 1)]


def test_a_spec_that_cannot_be_read_is_told_and_attempts_in_flight_are_still_recorded() -> None:
    seen = observed(
        trial(0, "Running", attempts=1),
        trial(1),
        jobs=(job(0, 1, pod(ended(0, report()))),),
        search=replace(search(), spec=None, problem="spec.budget.trials: Input should be greater than 0 (is -1)"),
    )
    todo = decide(seen)
    assert writes(todo)["s-0"].phase == "Succeeded"
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_INVALID_SPEC)
    assert "spec.budget.trials" in condition(todo, "Stalled")[2]


def test_a_pod_without_a_node_is_told_but_is_no_stall() -> None:
    waiting = job(0, 1, pod(None, unschedulable="0/1 nodes are available: 1 Insufficient nvidia.com/gpu."))
    todo = decide(observed(trial(0, "Queued", attempts=1), jobs=(waiting,)))
    assert condition(todo, "Stalled")[0] == "False"
    assert condition(todo, "Progressing")[1] == constants.REASON_UNSCHEDULABLE
    assert "nvidia.com/gpu" in (writes(todo)["s-0"].message or "")


# --- predictor ---


def test_a_search_without_a_predictor_gets_one() -> None:
    todo = decide(observed(deployment=None))
    made = next(a for a in todo.actions if isinstance(a, EnsurePredictor))
    assert (made.present, made.outdated) == (False, False)


def test_a_predictor_of_another_template_is_brought_up_to_date() -> None:
    old = observed(deployment=deployment(template_hash="another"))
    made = next(a for a in decide(old).actions if isinstance(a, EnsurePredictor))
    assert made.outdated


def test_a_predictor_that_is_up_to_date_is_left_alone() -> None:
    seen = observed(predictor_checked_at=at(90))
    assert not [a for a in decide(seen).actions if isinstance(a, EnsurePredictor)]


def test_a_predictor_that_is_refused_is_looked_at_again_at_once_to_tell_it_and_then_when_it_is_due() -> None:
    assert decide(settled(observed(deployment=None))).again_at == at(100)
    refused = Finding("Deployment", "s-predictor", Problem(constants.REASON_NAME_CONFLICT, "it is another's"), at(130))
    seen = settled(observed(deployment=None, findings=(refused,)))
    assert decide(seen).again_at == at(130)
    assert decide(seen, 130).again_at == at(130), "refused again, it must get another time"


def test_a_refused_change_of_the_predictor_that_is_taken_back_is_no_stall_for_longer() -> None:
    refused = Finding("Deployment", "s-predictor", Problem(constants.REASON_TEMPLATE_REFUSED, "memory: Invalid"), at(0))
    seen = observed(predictor_checked_at=at(90), findings=(refused,))
    assert [a for a in decide(seen).actions if isinstance(a, EnsurePredictor)], "its success drops the finding"


@pytest.mark.parametrize(
    ("view", "reason", "says"),
    [
        (deployment(available=False, refusal="exceeded quota: q"), constants.REASON_PREDICTOR_UNAVAILABLE, "quota"),
        (
            deployment(available=False, pods=(pod(ContainerWaiting("ImagePullBackOff", "no"), image="p:1"),)),
            constants.REASON_PREDICTOR_FAILING,
            "p:1",
        ),
        (
            deployment(
                available=False,
                pods=(pod(ContainerWaiting("CrashLoopBackOff", ""), restarts=3, last_message="KeyError: x"),),
            ),
            constants.REASON_PREDICTOR_FAILING,
            "KeyError: x",
        ),
        (
            deployment(available=False, pods=(pod(None, unschedulable="no node has memory"),)),
            constants.REASON_PREDICTOR_UNAVAILABLE,
            "no node has memory",
        ),
    ],
)
def test_a_predictor_that_cannot_work_is_told_while_trials_on_offer_go_on(view: Any, reason: str, says: str) -> None:
    todo = decide(observed(trial(0), deployment=view), 30)
    assert condition(todo, "Stalled")[:2] == ("True", reason)
    assert says in condition(todo, "Stalled")[2]
    assert writes(todo)["s-0"].phase == "Queued"


def test_a_refused_predictor_that_is_made_anew_stays_stalled_until_the_new_one_is_judged() -> None:
    told = settled(observed(deployment=deployment(available=False, refusal="exceeded quota: q")))
    assert [a for a in decide(told).actions if isinstance(a, DeletePredictor)]
    stalled = told.search.status

    def after(seconds: float, view: Any) -> NASSearchStatus:
        todo = decide(replace(told, deployment=view, predictor_checked_at=at(100)), seconds)
        return next((a.status for a in todo.actions if isinstance(a, WriteSearch)), stalled)

    new = deployment(created=at(100), available=False)
    assert after(100, None) == stalled
    assert after(101, new) == stalled
    assert after(101, replace(new, refusal="exceeded quota: q")) == stalled
    assert decide(replace(told, deployment=new, predictor_checked_at=at(100)), 101).again_at == at(105)
    for judged in (after(101, replace(new, pods=(pod(None),))), after(106, new), after(101, deployment())):
        assert judged.phase == "Pending"


def test_a_predictor_that_starts_is_no_stall_for_two_minutes() -> None:
    starting = observed(deployment=deployment(available=False))
    assert condition(decide(starting, 100), "Stalled")[0] == "False"
    assert condition(decide(starting, 100), "Ready")[:2] == ("False", constants.REASON_STARTING)
    assert condition(decide(starting, 121), "Stalled")[:2] == ("True", constants.REASON_PREDICTOR_UNAVAILABLE)


# --- the end ---


def all_done() -> tuple[Any, ...]:
    return tuple(
        trial(
            i,
            "Succeeded",
            attempts=1,
            settled_attempt=1,
            validation_accuracy=0.5 + i / 10,
            start_time="2026-01-01T11:00:00Z",
            completion_time="2026-01-01T11:01:00Z",
            gpu_seconds=60,
        )
        for i in range(4)
    )


def test_a_used_budget_with_everything_ended_completes_the_search() -> None:
    todo = decide(observed(*all_done(), trial(4)))
    assert (writes(todo)["s-4"].phase, writes(todo)["s-4"].reason) == ("Cancelled", constants.REASON_BUDGET_EXHAUSTED)
    assert [a for a in todo.actions if isinstance(a, DeletePredictor)]
    found = status(todo)
    assert (found.phase, found.completion_time) == ("Complete", "2026-01-01T12:01:40Z")
    assert condition(todo, "Complete")[:2] == ("True", constants.REASON_BUDGET_USED)
    assert found.best is not None
    assert (found.best.trial, found.best.validation_accuracy) == ("s-3", 0.8)
    assert (found.gpu_seconds.used, found.gpu_seconds.wasted, found.trials.succeeded) == (240, 0, 4)
    assert constants.REASON_COMPLETED in notes(todo)
    assert isinstance(todo.actions[-1], WriteSearch), "the last thing that is written"


def test_a_complete_search_is_left_alone() -> None:
    seen = settled(observed(*all_done(), deployment=None))
    assert decide(seen, 5000) == Plan()


def test_a_raised_budget_makes_a_complete_search_go_on() -> None:
    seen = settled(observed(*all_done(), deployment=None))
    raised = replace(seen, search=replace(seen.search, spec=spec(budget={"trials": 6}), generation=2))
    todo = decide(raised, 5000)
    assert status(todo).phase == "Running"
    assert status(todo).completion_time is None
    assert condition(todo, "Complete")[0] == "False"
    assert [a for a in todo.actions if isinstance(a, EnsurePredictor)]


def test_an_exhausted_space_completes_the_search_for_that_reason() -> None:
    told = NASSearchStatus(predictor=PredictorStatus(exhausted=True))
    todo = decide(observed(*all_done()[:2], search=search(status=told)))
    assert condition(todo, "Complete")[:2] == ("True", constants.REASON_SPACE_EXHAUSTED)
    still = decide(observed(*all_done()[:2], trial(2), search=search(status=told)))
    assert condition(still, "Complete")[0] == "False"


def test_too_many_failed_trials_end_the_search_with_the_commonest_reason() -> None:
    def failed(index: int, reason: str) -> Any:
        return trial(index, "Failed", failure={"reason": reason, "message": f"message of {reason}"})

    limit = search(spec(trial={"maxFailedTrials": 2}))
    trials = (failed(0, "Diverged"), failed(1, "OutOfMemory"), failed(2, "Diverged"))
    todo = decide(observed(*trials, trial(3), trial(4, "Queued"), search=limit))
    assert (writes(todo)["s-3"].phase, writes(todo)["s-3"].reason) == ("Cancelled", constants.REASON_SEARCH_FAILED)
    assert writes(todo)["s-4"].phase == "Cancelled"
    assert [a for a in todo.actions if isinstance(a, DeletePredictor)]
    state, reason, message = condition(todo, "Failed")
    assert (state, reason) == ("True", constants.REASON_TOO_MANY_FAILED_TRIALS)
    assert "message of Diverged" in message
    assert status(todo).phase == "Failed"
    assert decide(observed(*trials[:2], trial(3), search=limit)).actions, "two are borne"
    untold = observed(*(trial(index, "Failed") for index in range(3)), search=limit)
    assert condition(decide(untold), "Failed")[2] == "3 trials failed, spec.trial.maxFailedTrials is 2"
    assert condition(decide(observed(*trials[:2], trial(3), search=limit)), "Failed")[0] == "False"


# --- status ---


def test_a_transition_time_changes_only_with_the_status_of_its_condition() -> None:
    first = settled(observed(trial(0, "Queued", attempts=1), jobs=(job(0, 1, pod(running())),)), 10)
    later = decide(replace(first, trials=(*first.trials, trial(1, "Queued"))), 500)
    want = {c.type: c.last_transition_time for c in first.search.status.conditions}
    assert {c.type: c.last_transition_time for c in status(later).conditions} == want


def test_the_predictors_part_of_the_status_is_passed_through() -> None:
    told = PredictorStatus(results_seen=7, rank_correlation=0.5)
    todo = decide(observed(trial(0), search=search(status=NASSearchStatus(predictor=told))))
    assert status(todo).predictor == told


def test_the_estimate_changes_only_when_a_trial_starts_or_ends() -> None:
    seen = observed(*all_done()[:2], trial(2, "Running", attempts=1), jobs=(job(2, 1, pod(running())),))
    want = "2026-01-01T12:01:00Z"  # the one that runs has just started, and 60 s a trial is what they take
    assert status(decide(seen, 10)).estimated_completion_time == want
    assert decide(settled(seen, 10), 20).actions == decide(settled(seen, 10), 11).actions


def test_progress_is_written_once_a_minute_and_with_other_writes() -> None:
    message = ProgressMessage(namespace="lab", trial="s-0", trial_uid="trial-0", attempt=1, epoch=3, epochs=9)
    running_trial = trial(0, "Running", attempts=1, start_time="2026-01-01T12:00:00Z", node="node1")
    jobs = (job(0, 1, pod(running())),)

    def told(writable: float, the_trial: Any = running_trial) -> Observed:
        return observed(the_trial, jobs=jobs, progress=(("trial-0", ProgressView(message, at(writable), at(0))),))

    assert writes(decide(told(150))) == {}
    assert decide(settled(told(150))).again_at == at(150)
    assert writes(decide(told(99)))["s-0"].progress is not None
    assert writes(decide(told(150, trial(0, "Queued", attempts=1))))["s-0"].progress is not None


def test_the_first_progress_is_written_after_a_minute() -> None:
    message = ProgressMessage(namespace="lab", trial="s-0", trial_uid="trial-0", attempt=1, epoch=3, epochs=9)
    the_trial = trial(0, "Running", attempts=1, start_time="2026-01-01T12:00:00Z", node="node1")
    seen = observed(
        the_trial, jobs=(job(0, 1, pod(running())),), progress=(("trial-0", ProgressView(message, at(-1000), at(50))),)
    )
    assert writes(decide(seen, 59)) == {}
    assert decide(settled(seen, 59), 59).again_at == at(60)
    assert writes(decide(seen, 60))["s-0"].progress is not None


def test_progress_of_another_attempt_is_not_written() -> None:
    message = ProgressMessage(namespace="lab", trial="s-0", trial_uid="trial-0", attempt=1, epoch=3, epochs=9)
    seen = observed(
        trial(0, "Running", attempts=2, settled_attempt=1),
        jobs=(job(0, 2, pod(running())),),
        progress=(("trial-0", ProgressView(message, at(0), at(0))),),
    )
    assert writes(decide(seen))["s-0"].progress is None


def test_an_admission_that_was_not_used_is_taken_back_when_parallelism_is_lowered() -> None:
    seen = observed(
        trial(0, "Running", attempts=1),
        trial(1, "Queued"),
        trial(2, "Queued"),
        jobs=(job(0, 1, pod(running())),),
    )
    todo = decide(seen)
    assert [(n, s.phase, s.admission_time) for n, s in writes(todo).items() if n != "s-0"] == [("s-2", "Pending", None)]
    assert starts(todo) == [("s-1", 1)]


def test_the_status_stays_small_at_ten_thousand_trials() -> None:
    one = trial(0, "Failed", failure={"reason": "Diverged", "message": "x" * 2000}, message="x" * 2000)
    many = tuple(replace(one, name=f"s-{i}", uid=f"trial-{i}", index=i, hash=str(i)) for i in range(10_000))
    ended_search = search(spec(budget={"trials": 20_000}))
    assert len(json.dumps(status(decide(observed(*many, search=ended_search))).to_kubernetes())) < 16 * 1024


def test_a_result_shows_its_last_epoch_even_if_progress_was_lost_on_the_way() -> None:
    seen = observed(
        trial(0, "Running", attempts=1, progress={"epoch": 2, "epochs": 9}), jobs=(job(0, 1, pod(ended(0, report()))),)
    )
    found = writes(decide(seen))["s-0"].progress
    assert found is not None
    assert (found.epoch, found.epochs) == (9, 9)


def test_numbers_of_a_search_wait_to_be_written_together_and_words_do_not() -> None:
    before = settled(observed(trial(0, "Queued"), trial(1, "Queued")))
    running_now = replace(
        before, trials=(trial(0, "Running", attempts=1), trial(1, "Queued")), status_held_until=at(105)
    )
    todo = decide(replace(running_now, jobs=(job(0, 1, pod(running())), job(1, 1, pod()))))
    assert (todo.held, [a for a in todo.actions if isinstance(a, WriteSearch)]) == (True, [])
    later = decide(replace(running_now, jobs=(job(0, 1, pod(running())), job(1, 1, pod()))), 105)
    assert (later.held, status(later).trials.running) == (False, 1)
    scaled = replace(running_now.search, spec=spec(parallelism=3), generation=2)
    assert status(decide(replace(running_now, search=scaled))).observed_generation == 2


def test_a_job_that_waits_for_its_container_is_worth_no_write() -> None:
    assert writes(decide(observed(trial(0, "Queued"), jobs=(job(0, 1, pod()),)))) == {}
    after = trial(0, "Queued", attempts=1, settled_attempt=1, message="interrupted: x", next_attempt_time=None)
    assert writes(decide(observed(after, jobs=(job(0, 2, pod()),))))["s-0"].message is None


def ended_with_job(index: int) -> tuple[Any, Any]:
    the_trial = trial(index, "Succeeded", attempts=1, settled_attempt=1, validation_accuracy=0.5)
    return the_trial, job(index, 1, pod(ended(0, report(index))))


def deletions(seen: Observed, together: int = 3) -> list[Any]:
    todo = plan(seen, at(100), SETTINGS.model_copy(update={"jobs_together": together}))
    return [a for a in todo.actions if isinstance(a, DeleteJob | DeleteJobs)]


def of(*pairs: tuple[Any, Any], **changes: Any) -> Observed:
    found = observed(*(pair[0] for pair in pairs), jobs=tuple(pair[1] for pair in pairs), **changes)
    return replace(found, search=changes.get("search", search(spec(budget={"trials": 50}))))


def test_jobs_of_ended_trials_are_deleted_together_once_there_are_enough() -> None:
    assert deletions(of(ended_with_job(0), ended_with_job(1))) == []
    want = DeleteJobs(("trial-0", "trial-1", "trial-2"), ("job-0-1", "job-1-1", "job-2-1"))
    assert deletions(of(ended_with_job(0), ended_with_job(1), ended_with_job(2))) == [want]


def test_a_search_that_rests_keeps_no_jobs_of_ended_trials() -> None:
    pairs = (ended_with_job(0), ended_with_job(1))
    want = [DeleteJobs(("trial-0", "trial-1"), ("job-0-1", "job-1-1"))]
    for resting in (spec(budget={"trials": 2}), spec(budget={"trials": 50}, suspend=True)):
        assert deletions(of(*pairs, search=search(resting))) == want


def test_a_quota_that_is_short_is_not_filled_with_jobs_that_have_ended() -> None:
    full = Finding("Job", "s-2-1", Problem(constants.REASON_QUOTA_EXCEEDED, "count/jobs.batch"), at(110))
    assert deletions(of(ended_with_job(0), findings=(full,))) == [DeleteJob("s-0-1", "job-0-1")]


def test_what_is_left_of_an_overtaken_attempt_is_deleted_by_itself_and_at_once() -> None:
    waiting = trial(0, "Queued", attempts=1, settled_attempt=1), job(0, 1, pod(ended(75)))
    assert DeleteJob("s-0-1", "job-0-1") in deletions(of(waiting, ended_with_job(1)))


def test_a_predictor_that_was_ready_and_has_ceased_to_answer_is_failing() -> None:
    hung = pod(running(5), available=False, unready_since=at(60))
    seen = observed(deployment=deployment(available=False, pods=(hung,)))
    _, reason, message = condition(decide(seen), "Stalled")
    assert reason == constants.REASON_PREDICTOR_FAILING
    assert "ceased to answer" in message
    starting = pod(running(5), available=False, unready_since=at(0))
    seen = observed(deployment=deployment(available=False, pods=(starting,)))
    assert condition(decide(seen, seconds=20), "Stalled")[0] == "False"
