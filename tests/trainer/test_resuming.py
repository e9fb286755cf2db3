"""Training that is killed, at many points and in both ways, gives the same weights bit for bit as training that is not."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bananas_core.contract import ExitCode, TrialFile
from tests.support.trainer import Processes, Running, wait_until

pytestmark = pytest.mark.slow

Trial = Callable[..., TrialFile]
EPOCHS = 5


@pytest.fixture(scope="module")
def want_weights(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Where the weights of uninterrupted trainings are kept, filled by the first test that needs them."""
    return {}


def uninterrupted(processes: Processes, trial: Trial, tmp_path: Path, cache: dict[str, bytes]) -> bytes:
    if "weights" not in cache:
        folder = tmp_path / "uninterrupted"
        assert processes.run(trial(checkpoint_dir=str(folder), recipe={"epochs": EPOCHS})) == ExitCode.OK
        cache["weights"] = (folder / "weights.safetensors").read_bytes()
    return cache["weights"]


def epochs_logged(tmp_path: Path) -> list[tuple[int, int]]:
    """(attempt, epoch) of every line of the log of epochs."""
    log = tmp_path / "checkpoints" / "epochs.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(line["attempt"], line["epoch"]) for line in lines]


def kill_when(processes: Processes, running: Running, condition: Callable[[], bool], number: signal.Signals) -> int:
    wait_until(lambda: condition() or not alive(running), "the point of the kill")
    running.kill(number)
    return processes.wait(running)


def alive(running: Running) -> bool:
    """Whether it still runs: a zombie, which the server has yet to wait for, does not."""
    return Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_after_every_epoch_it_gives_the_same_weights(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], number: signal.Signals
) -> None:
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    for attempt in range(1, EPOCHS):
        running = processes.start(trial(attempt, recipe={"epochs": EPOCHS}))
        code = kill_when(processes, running, lambda: len(running.events("epoch")) >= 1, number)  # noqa: B023
        assert code == (ExitCode.INTERRUPTED if number is signal.SIGTERM else -signal.SIGKILL)
    assert processes.run(trial(EPOCHS, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    logged = epochs_logged(tmp_path)
    assert [epoch for _, epoch in logged] == [*range(1, EPOCHS + 1)]  # none was trained twice
    assert len({attempt for attempt, _ in logged}) >= 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_time_it_gives_the_same_weights(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], number: signal.Signals
) -> None:
    """Eight kills spread over a training: while it starts, in epochs, in writes. Later ones come later in the attempt."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    code, attempt = -1, 0
    while code != ExitCode.OK:
        attempt += 1
        running = processes.start(trial(attempt, recipe={"epochs": EPOCHS}))
        if attempt <= 8:
            point = time.monotonic() + 0.04 * attempt
            code = kill_when(processes, running, lambda: time.monotonic() >= point, number)  # noqa: B023
        else:
            code = processes.wait(running)
        assert code in {ExitCode.OK, ExitCode.INTERRUPTED, -signal.SIGKILL}
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    repeated = [epoch for epoch, n in Counter(epoch for _, epoch in epochs_logged(tmp_path)).items() if n > 1]
    assert repeated == []


@pytest.mark.parametrize(
    ("file", "epochs_told"),
    [("checkpoint-00003.safetensors", 2), ("weights.safetensors", EPOCHS), ("report.json", EPOCHS)],
)
def test_killed_in_the_middle_of_a_write_it_gives_the_same_weights(
    processes: Processes,
    trial: Trial,
    tmp_path: Path,
    want_weights: dict[str, bytes],
    file: str,
    epochs_told: int,
) -> None:
    """The temporary file is a pipe that nobody reads, so the write never ends."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    folder = tmp_path / "checkpoints"
    wait_until(folder.exists, "the directory")
    os.mkfifo(folder / f".{file}.{os.uname().nodename}.{running.pid}.tmp")
    wait_until(lambda: len(running.events("epoch")) == epochs_told, "the epoch before the write")
    assert alive(running)
    running.kill(signal.SIGKILL)
    assert processes.wait(running) == -signal.SIGKILL
    assert not (folder / "report.json").exists()
    assert processes.run(trial(2, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert (folder / "weights.safetensors").read_bytes() == want
    assert [attempt for attempt, _ in epochs_logged(tmp_path)] == [1] * epochs_told + [2] * (EPOCHS - epochs_told)
    assert list(folder.glob(".*.tmp")) == []


def test_sigterm_in_a_long_step_ends_the_attempt_at_once(processes: Processes, trial: Trial) -> None:
    """A step of this recipe takes many seconds."""
    running = processes.start(trial(recipe={"channels": 48, "layers": 8, "batch_size": 1000}))
    wait_until(lambda: len(running.events("training")) == 1, "the start of the training")
    began = time.monotonic()
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    assert time.monotonic() - began < 2
    assert running.events("epoch") == []


def test_sigterm_leaves_a_message(processes: Processes, trial: Trial, message: Callable[[], dict[str, str]]) -> None:
    running = processes.start(trial(recipe={"epochs": 100}))
    wait_until(lambda: len(running.events("epoch")) >= 1, "an epoch")
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    assert message()["reason"] == "Interrupted"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_corrupt_newest_checkpoint_is_passed_over_for_the_one_before(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], damage: str
) -> None:
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    kill_when(processes, running, lambda: len(running.events("epoch")) >= 3, signal.SIGKILL)
    checkpoints = sorted((tmp_path / "checkpoints").glob("checkpoint-*.safetensors"))
    assert len(checkpoints) >= 2
    content = bytearray(checkpoints[-1].read_bytes())
    content[-100] ^= 1
    checkpoints[-1].write_bytes(bytes({"truncated": content[:-50], "flipped": content, "empty": b""}[damage]))
    second = processes.start(trial(2, recipe={"epochs": EPOCHS}))
    assert processes.wait(second) == ExitCode.OK
    assert checkpoints[-1].name in second.events("warning")[0]["message"]
    assert second.events("resumed")[0]["checkpoint"] == checkpoints[-2].name
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want


def test_a_lower_attempt_writes_nothing_once_a_higher_one_has_started(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes]
) -> None:
    """Both train at the same time, as after the loss of a node."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    low = processes.start(trial(1, recipe={"epochs": EPOCHS}))
    wait_until(lambda: len(low.events("epoch")) >= 1, "an epoch of the lower attempt")
    low.kill(signal.SIGSTOP)
    high = processes.start(trial(2, recipe={"epochs": EPOCHS}))
    wait_until(lambda: len(high.events("epoch")) >= 1, "an epoch of the higher attempt")
    low.kill(signal.SIGCONT)
    assert processes.wait(low) == ExitCode.FENCED
    assert processes.wait(high) == ExitCode.OK
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    epochs = Counter(epoch for _, epoch in epochs_logged(tmp_path))
    assert set(epochs) == {*range(1, EPOCHS + 1)}
