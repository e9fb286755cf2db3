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


class _Line(BaseModel):
    """A trial as a line. Lines of `bananas search` have test_accuracy and seconds, which teach the predictor nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=99_999)]
    architecture: str | Architecture
    validation_accuracy: Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_no_boolean)] = None
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
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from error
    architecture = parsed.architecture
    if isinstance(architecture, str):
        try:
            architecture = parse_architecture(space, architecture)
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
