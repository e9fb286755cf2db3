"""The termination message: how the container tells its result or failure to Kubernetes. Loads nothing heavy."""

import sys
from pathlib import Path

from bananas_core.contract import REASON_OF_EXIT_CODE, ExitCode, FailureReport


def write_message(termination_file: Path, message: str) -> None:
    """Writes the termination message. A place that cannot be written costs the message, never the exit code."""
    try:
        termination_file.write_text(message, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{termination_file}: {error.strerror}; the termination message was: {message}\n")


def write_failure(termination_file: Path, exit_code: ExitCode, message: str) -> None:
    """Writes why the attempt ends, and says it in the log."""
    failure = FailureReport(reason=REASON_OF_EXIT_CODE[exit_code], message=message)
    write_message(termination_file, failure.to_message())
    sys.stderr.write(f"{failure.reason}: {message}\n")
    sys.stderr.flush()
