"""The log of the programs: for machines one JSON object a line on standard output; for a person on a terminal warnings, and what
a progress bar does not tell.

Whatever trains calls `log`; only the programs decide, once, where it goes.
"""

import json
import logging
import sys
from typing import Final

from bananas_trainer.epoch import EpochRecord

_LOGGER: Final = logging.getLogger("bananas_trainer")
_FIELDS: Final = "fields"
_NOTICE: Final = (logging.INFO + logging.WARNING) // 2


def log(event: str, **fields: str | float | None) -> None:
    """Tells of an event."""
    _LOGGER.info(event, extra={_FIELDS: fields})


def notice(event: str, **fields: str | float | None) -> None:
    """Tells of an event that a person on a terminal hears of, too."""
    _LOGGER.log(_NOTICE, event, extra={_FIELDS: fields})


def warn(message: str) -> None:
    """Tells of something that a person should look at; the training goes on."""
    _LOGGER.warning("warning", extra={_FIELDS: {"message": message}})


def log_epoch(record: EpochRecord) -> None:
    """Tells of a trained epoch."""
    log("epoch", **record.model_dump(by_alias=True))


def log_for_machines() -> None:
    """From here on the log goes to standard output, one JSON object a line."""
    _set_up(logging.INFO, logging.StreamHandler(sys.stdout), _JsonLine())


def log_for_a_person() -> None:
    """From here on notices and warnings go to standard error as text; a progress bar shows the rest."""
    _set_up(_NOTICE, logging.StreamHandler(sys.stderr), _Text())


def _set_up(level: int, handler: logging.StreamHandler, formatter: logging.Formatter) -> None:  # type: ignore[type-arg]
    handler.setFormatter(formatter)
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"event": record.getMessage(), **record.__dict__.get(_FIELDS, {})})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = record.__dict__.get(_FIELDS, {})
        if record.levelno >= logging.WARNING:
            return f"{record.getMessage()}: {facts.get('message', '')}"
        return f"{record.getMessage()}: " + ", ".join(
            f"{name.replace('_', ' ')} {fact}" for name, fact in facts.items()
        )
