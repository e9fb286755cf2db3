"""The checkpoint directory of a trial in the hands of one attempt, and the fence that stops an earlier one.

    attempt                        the highest attempt that has started; a lower one writes nothing any more
    checkpoint-00007.safetensors   the state after 7 epochs (`checkpoint.py`); two are kept
    epochs.jsonl                   one line for each trained epoch: which attempt trained it (`checkpoint.py`)
    weights.safetensors            the trained network
    report.json                    the result (`report.py`)

Every file but the log is replaced atomically and fsynced. Loads nothing heavy.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bananas_core.contract import ATTEMPT_FILE
from bananas_trainer.errors import CheckpointUnusable, Fenced


class TrialDirectory:
    """Writes files of the trial, as long as no higher attempt has started.

    Every method raises CheckpointUnusable where the directory cannot be used; `claim` and `write` raise Fenced where a
    higher attempt has started.
    """

    def __init__(self, path: Path, trial_uid: str, attempt: int) -> None:
        self.path = path
        self.trial_uid = trial_uid
        self.attempt = attempt

    def claim(self) -> None:
        """Makes the directory and puts up the fence: from here on lower attempts write nothing."""
        with self.errors_translated():
            self.path.mkdir(parents=True, exist_ok=True)
            self.check_fence()
            if self.highest_attempt() < self.attempt:
                self._replace(ATTEMPT_FILE, str(self.attempt).encode())
            for left_over in self.path.glob(".*.tmp"):  # of attempts that were killed
                left_over.unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file: after a crash it is there in full or as it was, and what was written stays."""
        with self.errors_translated():
            self.check_fence()
            self._replace(name, content)

    def highest_attempt(self) -> int:
        """The highest attempt that has started here; 0 where none has."""
        path = self.path / ATTEMPT_FILE
        try:
            return int(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except ValueError as error:
            raise CheckpointUnusable(f"{path}: want the number of an attempt; remove the file") from error

    def check_fence(self) -> None:
        """Called before each write."""
        highest = self.highest_attempt()
        if highest > self.attempt:
            raise Fenced(f"{self.path / ATTEMPT_FILE}: attempt {highest} has started; attempt {self.attempt} is void")

    @contextmanager
    def errors_translated(self) -> Iterator[None]:
        """Makes errors of the file system speak of the checkpoint directory."""
        try:
            yield
        except OSError as error:
            raise CheckpointUnusable(
                f"{error.filename or self.path}: {error.strerror}; the checkpoint directory {self.path} must be a directory "
                f"that this user (uid {os.getuid()}) may write to, with space left"
            ) from error

    def _replace(self, name: str, content: bytes) -> None:
        # The attempt in the name: two that overlap never write to the same file.
        temporary = self.path / f".{name}.attempt-{self.attempt}.tmp"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
