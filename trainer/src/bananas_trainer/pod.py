"""The program of a trial's container: `python -m bananas_trainer.pod`. Contract: `bananas_core.contract`.

It has no Kubernetes credentials: the trial comes in a file, the result goes to the checkpoint directory and the
termination message, and the exit code says what became of it.
"""

import os
import sys
import traceback
from pathlib import Path

from bananas_trainer.interruption import Interruption, hold_signals

hold_signals()  # before the imports below, which take a while, and before any thread

from bananas_core.contract import (  # noqa: E402
    TERMINATION_PATH,
    TRIAL_FILE_PATH,
    TRIAL_FILE_VARIABLE,
    ExitCode,
    TrialFile,
)
from bananas_core.errors import ContractError  # noqa: E402
from bananas_trainer.attempt import make_report  # noqa: E402
from bananas_trainer.errors import ContractBroken, TrainerError  # noqa: E402
from bananas_trainer.log import log_epoch  # noqa: E402
from bananas_trainer.progress import ProgressPoster  # noqa: E402
from bananas_trainer.termination import write_failure, write_message  # noqa: E402


def main() -> int:
    """Runs the attempt and gives its exit code."""
    termination_file = Path(TERMINATION_PATH)
    try:
        trial = read_trial(Path(os.environ.get(TRIAL_FILE_VARIABLE, TRIAL_FILE_PATH)))
        termination_file = Path(trial.termination_file)
        run(trial, termination_file)
    except TrainerError as error:
        write_failure(termination_file, error.exit_code, str(error))
        return error.exit_code
    except Exception as error:  # the border of the program: whatever it is, the operator is told
        traceback.print_exc()
        write_failure(termination_file, ExitCode.PROGRAM_ERROR, f"{type(error).__name__}: {error}")
        return ExitCode.PROGRAM_ERROR
    return ExitCode.OK


def read_trial(path: Path) -> TrialFile:
    """Reads the trial file.

    Raises:
        ContractBroken: naming the file or the field.
    """
    try:
        return TrialFile.read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractBroken(f"{path}: {error.strerror}; {TRIAL_FILE_VARIABLE} must name the trial file") from error
    except (ContractError, UnicodeDecodeError) as error:
        raise ContractBroken(f"{path}: {error}") from error


def run(trial: TrialFile, termination_file: Path) -> None:
    """Trains the trial, or finds its report, and tells the result."""
    interruption = Interruption(
        lambda: write_failure(
            termination_file,
            ExitCode.INTERRUPTED,
            "ended by SIGTERM; the next attempt goes on after the last whole epoch",
        )
    )
    poster = ProgressPoster(trial)
    report = make_report(trial, [log_epoch, poster.tell], before_result=interruption.disarm)
    write_message(termination_file, report.to_message())


if __name__ == "__main__":
    sys.exit(main())
