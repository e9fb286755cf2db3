"""Training that is killed in the middle of epochs, at more than twenty points, gives the same weights bit for bit."""

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bananas_core.contract import ExitCode, TrialFile
from bananas_trainer.errors import ContractBroken
from bananas_trainer.settings import Settings
from tests.support.trainer import Processes, wait_until

pytestmark = pytest.mark.slow

Trial = Callable[..., TrialFile]
RECIPE = {"epochs": 8, "batch_size": 64}
STEPS = 16  # of an epoch
AFTER_EVERY_STEP = {"BANANAS_CHECKPOINT_SECONDS": "0"}
KILLS = 20


@pytest.fixture(scope="module")
def want(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Filled by the first test that needs the weights of the training that nobody kills."""
    return {}


def weights(processes: Processes, trial: Trial, tmp_path: Path, cache: dict[str, bytes]) -> bytes:
    if not cache:
        folder = tmp_path / "uninterrupted"
        assert processes.run(trial(checkpoint_dir=str(folder), recipe=RECIPE)) == ExitCode.OK
        cache["weights"] = (folder / "weights.safetensors").read_bytes()
    return cache["weights"]


def position(folder: Path) -> tuple[int, int]:
    """(epoch, step) of the newest checkpoint."""
    found = [re.fullmatch(r"checkpoint-(\d+)(?:-(\d+))?\.safetensors", path.name) for path in folder.glob("check*")]
    return max(((int(match[1]), int(match[2] or 0)) for match in found if match), default=(0, 0))


def test_killed_at_twenty_points_within_epochs_it_gives_the_same_weights(
    processes: Processes, trial: Trial, tmp_path: Path, want: dict[str, bytes]
) -> None:
    """With a checkpoint after every step, so that a kill also comes in the middle of writing one."""
    folder, points = tmp_path / "checkpoints", []
    for attempt in range(1, KILLS + 1):
        before = position(folder) if folder.exists() else (0, 0)
        running = processes.start(trial(attempt, recipe=RECIPE), environment=AFTER_EVERY_STEP)
        wait_until(lambda: folder.exists() and position(folder) > before, "a step")  # noqa: B023
        running.kill(signal.SIGKILL if attempt % 2 else signal.SIGTERM)
        code = processes.wait(running)
        assert code == (-signal.SIGKILL if attempt % 2 else ExitCode.INTERRUPTED)
        points.append(position(folder))
    assert processes.run(trial(KILLS + 1, recipe=RECIPE)) == ExitCode.OK
    assert (folder / "weights.safetensors").read_bytes() == weights(processes, trial, tmp_path, want)
    assert points == sorted(set(points))  # each attempt got further than the one before
    assert sum(step > 0 for _, step in points) >= KILLS // 2
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [*range(1, RECIPE["epochs"] + 1)]
    # Every step of it is of one attempt, in their order; the one that ended it may only have validated.
    for line in lines:
        attempts, steps = zip(*line["attempts"], strict=True)
        assert sum(steps) == STEPS
        assert list(attempts) == sorted(set(attempts))
        assert attempts[-1] <= line["attempt"]
        assert line["pieces"] == 1
    assert any(len(line["attempts"]) > 2 for line in lines)


def test_sigterm_keeps_the_steps_of_the_epoch(
    processes: Processes, trial: Trial, tmp_path: Path, want: dict[str, bytes]
) -> None:
    """No checkpoint is due for a minute, so whatever a later attempt finds was written on SIGTERM."""
    folder, steps = tmp_path / "checkpoints", []
    for attempt in range(1, 5):
        running = processes.start(trial(attempt, recipe=RECIPE))
        wait_until(lambda: len(running.events("epoch")) >= 1, "an epoch")  # noqa: B023
        point = time.monotonic() + 0.03 * attempt  # a step lasts about 10 ms
        wait_until(lambda: time.monotonic() >= point, "some steps")  # noqa: B023
        began = time.monotonic()
        running.kill(signal.SIGTERM)
        assert processes.wait(running) == ExitCode.INTERRUPTED
        assert time.monotonic() - began < 5
        steps.append(position(folder)[1])
    last = processes.start(trial(5, recipe=RECIPE))
    assert processes.wait(last) == ExitCode.OK
    assert last.events("resumed")[0].get("steps", 0) == steps[-1]
    assert any(steps)
    assert (folder / "weights.safetensors").read_bytes() == weights(processes, trial, tmp_path, want)


def test_a_corrupt_checkpoint_within_an_epoch_is_passed_over(
    processes: Processes, trial: Trial, tmp_path: Path, want: dict[str, bytes]
) -> None:
    folder = tmp_path / "checkpoints"
    running = processes.start(trial(recipe=RECIPE), environment=AFTER_EVERY_STEP)
    wait_until(lambda: folder.exists() and position(folder) > (1, 3), "the second epoch")
    running.kill(signal.SIGKILL)
    processes.wait(running)
    epoch, step = position(folder)
    newest = folder / (f"checkpoint-{epoch:05}-{step:06}.safetensors" if step else f"checkpoint-{epoch:05}.safetensors")
    newest.write_bytes(newest.read_bytes()[:-10])
    second = processes.start(trial(2, recipe=RECIPE))
    assert processes.wait(second) == ExitCode.OK
    assert newest.name in second.events("warning")[0]["message"]
    assert (folder / "weights.safetensors").read_bytes() == weights(processes, trial, tmp_path, want)


@pytest.mark.parametrize("text", ["-1", "often", "nan", ""])
def test_a_setting_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ContractBroken, match="BANANAS_CHECKPOINT_SECONDS"):
        Settings.from_environment({"BANANAS_CHECKPOINT_SECONDS": text})


def test_a_checkpoint_is_due_every_minute_unless_something_else_is_set() -> None:
    assert Settings.from_environment({}).checkpoint_seconds == 60
    assert Settings.from_environment(AFTER_EVERY_STEP).checkpoint_seconds == 0
