"""The trainer's half of the contract (`contract`): what every program that runs a trial does with its files and signals.

Used by every trainer of ours (`bananas_trainer` trains, `bananas_tables.trial` looks up), so that the order of writes,
the fence and the exit codes are right once. An image that is not ours needs none of it: contract.py says what to do.

    def train(attempt: Attempt) -> Report:
        ...                                                  # attempt.trial says what; attempt.directory keeps checkpoints
        attempt.check_fence()                                # before each write of a checkpoint
        attempt.progress.post(epoch, epochs, accuracy)       # never waits, never fails
        attempt.check_stop()                                 # raises Interrupted after SIGTERM
        return attempt.report(validation_accuracy=...)

    sys.exit(run(train))

`run` reads the trial file, gives an existing report again, records the new one, and turns every exception into an exit
code with a termination message. This module must never know how a result comes about.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bananas_core.contract import (
    ATTEMPT_FILE,
    REASON_OF_EXIT_CODE,
    REPORT_FILE,
    TERMINATION_PATH,
    TRIAL_FILE_VARIABLE,
    ExitCode,
    FailureReport,
    ProgressMessage,
    Report,
    TrialFile,
)
from bananas_core.errors import AttemptError, ContractError, Interrupted

PROGRESS_TIMEOUT_SECONDS: Final = 5.0
"""Of one post; it runs beside the training, so this only bounds how stale the next one can be."""
POLL_SECONDS: Final = 0.05
"""How soon a waiting attempt sees SIGTERM. A flag that is polled: an Event's lock is not safe in a signal handler."""


class ProgressPoster:
    """Posts how far an attempt is, from a daemon thread. Only the newest message waits; whatever fails is dropped."""

    def __init__(self, trial: TrialFile) -> None:
        self._trial = trial
        self._changed = threading.Condition()
        self._next: ProgressMessage | None = None
        self._thread: threading.Thread | None = None

    def post(self, epoch: int, epochs: int, validation_accuracy: float | None = None) -> None:
        """Hands a message to the thread and returns at once; does nothing where the trial has no `progress_url`."""
        if self._trial.progress_url is None:
            return
        message = ProgressMessage(
            namespace=self._trial.namespace,
            trial=self._trial.trial,
            trial_uid=self._trial.trial_uid,
            attempt=self._trial.attempt,
            epoch=epoch,
            epochs=epochs,
            validation_accuracy=validation_accuracy,
        )
        with self._changed:
            self._next = message
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._trial.progress_url,), daemon=True)
            self._thread.start()

    def _run(self, url: str) -> None:
        while True:
            with self._changed:
                while self._next is None:
                    self._changed.wait()
                message, self._next = self._next, None
            try:
                _post(url, message.model_dump_json(by_alias=True, exclude_none=True).encode())
            except Exception as error:
                # Losing progress loses nothing, but a person who reads the log should see why none arrives.
                print(f"progress not posted: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _post(url: str, body: bytes) -> None:
    import http.client  # noqa: PLC0415 - 20 ms that a quick look-up need not pay

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=PROGRESS_TIMEOUT_SECONDS)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status >= 300:
            raise ConnectionError(f"{url} answered {response.status} {response.read(200)!r}")
    finally:
        connection.close()


