"""SIGTERM ends an attempt: after the current step and a checkpoint where there is something to save, else at once.

A thread waits for the signal, since a Python handler would have to wait for the end of a long step inside torch. Blocked
signals reach it also where the program is process 1 of its container, to which signals with no handler are not delivered.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from bananas_core.contract import ExitCode

STEP_SECONDS: Final = 10.0
"""The longest wait for the end of a step and its checkpoint; a pod has 30 s until SIGKILL, unless its template says less."""
_POLL_SECONDS: Final = 0.02


def hold_signals() -> None:
    """Keeps SIGTERM waiting; called first of all, before other threads are started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


class Interruption:
    """Ends the process on SIGTERM, until `disarm`. `stop` asks the training to end after its step."""

    def __init__(self, stop: Callable[[], object], last_words: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._stop = stop
        self._last_words = last_words
        self._unsaved: Callable[[], bool] = lambda: False
        threading.Thread(target=self._wait, daemon=True).start()

    def wait_while(self, unsaved: Callable[[], bool]) -> None:
        """From here on the process ends by itself while there are steps that no checkpoint has."""
        self._unsaved = unsaved

    def disarm(self) -> None:
        """From here on the attempt is finished rather than interrupted: its result is being written."""
        self._lock.acquire()  # never released

    def _wait(self) -> None:
        signal.sigwait({signal.SIGTERM})
        self._stop()
        end = time.monotonic() + STEP_SECONDS
        while self._unsaved() and not self._lock.locked() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        with self._lock:
            self._last_words()
            os._exit(ExitCode.INTERRUPTED)
