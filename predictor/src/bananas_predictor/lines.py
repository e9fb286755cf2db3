"""JSON lines of `bananas propose`: trials in, proposals out. Parsed here, once, into records."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bananas_core.api.trial import Origin
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, Space, parse_architecture
from bananas_predictor.errors import InputError
from bananas_predictor.search import Proposal, TrialRecord


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("want a number")  # noqa: TRY004 - pydantic turns a ValueError into its own
    return value


def _fraction(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r}; want a fraction from 0 to 1 (a percentage must be divided by 100)")
    return value


class _Line(BaseModel):
    """A trial as a line. Lines of `bananas search` have test_accuracy and seconds, which teach the predictor nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=99_999)]
    architecture: str | dict[str, Any]
    validation_accuracy: Annotated[float | None, BeforeValidator(_fraction)] = None
    failed: bool = False
    repeat: Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=99)] = 0
    origin: Origin | None = None
    hash: str | None = None
    test_accuracy: float | None = None
    seconds: float | None = None


def read_records(space: Space, text: str, source: str) -> tuple[TrialRecord, ...]:
    """Reads lines; empty ones are passed over.

    Raises:
        InputError: naming source, line and field.
    """
    records: dict[int, TrialRecord] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        record = _record(space, line, f"{source}, line {number}")
        if record.index in records:
            raise InputError(
                f"{source}, line {number}: index: {record.index} is there twice; want one line for a trial"
            )
        records[record.index] = record
    return tuple(records.values())


def proposal_line(proposal: Proposal) -> str:
    """A proposal as a line: what `read_records` takes once validation_accuracy is put into it."""
    return json.dumps(
        {
            "index": proposal.index,
            "architecture": proposal.architecture.to_text(),
            "validation_accuracy": None,
            "hash": proposal.architecture.hash(),
            "origin": proposal.origin.to_kubernetes(),
            **({"repeat": proposal.repeat} if proposal.repeat else {}),
        }
    )


def _record(space: Space, line: str, where: str) -> TrialRecord:
    try:
        parsed = _Line.model_validate_json(line)
        architecture = _architecture(space, parsed.architecture)
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from error
    except ArchitectureError as error:
        raise InputError(f"{where}: architecture: {error}") from error
    if architecture.space != space:
        raise InputError(f"{where}: architecture: its space is {architecture.space}; want {space}")
    if parsed.failed and parsed.validation_accuracy is not None:
        raise InputError(f"{where}: failed: true beside a validation_accuracy; want one of them")
    phase = "Failed" if parsed.failed else "Pending" if parsed.validation_accuracy is None else "Succeeded"
    return TrialRecord(
        parsed.index,
        architecture,
        phase,  # type: ignore[arg-type]
        parsed.validation_accuracy,
        parsed.origin,
        parsed.repeat,
    )


def _architecture(space: Space, given: str | dict[str, Any]) -> Architecture:
    if isinstance(given, str):
        return parse_architecture(space, given)
    try:
        return Architecture.model_validate(given)
    except ValidationError as error:
        raise ArchitectureError(_first(error)) from error


def _first(error: ValidationError) -> str:
    """The first field that is wrong, and how."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{field}: {text}" if field else text
