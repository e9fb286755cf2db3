"""The report in the checkpoint directory: what a finished trial leaves, and what a later attempt only has to repeat.

Loads nothing heavy.
"""

from bananas_core.contract import REPORT_FILE, Report, TrialFile
from bananas_core.errors import ContractError
from bananas_trainer.directory import TrialDirectory
from bananas_trainer.errors import CheckpointUnusable
from bananas_trainer.log import log


def find_report(directory: TrialDirectory, trial: TrialFile) -> Report | None:
    """The report of an earlier attempt, with this attempt's number; a corrupt one is passed over with a warning.

    Raises:
        CheckpointUnusable: if it is another trial's.
    """
    path = directory.path / REPORT_FILE
    try:
        report = Report.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointUnusable(f"{path}: {error.strerror}; it must be a file that this user may read") from error
    except (ContractError, UnicodeDecodeError) as error:
        log("warning", message=f"{path}: corrupt report passed over ({error})")
        return None
    if report.trial_uid != trial.trial_uid:
        raise CheckpointUnusable(
            f"{path}: belongs to trial {report.trial_uid}, not to {trial.trial_uid}; want a directory of its own"
        )
    return report.model_copy(update={"attempt": trial.attempt})


def write_report(directory: TrialDirectory, report: Report) -> None:
    """Makes the result durable; it must stand before the termination message is written."""
    directory.write(REPORT_FILE, report.to_message().encode())
