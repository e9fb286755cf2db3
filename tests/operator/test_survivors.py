"""An attempt that was settled because nothing was heard of it, and runs on: its node has come back, or it hangs."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_operator.actions import CreateJob, DeleteJob
from bananas_operator.plan import plan
from bananas_operator.settings import Settings
from bananas_operator.views import ContainerState, ContainerWaiting, Observed, PodView

from .builders import SETTINGS, at, ended, job, observed, pod, report, running, trial
from .histories import failure
from .test_plan import settled


def lost(the_pod: PodView, **changes: Any) -> Observed:
    """A trial whose first attempt is settled, and whose Job is still there."""
    waits = trial(0, "Queued", attempts=1, settled_attempt=1, interruptions=1)
    return observed(waits, jobs=(job(0, 1, the_pod, **changes),))


def done(seen: Observed, seconds: float = 400) -> list[str]:
    actions = plan(seen, at(seconds), SETTINGS).actions
    starts = [f"start {action.attempt}" for action in actions if isinstance(action, CreateJob)]
    stops = [("stop " if a.stops else "delete ") + a.name for a in actions if isinstance(a, DeleteJob)]
    return starts + stops


def test_while_its_node_is_silent_the_next_attempt_starts_whatever_becomes_of_the_old_one() -> None:
    assert done(lost(pod(running(), silent_since=at(10)))) == ["start 2", "delete s-0-1"]


def test_when_its_node_is_back_it_is_stopped_before_the_next_one_starts() -> None:
    assert done(lost(pod(running()))) == ["stop s-0-1"]
    ending = lost(pod(running(), deletion=at(430)), deleting=True)
    assert done(ending) == []
    quiet = settled(replace(ending, predictor_checked_at=at(399)), 400)
    assert plan(quiet, at(400), SETTINGS).again_at == at(430 + SETTINGS.lost_seconds)
    assert done(ending, 430 + SETTINGS.lost_seconds) == ["start 2"], "its node is gone again"
    assert done(replace(ending, jobs=())) == ["start 2"]


def test_a_node_that_comes_back_between_two_passes_does_not_make_two_attempts_at_once() -> None:
    """Seed 7864 of the histories, once."""
    steps = [
        ("propose", 7),
        ("relist",),
        ("run_pass",),
        ("run_pass",),
        ("kubelet", 0, "kill"),
        ("propose", 3),
        ("kubelet", 2, "error"),
        ("lose_node", 0),
        ("wait", 400),
        ("pause_leader",),
        ("run_pass",),
    ]
    assert failure(steps) is None


@pytest.mark.parametrize(
    ("state", "want"),
    [(running(), "stop s-0-1"), (ContainerWaiting("ImagePullBackOff", "no such image"), "delete s-0-1")],
)
def test_the_last_attempt_of_a_failed_trial_gives_its_gpu_back_at_once(state: ContainerState, want: str) -> None:
    """Other Jobs of ended trials wait until twenty can be deleted together; this one's pod keeps a GPU from others."""
    failed = trial(
        0, "Failed", attempts=1, settled_attempt=1, retries=1, failure={"reason": "Hang", "message": "hangs"}
    )
    over = trial(1, "Succeeded", attempts=1, settled_attempt=1, validation_accuracy=0.9)
    seen = observed(failed, over, jobs=(job(0, 1, pod(state)), job(1, 1, pod(ended(0, report(1))), complete=True)))
    actions = plan(seen, at(400), Settings()).actions
    stops = [("stop " if a.stops else "delete ") + a.name for a in actions if isinstance(a, DeleteJob)]
    assert stops == [want]
