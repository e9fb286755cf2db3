"""Every end that a pod can have, as a real cluster told it: what each means for the attempt.

The files were recorded on Kubernetes 1.37 (`recorded_pods/README.md` says how); what that cluster cannot be brought to
(pressure on a node, its shutdown, a device plugin that went away) is written after the kubelet's source.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bananas_core import constants
from bananas_operator.attempts import current_attempt
from bananas_operator.classify import FatalForTrial, Interrupted, Outcome, Retryable, Running, Waiting, classify
from bananas_operator.parse import pod_view
from bananas_operator.silence import bounds, judged
from bananas_operator.views import PodView

from .builders import SETTINGS, job, observed, spec, trial

FOLDER = Path(__file__).parent / "recorded_pods"
PREEMPTED = {"preempted": True, "node_fault": False}
NODE_S_FAULT = {"preempted": False, "node_fault": True}
NOBODY_S_FAULT = {"preempted": False, "node_fault": False}


def recorded(name: str) -> PodView:
    return pod_view(json.loads((FOLDER / f"{name}.json").read_text()), "trainer")


def outcome(pod: PodView, seconds: float = 0) -> Outcome:
    return classify(job(the_pod=pod), pod.created + timedelta(seconds=seconds), SETTINGS)


@pytest.mark.parametrize(
    ("name", "want", "says"),
    [
        ("preempted-by-scheduler", PREEMPTED, "preempting to accommodate a higher priority pod"),
        ("evicted-by-api", PREEMPTED, "evicting"),
        ("evicted-by-taint", PREEMPTED, "taint"),
        ("deleted", NOBODY_S_FAULT, "exit code 75"),
        ("killed", NODE_S_FAULT, "exit code 137"),
        ("node-deleted", NODE_S_FAULT, "node no longer exists"),
        ("refused-out-of-cpu", NODE_S_FAULT, "OutOfcpu"),
        ("refused-out-of-gpu", NODE_S_FAULT, "OutOfnvidia.com/gpu"),
        ("refused-node-affinity", NODE_S_FAULT, "NodeAffinity"),
    ],
)
def test_what_ended_a_pod_from_outside_is_no_failure(name: str, want: dict[str, bool], says: str) -> None:
    found = outcome(recorded(name))
    assert isinstance(found, Interrupted)
    assert {"preempted": found.preempted, "node_fault": found.node_fault} == want
    assert says in found.message


@pytest.mark.parametrize(
    ("name", "want", "says"),
    [
        ("out-of-memory", FatalForTrial(constants.REASON_OUT_OF_MEMORY, ""), "limits.memory"),
        ("deadline-exceeded", FatalForTrial(constants.REASON_DEADLINE_EXCEEDED, ""), "deadlineSeconds"),
        ("scratch-space-used-up", FatalForTrial(constants.REASON_OUT_OF_SCRATCH, ""), 'EmptyDir volume "s"'),
        ("exit-code-1-of-an-own-image", Retryable(constants.REASON_PROGRAM_ERROR, ""), "my own image is broken"),
    ],
)
def test_what_the_trial_did_itself_has_a_name_and_a_message(
    name: str, want: FatalForTrial | Retryable, says: str
) -> None:
    found = outcome(recorded(name))
    assert isinstance(found, FatalForTrial | Retryable)
    assert (type(found), found.reason) == (type(want), want.reason)
    assert says in found.message


@pytest.mark.parametrize("name", ["preempted-and-still-running", "past-its-deadline-and-still-running"])
def test_a_pod_in_its_grace_period_is_not_judged_yet(name: str) -> None:
    assert isinstance(outcome(recorded(name)), Running)
    assert recorded(name).silent_since is None


def test_a_pod_whose_volume_is_not_mounted_waits() -> None:
    assert isinstance(outcome(recorded("volume-not-mounted")), Waiting)


def after(name: str, seconds: float, **limits: Any) -> Outcome:
    """What an attempt is so long after its node was found to be silent."""
    pod = recorded(name)
    assert pod.silent_since is not None
    now = pod.silent_since + timedelta(seconds=seconds)
    the_trial, the_job = trial(0, "Running", attempts=1), job(the_pod=pod)
    seen = observed(the_trial, jobs=(the_job,))
    attempt = current_attempt(the_trial, (the_job,), now, SETTINGS)
    assert attempt is not None
    return judged(attempt, the_trial, seen, bounds(spec(trial=limits), seen), now).outcome


def test_an_attempt_on_a_lost_node_is_given_up_when_its_time_is_over() -> None:
    name = "node-lost-before-its-timeout"
    assert isinstance(after(name, 299), Running)
    found = after(name, 301)
    assert isinstance(found, Interrupted)
    assert found.node_fault
    assert "ghost1 has not answered" in found.message
    assert isinstance(after(name, 11, nodeLossTimeoutSeconds=10), Interrupted)


def test_a_pod_that_cannot_be_deleted_from_a_lost_node_is_given_up_though_it_says_to_run() -> None:
    name = "node-lost-and-evicted-by-taint"
    deletion = recorded(name).deletion
    assert isinstance(deletion, datetime)
    found = after(name, 60)
    assert isinstance(found, Interrupted)
    assert (found.preempted, found.node_fault) == (False, True)


DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}


def told(
    reason: str, message: str, *conditions: dict[str, str], code: int | None = None, why: str = "Error"
) -> PodView:
    """A pod that its kubelet ended."""
    item = json.loads((FOLDER / "killed.json").read_text())
    item["status"] = {"phase": "Failed", "reason": reason, "message": message, "conditions": list(conditions)}
    if code is not None:
        state = {"terminated": {"exitCode": code, "reason": why, "message": ""}}
        item["status"]["containerStatuses"] = [{"name": "trainer", "state": state, "restartCount": 0}]
    return pod_view(item, "trainer")


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        (
            told("Evicted", "The node was low on resource: memory.", DISRUPTED, code=137),
            {"preempted": True, "node_fault": True},
        ),
        (told("Evicted", "The node had condition: [DiskPressure]. "), NODE_S_FAULT),
        (told("Preempting", "Preempted in order to admit critical pod", DISRUPTED, code=143), PREEMPTED),
        (
            told("Terminated", "Pod was terminated in response to imminent node shutdown.", DISRUPTED, code=75),
            {"preempted": True, "node_fault": True},
        ),
        (told("NodeShutdown", "Pod was rejected as the node is shutting down."), NODE_S_FAULT),
        (told("UnexpectedAdmissionError", "Allocate failed due to no healthy devices present"), NODE_S_FAULT),
        (told("TopologyAffinityError", "Resources cannot be allocated with Topology locality"), NODE_S_FAULT),
        (told("", "", code=137, why="ContainerStatusUnknown"), NODE_S_FAULT),
        (told("", "", code=255, why="Unknown"), NODE_S_FAULT),
    ],
    ids=lambda value: (value.reason or value.state.reason) if isinstance(value, PodView) else "",
)
def test_what_a_kubelet_ends_or_turns_away_is_no_failure(pod: PodView, want: dict[str, bool]) -> None:
    found = outcome(pod)
    assert isinstance(found, Interrupted)
    assert {"preempted": found.preempted, "node_fault": found.node_fault} == want
    assert found.message
