"""What a person asks for while a search runs: suspend, cancel and retry of a trial, queues that hold Jobs back."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api.trial import Origin
from bananas_operator.actions import DeleteJob, DeletePredictor, EnsurePredictor
from bananas_operator.views import Observed, Problem, TrialView

from .builders import at, ended, job, observed, pod, report, running, search, spec, trial
from .test_plan import condition, decide, settled, starts, status, writes

CHECKPOINTS = {"claim": "checkpoints"}


def suspended(*trials: TrialView, jobs: Any = (), **given: Any) -> Observed:
    return observed(*trials, jobs=jobs, search=search(spec(suspend=True, checkpoints=CHECKPOINTS, **given)))


def going(index: int = 0, state: Any = None, **changes: Any) -> Any:
    """A Job that is being deleted and waits for its pod."""
    return job(index, 1, pod(state, deletion=at(130)), deleting=True, **changes)


def stopped_jobs(seen: Observed) -> list[DeleteJob]:
    return [a for a in decide(seen).actions if isinstance(a, DeleteJob)]


# --- suspend ---


def test_a_suspended_search_says_first_which_attempt_is_to_stop_and_then_deletes_its_job_pod_first() -> None:
    seen = suspended(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(running())),))
    found = writes(decide(seen))["s-0"]
    assert (found.stopped_attempt, found.settled_attempt) == (1, 0)
    assert stopped_jobs(seen) == []
    assert stopped_jobs(replace(seen, trials=(replace(trial(0), status=found),))) == [
        DeleteJob("s-0-1", "job-0-1", stops=True)
    ]


def test_an_attempt_that_was_stopped_is_no_interruption_no_failure_and_no_waste() -> None:
    seen = suspended(trial(0, "Running", attempts=1, stopped_attempt=1), jobs=(going(state=ended(75, end=20)),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.interruptions, found.retries, found.settled_attempt) == ("Queued", 0, 0, 1)
    assert (found.gpu_seconds, found.gpu_seconds_wasted, found.failure) == (20, 0, None)


def test_without_checkpoints_what_a_stopped_attempt_has_used_is_wasted() -> None:
    seen = suspended(trial(0, "Running", attempts=1, stopped_attempt=1), jobs=(going(state=ended(75, end=20)),))
    assert writes(decide(replace(seen, search=search(spec(suspend=True)))))["s-0"].gpu_seconds_wasted == 20


def test_an_attempt_that_ends_well_before_it_stops_has_its_result() -> None:
    seen = suspended(trial(0, "Running", attempts=1, stopped_attempt=1), jobs=(going(state=ended(0, report())),))
    assert writes(decide(seen))["s-0"].phase == "Succeeded"


def test_a_stopped_attempt_is_no_interruption_either_if_the_search_goes_on_before_it_has_ended() -> None:
    seen = observed(trial(0, "Running", attempts=1, stopped_attempt=1), jobs=(going(state=ended(143)),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.interruptions) == ("Queued", 0)
    after = observed(replace(trial(0), status=found), jobs=seen.jobs)
    assert starts(decide(after)) == [("s-0", 2)]


def test_a_next_attempt_waits_until_the_stopped_one_has_saved_what_it_has() -> None:
    seen = observed(trial(0, "Running", attempts=1, stopped_attempt=1), jobs=(going(state=running()),))
    assert starts(decide(seen)) == []


def test_a_suspended_search_starts_and_admits_nothing_and_has_no_predictor() -> None:
    seen = suspended(trial(0, "Queued", attempts=1, settled_attempt=1), trial(1, "Queued"), trial(2))
    todo = decide(seen)
    assert (writes(todo), starts(todo)) == ({}, [])
    assert [a for a in todo.actions if isinstance(a, DeletePredictor)]
    assert not [a for a in todo.actions if isinstance(a, EnsurePredictor)]
    assert status(todo).phase == "Suspended"
    assert condition(todo, "Suspended")[:2] == ("True", constants.REASON_SUSPENDED)
    assert condition(todo, "Progressing")[:2] == ("False", constants.REASON_SUSPENDED)
    assert status(todo).estimated_completion_time is None


def test_a_search_that_is_resumed_starts_what_was_stopped_and_gets_its_predictor_back() -> None:
    seen = settled(suspended(trial(0, "Queued", attempts=1, settled_attempt=1), trial(1)))
    todo = decide(replace(seen, search=replace(seen.search, spec=spec()), deployment=None))
    assert starts(todo) == [("s-0", 2)]
    assert [a for a in todo.actions if isinstance(a, EnsurePredictor)]
    assert condition(todo, "Suspended")[0] == "False"


def test_the_idle_suspended_search_is_left_alone() -> None:
    seen = settled(suspended(trial(0, "Queued", attempts=1, settled_attempt=1), trial(1)))
    assert decide(replace(seen, deployment=None)).actions == ()


# --- cancel ---


def cancelled(the_trial: TrialView) -> TrialView:
    return replace(the_trial, cancelled=True)


def test_a_running_trial_that_a_person_gives_up_is_stopped_and_then_cancelled() -> None:
    seen = observed(cancelled(trial(0, "Running", attempts=1)), jobs=(job(0, 1, pod(running())),))
    told = writes(decide(seen))["s-0"]
    assert (told.phase, told.stopped_attempt) == ("Running", 1)
    seen = observed(replace(seen.trials[0], status=told), jobs=(going(state=ended(75, end=20)),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.reason) == ("Cancelled", constants.REASON_CANCELLED_BY_USER)
    assert (found.gpu_seconds_wasted, found.settled_attempt) == (20, 1)


def test_a_waiting_trial_that_a_person_gives_up_is_cancelled_at_once_and_not_started() -> None:
    todo = decide(observed(cancelled(trial(0, "Queued", attempts=1, settled_attempt=1))))
    assert writes(todo)["s-0"].phase == "Cancelled"
    assert starts(todo) == []


def test_a_trial_that_was_given_up_after_its_admission_stays_in_the_budget() -> None:
    gone = trial(0, "Cancelled", admission_time="2026-01-01T11:00:00Z", reason=constants.REASON_CANCELLED_BY_USER)
    todo = decide(observed(gone, trial(1), trial(2), search=search(spec(budget={"trials": 2}))))
    assert list(writes(todo)) == ["s-1"]


def test_an_offer_that_a_person_gives_up_takes_nothing_of_the_budget() -> None:
    found = writes(decide(observed(cancelled(trial(0)))))["s-0"]
    assert (found.phase, found.reason, found.admission_time) == ("Cancelled", constants.REASON_CANCELLED_BY_USER, None)


def test_a_result_is_not_revised_because_a_person_gives_it_up() -> None:
    assert writes(decide(observed(cancelled(trial(0, "Succeeded", validation_accuracy=0.5))))) == {}


# --- retry ---


@pytest.mark.parametrize(("asked", "want"), [(90, [("s-0", 2)]), (-10, [])])
def test_a_retry_that_was_asked_for_after_the_last_attempt_ends_its_backoff(asked: float, want: list[Any]) -> None:
    waiting = trial(
        0,
        "Queued",
        attempts=1,
        settled_attempt=1,
        settled_time="2026-01-01T12:00:00Z",
        next_attempt_time="2026-01-01T13:00:00Z",
    )
    assert starts(decide(observed(replace(waiting, retried_at=at(asked))))) == want


def again(parent: int, index: int = 1) -> TrialView:
    made = trial(index, architecture=trial(parent).spec.architecture)  # type: ignore[union-attr]
    assert made.spec is not None
    return replace(made, spec=made.spec.model_copy(update={"origin": Origin(method="retry", parent=parent)}))


def test_a_failed_trial_may_be_tried_again_as_a_new_one() -> None:
    assert writes(decide(observed(trial(0, "Failed"), again(0))))["s-1"].phase == "Queued"


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_nothing_but_a_failed_trial_is_tried_again(phase: str) -> None:
    found = writes(decide(observed(trial(0, phase, attempts=1, settled_attempt=1), again(0))))["s-1"]
    assert found.reason == constants.REASON_DUPLICATE_ARCHITECTURE


def test_of_two_retries_of_one_trial_the_second_is_a_duplicate() -> None:
    found = writes(decide(observed(trial(0, "Failed"), again(0), again(0, 2))))
    assert (found["s-1"].phase, found["s-2"].phase) == ("Queued", "Cancelled")


# --- queues ---


def test_a_job_that_a_queue_holds_back_is_waiting_and_nobodys_failure() -> None:
    seen = observed(trial(0, "Queued", attempts=1), jobs=(job(0, 1, None, suspended=True),))
    todo = decide(seen, 10_000)
    assert writes(todo)["s-0"].phase == "Queued"
    assert "suspended" in (writes(todo)["s-0"].message or "")
    assert condition(todo, "Progressing")[:2] == ("True", constants.REASON_JOBS_SUSPENDED)
    assert condition(todo, "Stalled")[0] == "False"
    assert not [a for a in todo.actions if isinstance(a, DeleteJob)]


def test_a_running_job_that_a_queue_suspends_keeps_its_attempt() -> None:
    stopped = pod(ended(75), deletion=at(90), phase="Failed")
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, stopped, suspended=True),))
    found = writes(decide(seen))["s-0"]
    assert (found.phase, found.settled_attempt, found.interruptions) == ("Queued", 0, 0)
    after = observed(replace(trial(0), status=found), jobs=(job(0, 1, pod(running(60))),))
    assert writes(decide(after))["s-0"].phase == "Running"


def test_the_pod_from_before_a_suspension_says_nothing_of_the_job_that_goes_on() -> None:
    before = pod(ended(75), deletion=at(90), phase="Failed", created=at(0))
    status = trial(0, "Queued", attempts=1, message="its Job is suspended: x")
    resumed = observed(status, jobs=(job(0, 1, before, resumed=at(95)),))
    found = writes(decide(resumed))["s-0"]
    assert (found.phase, found.settled_attempt, found.message) == ("Queued", 0, None)
    evicted = pod(ended(75), deletion=at(99), phase="Failed", created=at(96))
    found = writes(decide(observed(status, jobs=(job(0, 1, evicted, resumed=at(95)),))))["s-0"]
    assert (found.settled_attempt, found.interruptions) == (1, 1)


def test_a_result_counts_even_if_its_job_was_suspended_in_that_moment() -> None:
    seen = observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, pod(ended(0, report())), suspended=True),))
    assert writes(decide(seen))["s-0"].phase == "Succeeded"


# --- quota ---

QUOTA = 'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 1, limited: 1'


def test_a_quota_that_lets_others_run_is_waiting_with_its_name_and_no_stall() -> None:
    seen = observed(
        trial(0, "Running", attempts=1),
        trial(1, "Queued", attempts=1),
        jobs=(job(0, 1, pod(running())), job(1, 1, None, refusal=QUOTA)),
    )
    todo = decide(seen)
    assert condition(todo, "Stalled")[0] == "False"
    state, reason, message = condition(todo, "Progressing")
    assert (state, reason) == ("True", constants.REASON_QUOTA_EXCEEDED)
    assert "ResourceQuota gpus" in message
    assert "exceeded quota: gpus" in (writes(todo)["s-1"].message or "")


def test_a_quota_that_lets_nothing_run_stalls_the_search_with_its_name() -> None:
    todo = decide(observed(trial(0, "Queued", attempts=1), jobs=(job(0, 1, None, refusal=QUOTA),)))
    assert condition(todo, "Stalled")[:2] == ("True", constants.REASON_QUOTA_EXCEEDED)
    assert "ResourceQuota gpus" in condition(todo, "Stalled")[2]


def test_a_quota_that_asks_for_requests_is_no_quota_that_is_used_up() -> None:
    text = 'pods "x" is forbidden: failed quota: cpus: must specify requests.cpu for: trainer'
    todo = decide(observed(trial(0, "Queued", attempts=1), jobs=(job(0, 1, None, refusal=text),)))
    assert condition(todo, "Stalled")[1] == constants.REASON_POD_REFUSED


# --- the end of a search that was given up ---


def test_trials_of_a_failed_search_that_had_run_have_a_reason_of_their_own_and_stay_in_the_budget() -> None:
    failed = tuple(trial(i, "Failed", failure={"reason": "Diverged", "message": "x"}) for i in range(2))
    over = {"attempts": 1, "settled_attempt": 1}
    ran, never = trial(2, "Queued", start_time="2026-01-01T11:30:00Z", **over), trial(3, "Queued")
    superseded, withdrawn = trial(4, "Queued", **over), trial(5, **over)
    asked = search(spec(trial={"maxFailedTrials": 1}))
    todo = decide(observed(*failed, ran, never, superseded, withdrawn, search=asked))
    assert {n: (s.reason, s.admission_time is not None) for n, s in writes(todo).items()} == {
        "s-2": (constants.REASON_GIVEN_UP, True),
        "s-3": (constants.REASON_SEARCH_FAILED, False),
        "s-4": (constants.REASON_SEARCH_FAILED, False),
        "s-5": (constants.REASON_SEARCH_FAILED, False),
    }


def test_the_message_of_a_cancelled_trial_fits_the_api() -> None:
    bad = replace(trial(1), problem=Problem("RecipeMismatch", "x" * 5000))
    status = writes(decide(observed(bad)))["s-1"]
    assert (status.phase, len(status.message or "")) == ("Cancelled", 2048)


def parked(parallelism: int, **status: Any) -> Observed:
    """A trial that waits for its second attempt."""
    waits = trial(0, "Queued", attempts=1, settled_attempt=1, **status)
    return observed(waits, search=search(spec(parallelism=parallelism)))


def test_a_trial_whose_attempt_was_given_up_before_it_started_is_not_in_flight_for_ever_at_parallelism_0() -> None:
    """The template changed while its pod waited, and then nothing more was to run."""
    todo = decide(parked(0, message="the template changed: a new attempt follows"))
    found = writes(todo)["s-0"]
    assert (found.phase, found.admission_time, found.attempts) == ("Pending", None, 1)
    back = replace(parked(1), trials=(replace(trial(0), status=found),))
    assert writes(decide(back))["s-0"].phase == "Queued"
    admitted = replace(back, trials=(replace(trial(0), status=writes(decide(back))["s-0"]),))
    assert starts(decide(admitted)) == [("s-0", 2)], "numbers only rise"


@pytest.mark.parametrize("status", [{"interruptions": 1}, {"retries": 1}, {"start_time": "2026-01-01T11:30:00Z"}])
def test_a_trial_that_something_has_come_of_keeps_its_place_at_parallelism_0(status: dict[str, Any]) -> None:
    assert writes(decide(parked(0, **status))) == {}
