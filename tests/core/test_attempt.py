"""The trainer's half of the contract, where a process of its own is not needed; tests/tables/test_trial.py has the rest."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.attempt import Attempt, run, write_atomically
from bananas_core.contract import ExitCode, FailureReport, Report
from bananas_core.errors import AttemptError, Interrupted
from tests.support.disk import small_disk


def trial_file(folder: Path, **changes: Any) -> Path:
    trial = {
        "namespace": "demo",
        "search": "s",
        "trial": "s-1",
        "trialUid": "u1",
        "attempt": 1,
        "architecture": {"space": "nasbench201", "nasbench201": {"ops": ["none"] * 6}},
        "checkpointDir": str(folder / "checkpoints"),
        "terminationFile": str(folder / "termination"),
        **changes,
    }
    (folder / "trial.json").write_text(json.dumps(trial))
    return folder / "trial.json"


def good(attempt: Attempt) -> Report:
    return attempt.report(validation_accuracy=0.5)


def test_a_report_is_durable_before_it_is_told(tmp_path: Path) -> None:
    """Without a termination file to write the attempt fails, but the next one finds the report."""
    file = trial_file(tmp_path, terminationFile=str(tmp_path / "none" / "termination"))
    assert run(good, file) == ExitCode.PROGRAM_ERROR

    def never(_: Attempt) -> Report:
        raise AssertionError("trained twice")

    assert run(never, trial_file(tmp_path, attempt=2)) == ExitCode.OK
    assert Report.read((tmp_path / "termination").read_text()).attempt == 2


def test_an_error_that_nobody_foresaw_may_pass_and_is_told(tmp_path: Path) -> None:
    def broken(_: Attempt) -> Report:
        raise ZeroDivisionError("by zero")

    assert run(broken, trial_file(tmp_path)) == ExitCode.PROGRAM_ERROR
    want = FailureReport(reason="ProgramError", message="ZeroDivisionError: by zero")
    assert FailureReport.read((tmp_path / "termination").read_text()) == want
    assert not (tmp_path / "checkpoints" / "report.json").exists()


def test_an_error_of_the_program_keeps_its_exit_code(tmp_path: Path) -> None:
    def diverged(_: Attempt) -> Report:
        raise AttemptError(ExitCode.DIVERGED, "the loss is nan in epoch 3")

    assert run(diverged, trial_file(tmp_path)) == ExitCode.DIVERGED
    assert FailureReport.read((tmp_path / "termination").read_text()).reason == "Diverged"


def test_a_stopped_attempt_says_so_and_waits_no_longer(tmp_path: Path) -> None:
    attempt = Attempt.start(trial_file(tmp_path))
    attempt.check_stop()
    attempt.stop()
    assert attempt.wait(3600) < 1
    with pytest.raises(Interrupted) as caught:
        attempt.check_stop()
    assert caught.value.exit_code == ExitCode.INTERRUPTED


def test_two_attempts_at_once_end_with_the_higher_one(tmp_path: Path) -> None:
    lower = Attempt.start(trial_file(tmp_path, attempt=1))
    higher = Attempt.start(trial_file(tmp_path, attempt=2))
    with pytest.raises(AttemptError) as caught:
        lower.record(good(lower))
    assert caught.value.exit_code == ExitCode.FENCED
    higher.record(good(higher))
    assert Report.read((tmp_path / "checkpoints" / "report.json").read_text()).attempt == 2


def test_the_number_of_a_higher_attempt_that_was_written_over_is_restored(tmp_path: Path) -> None:
    """Both read the file before either wrote: the lower one's number may be the one that stays for a moment."""
    higher = Attempt.start(trial_file(tmp_path, attempt=2))
    (tmp_path / "checkpoints" / "attempt").write_text("1\n")
    higher.check_fence()
    with pytest.raises(AttemptError):
        Attempt.start(trial_file(tmp_path, attempt=1))


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5"])
def test_a_damaged_fence_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "attempt").write_text(text)
    assert run(good, trial_file(tmp_path)) == ExitCode.OK
    assert (tmp_path / "checkpoints" / "attempt").read_text() == "1\n"


