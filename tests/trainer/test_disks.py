"""Disks that are full or become read-only: the message says which, earlier checkpoints stay, and nothing is left to fill them."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bananas_core.contract import ExitCode, TrialFile
from tests.support.disk import small_disk
from tests.support.trainer import Processes, wait_until

Trial = Callable[..., TrialFile]
Message = Callable[[], dict[str, Any]]


def interrupted(processes: Processes, trial: TrialFile) -> None:
    """Leaves checkpoints of two epochs at least."""
    first = processes.start(trial)
    wait_until(lambda: len(first.events("epoch")) >= 2, "two epochs")
    first.kill(signal.SIGKILL)
    processes.wait(first)


def test_a_checkpoint_directory_that_became_read_only_is_refused_and_goes_on_when_it_is_not(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        changes: dict[str, Any] = {"recipe": {"epochs": 50}, "checkpoint_dir": str(disk.path / "checkpoints")}
        interrupted(processes, trial(1, **changes))
        disk.remount("ro")
        want = sorted(path.name for path in Path(changes["checkpoint_dir"]).iterdir())
        code = processes.run(trial(2, **changes))
        assert code == ExitCode.CHECKPOINT_UNUSABLE
        for part in (changes["checkpoint_dir"], "Read-only", "writable"):
            assert part in message()["message"]
        assert sorted(path.name for path in Path(changes["checkpoint_dir"]).iterdir()) == want
        disk.remount("rw")
        goes_on(processes, trial(3, **changes))


def test_a_disk_that_is_full_is_told_and_does_not_stay_full(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    """Something else fills it, at last what a killed attempt was writing."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        changes: dict[str, Any] = {"recipe": {"epochs": 50, "channels": 4}, "checkpoint_dir": str(disk.path)}
        interrupted(processes, trial(1, **changes))
        fill(disk.path / "something-else")
        code = processes.run(trial(2, **changes))
        assert code == ExitCode.CHECKPOINT_UNUSABLE
        for part in (str(disk.path), "No space left on device"):
            assert part in message()["message"]
        assert list(disk.path.glob(".*.tmp")) == []
        (disk.path / "something-else").rename(disk.path / ".checkpoint-00009.safetensors.other-host.1.tmp")
        goes_on(processes, trial(3, **changes))


def fill(path: Path) -> None:
    """Takes all the space that there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def goes_on(processes: Processes, trial: TrialFile) -> None:
    """From a checkpoint of two epochs or more to the next one."""
    running = processes.start(trial)
    wait_until(lambda: len(running.events("epoch")) >= 1, "an epoch")
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    assert running.events("resumed")[0]["epoch"] >= 2
