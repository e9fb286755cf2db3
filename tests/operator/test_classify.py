"""What an attempt came to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core import constants
from bananas_core.contract import FailureReport
from bananas_operator.classify import (
    Blocked,
    FatalForSearch,
    FatalForTrial,
    Interrupted,
    Outcome,
    Result,
    Retryable,
    Running,
    Waiting,
    classify,
)
from bananas_operator.views import ContainerWaiting, JobView

from .builders import SETTINGS, at, ended, job, pod, report, running


def of(the_job: JobView | None, seconds: float = 0) -> Outcome:
    return classify(the_job, at(seconds), SETTINGS)


def failure(reason: str = "x", message: str = "said by the trainer") -> str:
    return FailureReport(kind="bananas.failure/v1", reason=reason, message=message).to_message()


def test_a_pod_that_ended_well_with_its_report_is_a_result() -> None:
    outcome = of(job(the_pod=pod(ended(0, report(accuracy=0.75)))))
    assert isinstance(outcome, Result)
    assert outcome.report.validation_accuracy == 0.75


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "no report"),
        ("{", "no report"),
        (report(index=1), "trial UID trial-1"),
        (report(attempt=2), "attempt 2"),
        ('{"trialUid": "trial-0", "attempt": 1, "validationAccuracy": 1.5}', "validationAccuracy"),
    ],
)
def test_exit_code_0_without_its_own_readable_report_is_an_error_that_may_pass(message: str, says: str) -> None:
    outcome = of(job(the_pod=pod(ended(0, message))))
    assert isinstance(outcome, Retryable)
    assert outcome.reason == constants.REASON_NO_REPORT
    assert says in outcome.message


def test_a_result_counts_even_if_the_pod_was_preempted_in_its_grace_period() -> None:
    outcome = of(job(the_pod=pod(ended(0, report()), disrupted="preempted", deletion=at(30))))
    assert isinstance(outcome, Result)


@pytest.mark.parametrize("code", [69, 75, 137, 143])
def test_a_container_that_was_stopped_was_interrupted(code: int) -> None:
    assert isinstance(of(job(the_pod=pod(ended(code)))), Interrupted)


@pytest.mark.parametrize("code", [1, 2, 66, 70, 137, 255])
def test_a_disrupted_pod_was_interrupted_whatever_its_exit_code(code: int) -> None:
    outcome = of(job(the_pod=pod(ended(code), disrupted="preempted by pod x")))
    assert outcome == Interrupted("preempted by pod x")


@pytest.mark.parametrize(
    "reason",
    ["Evicted", "Preempting", "UnexpectedAdmissionError", "NodeLost", "Shutdown", "OutOfcpu", "OutOfnvidia.com/gpu"],
)
def test_a_pod_that_the_kubelet_turned_away_was_interrupted(reason: str) -> None:
    assert isinstance(of(job(the_pod=pod(phase="Failed", reason=reason))), Interrupted)


def test_a_job_that_is_not_there_was_interrupted() -> None:
    assert isinstance(of(None), Interrupted)


@pytest.mark.parametrize("complete", [True, False])
def test_an_ended_job_without_a_pod_was_interrupted(complete: bool) -> None:
    assert isinstance(of(replace(job(), complete=complete, failed=not complete)), Interrupted)


def test_a_killed_container_that_was_out_of_memory_is_fatal_for_the_trial() -> None:
    outcome = of(job(the_pod=pod(ended(137, reason="OOMKilled"))))
    assert isinstance(outcome, FatalForTrial)
    assert outcome.reason == constants.REASON_OUT_OF_MEMORY
    assert "limits.memory" in outcome.message


@pytest.mark.parametrize("code", [137, 143, 75, 1])
def test_a_pod_past_its_deadline_is_fatal_for_the_trial(code: int) -> None:
    outcome = of(job(the_pod=pod(ended(code), phase="Failed", reason="DeadlineExceeded")))
    assert isinstance(outcome, FatalForTrial)
    assert outcome.reason == constants.REASON_DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (64, FatalForSearch(constants.REASON_CONTRACT_BROKEN, "said by the trainer")),
        (65, FatalForSearch(constants.REASON_DATA_INVALID, "said by the trainer")),
        (66, FatalForSearch(constants.REASON_DATA_MISSING, "said by the trainer")),
        (73, FatalForSearch(constants.REASON_CHECKPOINT_UNUSABLE, "said by the trainer")),
        (78, FatalForSearch(constants.REASON_RECIPE_INVALID, "said by the trainer")),
        (71, FatalForTrial(constants.REASON_OUT_OF_DEVICE_MEMORY, "said by the trainer")),
        (72, FatalForTrial(constants.REASON_DIVERGED, "said by the trainer")),
        (70, Retryable(constants.REASON_PROGRAM_ERROR, "said by the trainer")),
        (1, Retryable(constants.REASON_PROGRAM_ERROR, "said by the trainer")),
    ],
)
def test_an_exit_code_means_what_the_contract_says(code: int, want: Outcome) -> None:
    assert of(job(the_pod=pod(ended(code, failure())))) == want


def test_an_error_without_a_report_keeps_the_end_of_what_the_container_left() -> None:
    outcome = of(job(the_pod=pod(ended(1, "x" * 5000 + "ValueError: no"))))
    assert isinstance(outcome, Retryable)
    assert outcome.message.startswith("exit code 1: ")
    assert outcome.message.endswith("ValueError: no")
    assert len(outcome.message) < 2048


def test_an_error_in_a_pod_that_is_being_deleted_is_an_interruption() -> None:
    assert isinstance(of(job(the_pod=pod(ended(1), deletion=at(30)))), Interrupted)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_pulled_blocks(reason: str) -> None:
    outcome = of(job(the_pod=pod(ContainerWaiting(reason, "not found"), image="nowhere/x:1")))
    assert isinstance(outcome, Blocked)
    assert outcome.reason == constants.REASON_IMAGE_UNAVAILABLE
    assert "nowhere/x:1" in outcome.message
    assert "spec.trial.template.image" in outcome.message


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_made_blocks(reason: str) -> None:
    outcome = of(job(the_pod=pod(ContainerWaiting(reason, 'secret "x" not found'))))
    assert isinstance(outcome, Blocked)
    assert outcome.reason == constants.REASON_CONTAINER_CONFIG
    assert 'secret "x" not found' in outcome.message


def test_a_command_that_is_not_in_the_image_is_fatal_for_the_search() -> None:
    outcome = of(job(the_pod=pod(ended(128, 'exec: "nope": not found', "StartError"))))
    assert isinstance(outcome, FatalForSearch)
    assert "spec.trial.template.command" in outcome.message


@pytest.mark.parametrize(
    "message",
    [
        # As containerd said it when the kubelet was killed in the middle of the start (make chaos, seed 1).
        "failed to create containerd task: failed to start shim: start failed: : signal: killed: unknown",
        "failed to create containerd task: failed to create shim task: context canceled: unknown",
        "failed to create containerd task: failed to create shim task: ttrpc: closed: unknown",
    ],
)
def test_a_start_that_was_cut_short_on_the_node_is_an_interruption(message: str) -> None:
    outcome = of(job(the_pod=pod(ended(128, message, "StartError"))))
    assert isinstance(outcome, Interrupted)
    assert outcome.node_fault
    assert message in outcome.message


def test_a_command_that_a_runtime_does_not_find_is_no_interruption() -> None:
    message = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to "
        'start container process: exec: "nope": executable file not found in $PATH: unknown'
    )
    assert isinstance(of(job(the_pod=pod(ended(128, message, "StartError")))), FatalForSearch)


def test_a_pod_that_waits_for_a_node_says_so_after_a_while() -> None:
    waiting = job(the_pod=pod(unschedulable="0/1 nodes are available: 1 Insufficient nvidia.com/gpu"))
    assert of(waiting, 5) == Waiting(None)
    later = of(waiting, 60)
    assert isinstance(later, Waiting)
    assert "Insufficient nvidia.com/gpu" in (later.message or "")


def test_a_running_container_runs_even_in_a_pod_that_is_being_deleted() -> None:
    assert of(job(the_pod=pod(running(3), deletion=at(30))), 20) == Running(at(3))


def test_a_pod_still_there_long_after_its_grace_period_is_on_a_lost_node() -> None:
    assert isinstance(of(job(the_pod=pod(running(3), deletion=at(30))), 30 + 31), Interrupted)


@given(
    code=st.integers(0, 255),
    message=st.text(max_size=200),
    reason=st.sampled_from(("Error", "Completed", "OOMKilled", "StartError", "")),
    pod_reason=st.sampled_from(("", "Evicted", "DeadlineExceeded", "Other")),
    disrupted=st.booleans(),
    deleted=st.booleans(),
)
def test_every_end_has_exactly_one_meaning_and_only_exit_code_0_is_a_result(
    code: int, message: str, reason: str, pod_reason: str, disrupted: bool, deleted: bool
) -> None:
    view = pod(
        ended(code, message, reason),
        phase="Failed",
        reason=pod_reason,
        disrupted="x" if disrupted else None,
        deletion=at(5) if deleted else None,
    )
    outcome = of(job(the_pod=view))
    assert isinstance(outcome, Result | Interrupted | Retryable | FatalForTrial | FatalForSearch)
    assert not isinstance(outcome, Result)  # random text is no report
    if disrupted and code != 0:
        assert not isinstance(outcome, Retryable | FatalForSearch)
