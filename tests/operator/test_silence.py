"""Attempts of which nothing is heard: when they are ended, and when silence tells nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core import constants
from bananas_core.contract import ProgressMessage
from bananas_operator.actions import CreateJob, DeleteJob, WriteTrial
from bananas_operator.classify import Interrupted, Retryable, Running
from bananas_operator.plan import plan
from bananas_operator.survey import survey
from bananas_operator.views import JobView, Observed, PodView, ProgressView, TrialView

from .builders import SETTINGS, T0, at, ended, job, observed, pod, report, running, search, spec, trial

HEARD = {"epoch": 3, "epochs": 9, "time": "2026-01-01T11:00:00Z"}
"""Progress of long ago: the way works."""


def told(seconds: float, attempt: int = 1) -> tuple[tuple[str, ProgressView], ...]:
    message = ProgressMessage(namespace="lab", trial="s-0", trial_uid="trial-0", attempt=attempt, epoch=4, epochs=9)
    return (("trial-0", ProgressView(message, at(1e9), at(seconds))),)


def seen(the_trial: TrialView, the_pod: PodView, attempt: int = 1, **changes: Any) -> Observed:
    limits = {"noProgressSeconds": 60, "nodeLossTimeoutSeconds": 120}
    view = search(spec(trial=limits))
    return replace(observed(the_trial, jobs=(job(0, attempt, the_pod),)), search=view, watched_since=T0, **changes)


def outcome(view: Observed, seconds: float) -> object:
    return survey(view, at(seconds), SETTINGS).attempts["trial-0"].outcome


def runs(**status: Any) -> TrialView:
    return trial(0, "Running", attempts=1, progress=HEARD, **status)


def test_an_attempt_without_progress_for_too_long_is_ended_and_may_be_tried_again() -> None:
    view = seen(runs(), pod(running(0)))
    assert outcome(view, 59) == Running(at(0))
    found = outcome(view, 60)
    assert isinstance(found, Retryable)
    assert found.reason == constants.REASON_HANG
    assert "60 s" in found.message
    assert "spec.trial.noProgressSeconds" in found.message


@pytest.mark.parametrize("sign", ["told to this process", "in the status", "the operator has just come up"])
def test_each_sign_of_life_starts_the_clock_anew(sign: str) -> None:
    view = seen(runs(), pod(running(0)))
    match sign:
        case "told to this process":
            view = replace(view, progress=told(50))
        case "in the status":
            written = HEARD | {"time": "2026-01-01T12:00:50Z"}
            view = seen(trial(0, "Running", attempts=1, progress=written), pod(running(0)))
        case _:
            view = replace(view, watched_since=at(50))
    assert isinstance(outcome(view, 109), Running)
    assert isinstance(outcome(view, 110), Retryable)


def test_where_no_trainer_was_ever_heard_silence_tells_nothing() -> None:
    never = trial(0, "Running", attempts=1)
    assert isinstance(outcome(seen(never, pod(running(0))), 1e6), Running)
    said_in_its_report = {"epoch": 9, "epochs": 9}
    other = trial(1, "Succeeded", attempts=1, settledAttempt=1, progress=said_in_its_report)
    view = seen(never, pod(running(0)))
    assert isinstance(outcome(replace(view, trials=(never, other)), 1e6), Running)
    heard = trial(1, "Succeeded", attempts=1, settledAttempt=1, progress=HEARD)
    assert isinstance(outcome(replace(view, trials=(never, heard)), 1e6), Retryable)


def test_without_the_field_nothing_hangs() -> None:
    view = replace(seen(runs(), pod(running(0))), search=search(spec()))
    assert isinstance(outcome(view, 1e6), Running)


def test_a_pod_that_waits_does_not_hang() -> None:
    assert not isinstance(outcome(seen(runs(), pod(None)), 1e6), Retryable)


def test_a_hang_is_settled_before_its_job_is_deleted_and_the_next_attempt_waits_its_turn() -> None:
    view = seen(runs(), pod(running(0), gpus=2))
    todo = plan(view, at(100), SETTINGS)
    (write,) = [action for action in todo.actions if isinstance(action, WriteTrial)]
    assert not [action for action in todo.actions if isinstance(action, DeleteJob | CreateJob)]
    status = write.status
    assert (status.phase, status.retries, status.settled_attempt) == ("Queued", 1, 1)
    assert status.failure is not None
    assert status.failure.reason == constants.REASON_HANG
    assert status.gpu_seconds_wasted == 200
    assert [note.reason for note in write.notes] == [constants.EVENT_ATTEMPT_FAILED]
    later = replace(view, trials=(replace(view.trials[0], status=status),))
    actions = plan(later, at(101), SETTINGS).actions
    assert [(a.name, a.stops) for a in actions if isinstance(a, DeleteJob)] == [("s-0-1", True)]
    actions = plan(later, at(120), SETTINGS).actions
    assert not [action for action in actions if isinstance(action, CreateJob)], "two at once would take two slots"
    actions = plan(replace(later, jobs=()), at(120), SETTINGS).actions
    assert [action.attempt for action in actions if isinstance(action, CreateJob)] == [2]


def test_the_pass_comes_back_when_the_time_is_over() -> None:
    view = seen(runs(node="node1", startTime="2026-01-01T12:00:00Z"), pod(running(0)))
    first = plan(view, at(31), SETTINGS)
    settled = replace(view, search=replace(view.search, status=_search_status(first)))
    assert plan(settled, at(31), SETTINGS).again_at == at(60)
    silent = replace(settled, search=replace(settled.search, spec=spec(trial={"nodeLossTimeoutSeconds": 120})))
    silent = replace(silent, jobs=(job(0, 1, pod(running(0), silent_since=at(20))),))
    assert plan(silent, at(31), SETTINGS).again_at == at(140)


def _search_status(todo: Any) -> Any:
    return next(action.status for action in todo.actions if type(action).__name__ == "WriteSearch")


def on_a_lost_node(attempt: int = 1) -> JobView:
    return job(0, attempt, pod(running(0), silent_since=at(20), node="lost"))


def test_a_node_that_is_silent_for_too_long_is_no_failure_of_the_trial() -> None:
    view = seen(runs(), pod(running(0), silent_since=at(20), node="lost"))
    assert isinstance(outcome(replace(view, search=search(spec())), 319), Running)
    found = outcome(replace(view, search=search(spec())), 320)
    assert isinstance(found, Interrupted)
    assert found.node_fault
    assert "lost" in found.message


def test_a_new_attempt_starts_though_the_old_pod_stays_and_the_lower_report_is_ignored() -> None:
    """The old pod cannot be deleted: nobody is there to end it. It comes back, and ends well, but too late."""
    lost = trial(0, "Queued", attempts=1, settledAttempt=1, interruptions=1)
    view = replace(observed(lost, jobs=(on_a_lost_node(),)), search=search(spec()))
    actions = plan(view, at(400), SETTINGS).actions
    assert [action.attempt for action in actions if isinstance(action, CreateJob)] == [2]

    second = trial(0, "Running", attempts=2, settledAttempt=1, interruptions=1)
    back = job(0, 1, pod(ended(0, report(attempt=1, accuracy=0.1))), complete=True, deleting=True)
    view = observed(second, jobs=(back, job(0, 2, pod(running(410)))))
    writes = [a for a in plan(view, at(500), SETTINGS).actions if isinstance(a, WriteTrial)]
    assert all(write.status.phase == "Running" for write in writes)

    done = job(0, 2, pod(ended(0, report(attempt=2, accuracy=0.8))), complete=True)
    (write,) = [
        a for a in plan(observed(second, jobs=(back, done)), at(600), SETTINGS).actions if isinstance(a, WriteTrial)
    ]
    assert (write.status.phase, write.status.validation_accuracy) == ("Succeeded", 0.8)
    assert write.status.interruptions == 1


@given(
    started=st.integers(0, 300),
    since=st.integers(0, 300),
    heard=st.none() | st.integers(0, 300),
    now=st.integers(0, 600),
)
def test_no_attempt_hangs_sooner_than_its_bound_after_any_sign_of_life(
    started: int, since: int, heard: int | None, now: int
) -> None:
    view = replace(seen(runs(), pod(running(started))), watched_since=at(since))
    if heard is not None:
        view = replace(view, progress=told(heard))
    signs = [started, since] + ([heard] if heard is not None else [])
    want = at(now) >= at(max(signs)) + timedelta(seconds=60)
    assert isinstance(outcome(view, now), Retryable) == want
