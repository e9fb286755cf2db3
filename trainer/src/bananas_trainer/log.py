"""The log of the programs: one JSON object a line on standard output, read by `kubectl logs` and log collectors."""

import json
import sys

from bananas_trainer.epoch import EpochRecord


def log(event: str, **fields: str | float | None) -> None:
    """Writes one line."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def log_epoch(record: EpochRecord) -> None:
    """Writes the line of a trained epoch."""
    log("epoch", **record.model_dump(by_alias=True))
