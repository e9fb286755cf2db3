"""One record of the published NASBench-101 files: one training of one cell, as JSON around a protobuf message.

Called by `nasbench101_conversion`. A record is `[hash, epochs, adjacency, operations, metrics]`: adjacency as V * V digits row
by row, operations with commas between, metrics the base64 of a `ModelMetrics` message. The message class is made here from
its description, so that no protoc is needed.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isinf, isqrt
from typing import Any, Final

from bananas_core.spaces.nasbench101 import MAX_VERTICES, OPERATIONS
from bananas_tables.errors import ReaderMissing, TableInvalid
from bananas_tables.tfrecords import EXTRA

EPOCHS: Final = (4, 12, 36, 108)
"""Budgets that cells were trained for; each a training of its own, not a point of one curve."""
METRICS: Final = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
"""What is measured half way and at the end; seconds, then fractions."""

Figures = tuple[float, ...]
"""METRICS half way, then METRICS at the end: eight numbers."""

_HASH: Final = re.compile("[0-9a-f]{32}")
_DIGITS: Final = re.compile("[01]+")
_CODES: Final[dict[str, str]] = {name: str(code) for code, name in enumerate(OPERATIONS)}
_FORM: Final = "[hash, epochs, adjacency, operations, metrics] as JSON"


@dataclass(frozen=True, slots=True)
class Training:
    """What a record says."""

    name: str
    """The cell's hash."""
    epochs: int
    cell: str
    """The cell as text, `adjacency:opcodes`; not yet checked to be one of the space."""
    parameters: int
    figures: Figures


class RecordError(Exception):
    """What is wrong with a record; the caller knows its place."""


def record_parser() -> Callable[[str, int, bytes], Training]:
    """A function of file name, number and content.

    Raises:
        ReaderMissing: protobuf is not installed.
        TableInvalid: of the function, naming record and field.
    """
    message_class, decode_error = _model_metrics()

    def parse(file: str, number: int, content: bytes) -> Training:
        try:
            return _parse(message_class, decode_error, content)
        except RecordError as error:
            raise TableInvalid(f"{file}, record {number}, {error}") from None

    return parse


def _parse(message_class: Any, decode_error: type[Exception], content: bytes) -> Training:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"no JSON ({error}): {content[:60]!r}; want {_FORM}") from None
    match fields:
        case [str(name), int(epochs), str(adjacency), str(operations), str(encoded)]:
            pass
        case _:
            raise RecordError(f"{str(fields)[:80]!r}; want {_FORM}")
    if not _HASH.fullmatch(name):
        raise RecordError(f"hash: {name[:40]!r}; want 32 hexadecimal digits")
    if epochs not in EPOCHS:
        raise RecordError(f"epochs: {epochs}; want {', '.join(map(str, EPOCHS[:-1]))} or {EPOCHS[-1]}")
    try:
        metrics = message_class.FromString(base64.b64decode(encoded, validate=True))
    except (binascii.Error, decode_error) as error:
        raise RecordError(f"metrics: {error}; want a ModelMetrics message in base64") from None
    return Training(name, epochs, _cell(adjacency, operations), _parameters(metrics), _figures(metrics))


def _cell(adjacency: str, operations: str) -> str:
    vertices = isqrt(len(adjacency))
    if not 2 <= vertices <= MAX_VERTICES or vertices**2 != len(adjacency) or not _DIGITS.fullmatch(adjacency):
        raise RecordError(
            f"adjacency: {adjacency[:60]!r}; want V * V digits 0 and 1 for V = 2 to {MAX_VERTICES} vertices"
        )
    upper = "".join(adjacency[row * vertices + row + 1 : (row + 1) * vertices] for row in range(vertices))
    if upper.count("1") != adjacency.count("1"):
        raise RecordError(f"adjacency: {adjacency!r}; want edges to later vertices only (an upper triangle)")
    names = operations.split(",")
    if (names[0], names[-1]) != ("input", "output") or len(names) != vertices:
        raise RecordError(
            f"operations: {operations[:120]!r}; want input, {vertices - 2} operations, output for {vertices} vertices"
        )
    try:
        return f"{upper}:{''.join([_CODES[op] for op in names[1:-1]])}"
    except KeyError as error:
        raise RecordError(f"operations: unknown operation {error}; want {', '.join(OPERATIONS)}") from None


def _parameters(metrics: Any) -> int:
    count: int = metrics.trainable_parameters
    if count < 1:
        raise RecordError(f"metrics.trainable_parameters: {count}; want a number from 1")
    return count


def _figures(metrics: Any) -> Figures:
    points = metrics.evaluation_data
    if len(points) != 3:
        raise RecordError(f"metrics.evaluation_data: {len(points)} points; want 3: at the start, half way, at the end")
    return tuple(_figure(points[at], at, metric) for at in (1, 2) for metric in METRICS)


def _figure(point: Any, at: int, metric: str) -> float:
    field = f"metrics.evaluation_data[{at}].{metric}"
    if not point.HasField(metric):
        raise RecordError(f"{field} is missing")
    value: float = getattr(point, metric)
    if metric == "training_time":
        if not value >= 0 or isinf(value):
            raise RecordError(f"{field}: {value}; want seconds from 0")
    elif not 0 <= value <= 1:
        raise RecordError(f"{field}: {value}; want a fraction from 0 to 1 (a percentage must be divided by 100)")
    return value


def _model_metrics() -> tuple[Any, type[Exception]]:
    """The message class, and the exception of a message that is none."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory  # noqa: PLC0415
    except ImportError as error:
        raise ReaderMissing(f"reading NASBench-101 records needs protobuf ({error}): {EXTRA}") from error
    kinds = descriptor_pb2.FieldDescriptorProto
    double, optional, repeated = kinds.TYPE_DOUBLE, kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    point = file.message_type.add(name="EvaluationData")
    for number, name in enumerate(("current_epoch", *METRICS), start=1):
        point.field.add(name=name, number=number, type=double, label=optional)
    point.field.add(name="checkpoint_path", number=6, type=kinds.TYPE_STRING, label=optional)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data",
        number=1,
        type=kinds.TYPE_MESSAGE,
        label=repeated,
        type_name=".nasbench.EvaluationData",
    )
    metrics.field.add(name="trainable_parameters", number=2, type=kinds.TYPE_INT32, label=optional)
    metrics.field.add(name="total_time", number=3, type=double, label=optional)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics")), message.DecodeError