class Attempt:
    """One attempt of a trial: its trial file, its checkpoint directory, its end."""

    def __init__(self, trial: TrialFile) -> None:
        self.trial = trial
        self.directory = Path(trial.checkpoint_dir) if trial.checkpoint_dir else None
        self.progress = ProgressPoster(trial)
        self._stop = False

    @classmethod
    def start(cls, trial_file: Path | None = None) -> "Attempt":
        """Reads the trial file (default: the one that BANANAS_TRIAL_FILE names), makes the checkpoint directory, fences.

        Raises:
            AttemptError: CONTRACT_BROKEN, CHECKPOINT_UNUSABLE or FENCED.
        """
        attempt = cls(_read_trial_file(trial_file))
        attempt._open_directory()
        return attempt

    def _open_directory(self) -> None:
        if self.directory is None:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.directory, error) from error
        self._look_at_fence(_write_making_room)

    # --- the end that comes from outside ---

    def catch_sigterm(self) -> None:
        """From now on SIGTERM only sets `stopping`. For the main thread."""
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.stop())

    def stop(self) -> None:
        """What SIGTERM does."""
        self._stop = True

    @property
    def stopping(self) -> bool:
        """Whether SIGTERM came: write a checkpoint and end."""
        return self._stop

    def check_stop(self) -> None:
        """Call between steps, after a checkpoint.

        Raises:
            Interrupted: after SIGTERM.
        """
        if self._stop:
            raise Interrupted(ExitCode.INTERRUPTED, "ended by SIGTERM; the next attempt goes on from the checkpoint")

    def wait(self, seconds: float) -> float:
        """Sleeps, but not on after SIGTERM; returns the seconds that passed."""
        start = time.monotonic()
        while not self._stop and (left := start + seconds - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))
        return time.monotonic() - start

    # --- the checkpoint directory ---

    def check_fence(self) -> None:
        """Call before each write to the checkpoint directory.

        Raises:
            AttemptError: FENCED, where a higher attempt has started; CHECKPOINT_UNUSABLE.
        """
        self._look_at_fence(write_atomically)

    def _look_at_fence(self, write: Callable[[Path, str], None]) -> None:
        if self.directory is None:
            return
        path, own = self.directory / ATTEMPT_FILE, self.trial.attempt
        try:
            text = path.read_text() if path.exists() else "0"
            highest = int(text) if text.strip().isdecimal() else 0
            if highest < own:  # the first time, or a lower attempt that started beside us wrote over our number
                write(path, f"{own}\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(self.directory, error) from error
        if highest > own:
            raise AttemptError(
                ExitCode.FENCED, f"attempt {highest} of trial {self.trial.trial} has started; attempt {own} is void"
            )

    def finished_report(self) -> Report | None:
        """The report that an earlier attempt of this trial left, with this attempt's number; None where there is none.

        Raises:
            AttemptError: CHECKPOINT_UNUSABLE, where the file cannot be read.
        """
        if self.directory is None:
            return None
        path = self.directory / REPORT_FILE
        try:
            text = path.read_text(errors="replace") if path.exists() else None
        except OSError as error:
            raise _unusable(self.directory, error) from error
        if text is None:
            return None
        try:
            report = Report.read(text)
        except ContractError as error:
            # It is written atomically, so only a damaged disk does this; the checkpoint beside it may still be good.
            print(f"{path} passed over: {error}", file=sys.stderr, flush=True)
            return None
        if report.trial_uid != self.trial.trial_uid:
            return None
        return report.model_copy(update={"attempt": self.trial.attempt})

    # --- the end that comes from inside ---

    def report(self, **fields: Any) -> Report:
        """A report of this attempt; `fields` are those of `Report` but trial UID and attempt."""
        return Report(trial_uid=self.trial.trial_uid, attempt=self.trial.attempt, **fields)

    def record(self, report: Report) -> None:
        """First report.json, fsynced, where there is a checkpoint directory; then the termination message.

        Raises:
            AttemptError: FENCED, CHECKPOINT_UNUSABLE, or PROGRAM_ERROR where there is no termination file to write.
        """
        self.check_fence()
        if self.directory is not None:
            try:
                write_atomically(self.directory / REPORT_FILE, report.to_message(), self.check_fence)
            except OSError as error:
                self.check_fence()  # a higher attempt tidies up, also what this one was writing
                raise _unusable(self.directory, error) from error
        _terminate(Path(self.trial.termination_file), report.to_message())

    def fail(self, exit_code: int, message: str) -> int:
        """Writes the failure report and returns the exit code, for `sys.exit`."""
        return _fail(Path(self.trial.termination_file), exit_code, message)


def run(program: Callable[[Attempt], Report], trial_file: Path | None = None) -> int:
    """Runs one attempt from trial file to termination message and returns its exit code.

    `program` raises AttemptError for every end that it knows; anything else that it raises is a PROGRAM_ERROR, which may
    pass. `run` itself catches SIGTERM, gives an existing report again, and records the new one.
    """
    try:
        attempt = Attempt(_read_trial_file(trial_file))
    except AttemptError as error:
        return _fail(Path(TERMINATION_PATH), error.exit_code, str(error))
    attempt.catch_sigterm()
    try:
        attempt._open_directory()
        attempt.record(attempt.finished_report() or program(attempt))
    except AttemptError as error:
        return attempt.fail(error.exit_code, str(error))
    except Exception as error:
        traceback.print_exc()
        return attempt.fail(ExitCode.PROGRAM_ERROR, f"{type(error).__name__}: {error}")
    return ExitCode.OK


def write_atomically(path: Path, data: str | bytes, may_replace: Callable[[], object] = lambda: None) -> None:
    """Writes a file that is there whole or not at all, even after a power cut: a temporary file, fsync, rename, fsync.

    `may_replace` is called between the two and raises where the file must stay as it is: a write to a lost volume can return
    after an hour. Whatever goes wrong, the temporary file does not stay: a full disk must not stay full because of it.
    """
    # Host and process: two attempts on one volume are both process 1 of their containers.
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        may_replace()
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the error above is the one to tell
            temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_making_room(path: Path, text: str) -> None:
    """For the first write of an attempt."""
    try:
        write_atomically(path, text)
    except OSError:
        # Full, perhaps of what attempts that were killed were writing. Only then, only now that no higher one has started (a
        # lower one that still writes is void), and only before this one writes anything itself.
        remove_left_over(path.parent)
        write_atomically(path, text)


def remove_left_over(directory: Path) -> None:
    """Removes what attempts that were killed while they wrote have left."""
    for left_over in directory.glob(".*.tmp"):
        left_over.unlink(missing_ok=True)


def _read_trial_file(trial_file: Path | None) -> TrialFile:
    if trial_file is None:
        name = os.environ.get(TRIAL_FILE_VARIABLE)
        if not name:
            raise AttemptError(
                ExitCode.CONTRACT_BROKEN,
                f"the environment variable {TRIAL_FILE_VARIABLE} is not set; it names the JSON file that says what to do",
            )
        trial_file = Path(name)
    try:
        return TrialFile.read(trial_file.read_text())
    except OSError as error:
        raise AttemptError(ExitCode.CONTRACT_BROKEN, f"trial file {trial_file}: {error.strerror}") from error
    except (ContractError, UnicodeDecodeError) as error:
        raise AttemptError(ExitCode.CONTRACT_BROKEN, f"{trial_file}: {error}") from error


def _unusable(directory: Path, error: Exception) -> AttemptError:
    return AttemptError(
        ExitCode.CHECKPOINT_UNUSABLE,
        f"checkpoint directory {directory}: {error}; the claim of spec.checkpoints must be writable by the pod's group",
    )


def _terminate(path: Path, text: str) -> None:
    """Writes the termination message in place: the kubelet mounted this very file."""
    try:
        with path.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise AttemptError(ExitCode.PROGRAM_ERROR, f"termination file {path}: {error.strerror}") from error


def _fail(termination_file: Path, exit_code: int, message: str) -> int:
    code = ExitCode(exit_code)
    print(f"{code.name} ({code.value}): {message}", file=sys.stderr, flush=True)
    if termination_file == Path(TERMINATION_PATH) and not termination_file.exists():
        return code  # no container, so nobody reads it, and /dev is no place for a new file
    try:
        _terminate(termination_file, FailureReport(reason=REASON_OF_EXIT_CODE[code], message=message).to_message())
    except AttemptError as error:
        print(error, file=sys.stderr, flush=True)
    return code