def test_without_a_checkpoint_directory_only_the_termination_message_is_written(tmp_path: Path) -> None:
    assert run(good, trial_file(tmp_path, checkpointDir=None)) == ExitCode.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["termination", "trial.json"]


@settings(deadline=None)  # it waits for the disk
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(
    tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for data in (first, second):
        write_atomically(folder / "file", data)
        assert (folder / "file").read_bytes() == data
        assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_keeps_the_file_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_atomically(tmp_path / "file", "old")

    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file", "new" * 1000)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_a_file_that_may_no_longer_be_replaced_stays(tmp_path: Path) -> None:
    """The write itself took so long that another attempt has started: as on a volume that was lost for an hour."""
    lower = Attempt.start(trial_file(tmp_path, attempt=1))
    folder = tmp_path / "checkpoints"
    write_atomically(folder / "file", "of the higher attempt")
    (folder / "attempt").write_text("2\n")
    with pytest.raises(AttemptError) as caught:
        write_atomically(folder / "file", "of the lower attempt", lower.check_fence)
    assert caught.value.exit_code == ExitCode.FENCED
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "file": "of the higher attempt",
        "attempt": "2\n",
    }


def test_a_report_is_not_put_in_place_once_a_higher_attempt_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower = Attempt.start(trial_file(tmp_path, attempt=1))
    synced = os.fsync

    def slow(descriptor: int) -> None:
        (tmp_path / "checkpoints" / "attempt").write_text("2\n")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(AttemptError) as caught:
        lower.record(good(lower))
    assert caught.value.exit_code == ExitCode.FENCED
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["attempt"]
    assert not (tmp_path / "termination").exists()


def test_an_attempt_makes_room_of_what_a_killed_one_left_before_its_first_write(tmp_path: Path) -> None:
    with small_disk(tmp_path / "checkpoints", "64k") as disk:
        Attempt.start(trial_file(tmp_path, attempt=1))
        (disk.path / "checkpoint").write_bytes(bytes(20_000))
        left_over = disk.path / ".checkpoint.host.1.tmp"
        with pytest.raises(OSError, match="No space left"):
            left_over.write_bytes(bytes(100_000))
        with pytest.raises(OSError, match="No space left"):
            write_atomically(disk.path / "x", bytes(10))
        second = Attempt.start(trial_file(tmp_path, attempt=2))
        assert sorted(path.name for path in disk.path.iterdir()) == ["attempt", "checkpoint"]
        with pytest.raises(OSError, match="No space left"):
            write_atomically(disk.path / "checkpoint", bytes(50_000))
        assert (disk.path / "checkpoint").stat().st_size == 20_000
        second.record(good(second))
        assert (disk.path / "attempt").read_text() == "2\n"


def test_an_attempt_that_is_writing_removes_nothing_to_restore_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at the fence between a write and its rename, and what it has written is a temporary file, too."""
    attempt = Attempt.start(trial_file(tmp_path, attempt=2))
    folder = tmp_path / "checkpoints"
    (folder / "attempt").write_text("1\n")
    written: list[str] = []
    real = os.fsync

    def full_once(number: int) -> None:
        if written and not written[1:]:
            written.append("the number")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    def look() -> None:
        written.extend(path.name for path in folder.glob(".checkpoint.*.tmp"))
        monkeypatch.setattr(os, "fsync", full_once)
        try:
            attempt.check_fence()
        finally:
            assert len(list(folder.glob(".checkpoint.*.tmp"))) == 1

    with pytest.raises(AttemptError) as caught:
        write_atomically(folder / "checkpoint", "whole", look)
    assert caught.value.exit_code == ExitCode.CHECKPOINT_UNUSABLE
    assert len(written) == 2
    assert [path.name for path in folder.iterdir()] == ["attempt"]


def test_a_void_attempt_leaves_alone_what_the_higher_one_is_writing(tmp_path: Path) -> None:
    Attempt.start(trial_file(tmp_path, attempt=2))
    under_way = tmp_path / "checkpoints" / ".checkpoint.host.1.tmp"
    under_way.write_text("half")
    with pytest.raises(AttemptError):
        Attempt.start(trial_file(tmp_path, attempt=1))
    assert under_way.exists()
