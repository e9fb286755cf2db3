"""The program of a trial's container: `python -m bananas_trainer.pod`. Contract: `bananas_core.contract`.

It has no Kubernetes credentials: the trial comes in a file, the result goes to the checkpoint directory and the
termination message, and the exit code says what became of it.
"""

import sys

from bananas_trainer.interruption import Interruption, hold_signals

hold_signals()  # before the imports below, which take a while, and before any thread

from bananas_core.attempt import Attempt, run  # noqa: E402
from bananas_core.contract import ExitCode, Report  # noqa: E402
from bananas_trainer.attempt import train_attempt  # noqa: E402
from bananas_trainer.log import log_epoch, log_for_machines  # noqa: E402
from bananas_trainer.settings import Settings, share_processors  # noqa: E402


def main() -> int:
    """Runs the attempt and gives its exit code."""
    share_processors()
    log_for_machines()
    return run(_train)


def _train(attempt: Attempt) -> Report:
    interruption = Interruption(
        attempt.stop,
        lambda: attempt.fail(
            ExitCode.INTERRUPTED, "ended by SIGTERM; the next attempt goes on from the last checkpoint"
        ),
    )
    return train_attempt(attempt, [log_epoch], interruption, Settings.from_environment())


if __name__ == "__main__":
    sys.exit(main())
