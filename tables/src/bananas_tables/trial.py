"""The program of a table trial's container: `python -m bananas_tables.trial`.

It is a trainer like any other (bananas_core.contract) whose training is a look-up that can be made to last: with
`table.secondsPerTrial` it waits, posts progress, keeps the simulated time in the checkpoint directory and ends on SIGTERM,
so that a search on a table goes over the very path of one that trains. It must start in a fraction of a second.
"""

import json
import sys
from pathlib import Path
from typing import Final

from bananas_core.attempt import Attempt, run, write_atomically
from bananas_core.contract import ExitCode, Report, TrialFile
from bananas_core.errors import AttemptError
from bananas_tables.errors import TableError
from bananas_tables.loading import load_table

STEPS: Final = 10
"""Progress messages, and times that the simulated time is saved, in a trial."""
ELAPSED_FILE: Final = "elapsed.json"


def look_up(attempt: Attempt) -> Report:
    """Looks the architecture up, lets the simulated time pass, and reports."""
    trial = attempt.trial
    if trial.table is None:
        raise AttemptError(
            ExitCode.CONTRACT_BROKEN, f"trial file of {trial.trial}: table is not set; this program only looks up"
        )
    try:
        table = load_table(trial.architecture.space, _path(trial))
        entry = table.look_up(trial.architecture)
    except TableError as error:
        raise AttemptError(error.exit_code, str(error)) from error
    simulate(attempt, trial.table.seconds_per_trial)
    return attempt.report(
        validation_accuracy=entry.validation_accuracy,
        test_accuracy=entry.test_accuracy,
        parameters=entry.parameters,
        seconds=trial.table.seconds_per_trial if entry.seconds is None else entry.seconds,
        device="table",
        data_digest=f"sha256:{table.digest}",
    )


def simulate(attempt: Attempt, seconds: float) -> None:
    """Waits for what is left of the simulated time, in steps.

    Raises:
        Interrupted: after SIGTERM, with the time so far saved.
        AttemptError: the checkpoint directory cannot be written, or a higher attempt has started.
    """
    step = seconds / STEPS
    elapsed = min(_read_elapsed(attempt), seconds)
    while elapsed < seconds:
        done = int(elapsed / step + 1e-9)
        attempt.progress.post(epoch=done, epochs=STEPS)
        elapsed += attempt.wait(min((done + 1) * step, seconds) - elapsed)
        _write_elapsed(attempt, elapsed)
        attempt.check_stop()


def _path(trial: TrialFile) -> Path | None:
    if trial.table is None or trial.table.file is None:
        return None
    if trial.data_dir is None:
        raise AttemptError(
            ExitCode.CONTRACT_BROKEN,
            f"trial file of {trial.trial}: table.file is {trial.table.file}, but dataDir, where it would lie, is not set",
        )
    directory = Path(trial.data_dir).resolve()
    path = (directory / trial.table.file).resolve()
    if not path.is_relative_to(directory):
        raise AttemptError(
            ExitCode.DATA_MISSING,
            f"table.file {trial.table.file} leaves the data volume; name a file on it, without '..'",
        )
    return path


def _read_elapsed(attempt: Attempt) -> float:
    """Simulated seconds of earlier attempts of this very trial; 0 where none are known."""
    if attempt.directory is None:
        return 0.0
    try:
        saved = json.loads((attempt.directory / ELAPSED_FILE).read_text())
        return max(0.0, float(saved["seconds"])) if saved["trialUid"] == attempt.trial.trial_uid else 0.0
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: the time is simulated anew
        return 0.0


def _write_elapsed(attempt: Attempt, seconds: float) -> None:
    if attempt.directory is None:
        return
    attempt.check_fence()
    text = json.dumps({"trialUid": attempt.trial.trial_uid, "seconds": seconds})
    try:
        write_atomically(attempt.directory / ELAPSED_FILE, text, attempt.check_fence)
    except OSError as error:
        attempt.check_fence()  # a higher attempt tidies up, also what this one was writing
        raise AttemptError(
            ExitCode.CHECKPOINT_UNUSABLE, f"checkpoint directory {attempt.directory}: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(run(look_up))
