"""SIGTERM ends an attempt at once: the last epoch is on disk already, so there is nothing to wait for.

A thread waits for the signal, since a Python handler would have to wait for the end of a long step inside torch. Blocked
signals reach it also where the program is process 1 of its container, to which signals with no handler are not delivered.
"""

import os
import signal
import threading
from collections.abc import Callable

from bananas_core.contract import ExitCode


def hold_signals() -> None:
    """Keeps SIGTERM waiting; called first of all, before other threads are started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


class Interruption:
    """Ends the process on SIGTERM, until `disarm`."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._last_words = last_words
        threading.Thread(target=self._wait, daemon=True).start()

    def disarm(self) -> None:
        """From here on the attempt is finished rather than interrupted: its result is being written."""
        self._lock.acquire()  # never released

    def _wait(self) -> None:
        signal.sigwait({signal.SIGTERM})
        with self._lock:
            self._last_words()
            os._exit(ExitCode.INTERRUPTED)
