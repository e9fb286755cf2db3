"""Progress by POST after each epoch. It may be lost: nothing waits for it and nothing fails for it."""

import queue
import threading
from typing import Final

from bananas_core.contract import ProgressMessage, TrialFile
from bananas_trainer.epoch import EpochRecord

_TIMEOUT_SECONDS: Final = 2.0


class ProgressPoster:
    """Posts the newest message in a thread of its own, which dies with the process."""

    def __init__(self, trial: TrialFile) -> None:
        self._trial = trial
        self._epochs = trial.recipe.epochs if trial.recipe is not None else 1
        self._waiting: queue.SimpleQueue[ProgressMessage] = queue.SimpleQueue()
        if trial.progress_url is not None:
            threading.Thread(target=self._post_for_ever, args=(trial.progress_url,), daemon=True).start()

    def tell(self, record: EpochRecord) -> None:
        """Hands over a message; one that has not been sent by the next is left out."""
        message = ProgressMessage(
            namespace=self._trial.namespace,
            trial=self._trial.trial,
            trial_uid=self._trial.trial_uid,
            attempt=self._trial.attempt,
            epoch=record.epoch,
            epochs=self._epochs,
            validation_accuracy=record.validation_accuracy,
        )
        self._waiting.put(message)

    def _post_for_ever(self, url: str) -> None:
        from urllib.request import ProxyHandler, Request, build_opener  # noqa: PLC0415 - not at the start of a trial

        opener = build_opener(ProxyHandler({}))  # the operator is inside the cluster
        while True:
            message = self._waiting.get()
            while not self._waiting.empty():  # only the newest is of interest; nobody else takes from this queue
                message = self._waiting.get()
            body = message.model_dump_json(by_alias=True).encode()
            request = Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - the operator wrote it
            try:
                opener.open(request, timeout=_TIMEOUT_SECONDS).close()
            except (OSError, ValueError):  # refused, timed out, or no URL at all
                continue
