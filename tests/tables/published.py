"""Records of the published NASBench-101 files, made by builder: JSON around a protobuf message, as the authors wrote them."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from bananas_core.spaces import parse_architecture
from bananas_core.spaces.nasbench101 import OPERATIONS
from bananas_tables.nasbench101_conversion import _Collected
from bananas_tables.nasbench101_records import record_parser
from bananas_tables.nasbench101_runs import write_runs
from bananas_tables.parameters import nasbench101_parameters
from bananas_tables.tfrecords import import_tensorflow

PROTO = """
name: "published.proto" package: "nasbench" syntax: "proto2"
message_type {
  name: "ModelMetrics"
  field { name: "evaluation_data" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".nasbench.EvaluationData" }
  field { name: "trainable_parameters" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "total_time" number: 3 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
}
message_type {
  name: "EvaluationData"
  field { name: "current_epoch" number: 1 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
  field { name: "training_time" number: 2 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
  field { name: "train_accuracy" number: 3 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
  field { name: "validation_accuracy" number: 4 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
  field { name: "test_accuracy" number: 5 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
  field { name: "checkpoint_path" number: 6 label: LABEL_OPTIONAL type: TYPE_STRING }
}
"""
"""The authors' model_metrics.proto, written down a second time so that a slip in the reader's own is seen."""

_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(text_format.Parse(PROTO, descriptor_pb2.FileDescriptorProto()))
ModelMetrics: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("nasbench.ModelMetrics"))

CELLS = ("1:", "101:0", "101:2", "1100010101:012", "110011:02")
"""Some cells: bare, one operation, three."""


def name_of(cell: str) -> str:
    """The cell's hash."""
    return parse_architecture("nasbench101", cell).hash()


def figures(run: int, epochs: int, validation: float = 0.5) -> tuple[float, ...]:
    """Eight numbers that tell runs and budgets apart and are exact in single precision: half way, then final."""
    seconds, step = float(epochs * 16 + run), run / 64
    return (
        seconds / 2,
        0.25 + step,
        validation / 2 + step,
        0.125 + step,
        seconds,
        0.5,
        validation + step,
        0.375 + step,
    )


def metrics(numbers: tuple[float, ...], epochs: int, parameters: int) -> Any:
    """A message; its first point, before training, is of no use to anybody."""
    message = ModelMetrics(trainable_parameters=parameters, total_time=1e4)
    message.evaluation_data.add(
        current_epoch=0.0, training_time=0.0, train_accuracy=0.1, validation_accuracy=0.1, test_accuracy=0.1
    )
    for at, epoch in ((0, epochs / 2), (4, float(epochs))):
        seconds, train, validation, test = numbers[at : at + 4]
        message.evaluation_data.add(
            current_epoch=epoch,
            training_time=seconds,
            train_accuracy=train,
            validation_accuracy=validation,
            test_accuracy=test,
            checkpoint_path="",
        )
    return message


def fields(cell: str, run: int = 0, epochs: int = 108, *, message: Any = None, **changed: Any) -> list[Any]:
    """The five fields of a record; keyword arguments put another value in the place of a field."""
    upper, _, codes = cell.partition(":")
    digits, vertices = iter(upper), len(codes) + 2
    adjacency = "".join(next(digits) if j > i else "0" for i in range(vertices) for j in range(vertices))
    operations = ",".join(["input", *(OPERATIONS[int(code)] for code in codes), "output"])
    if message is None:
        parsed = parse_architecture("nasbench101", cell).nasbench101
        assert parsed is not None
        message = metrics(figures(run, epochs), epochs, nasbench101_parameters(parsed))
    values = {
        "name": name_of(cell),
        "epochs": epochs,
        "adjacency": adjacency,
        "operations": operations,
        "metrics": base64.b64encode(message.SerializeToString()).decode(),
    }
    return list({**values, **changed}.values())


def record(cell: str, run: int = 0, epochs: int = 108, **changed: Any) -> bytes:
    """A record as bytes."""
    return json.dumps(fields(cell, run, epochs, **changed)).encode()


def whole(budgets: Iterable[int] = (108,)) -> list[bytes]:
    """Every run of every cell with every budget, in the mixed order of the published files."""
    return [record(cell, run, epochs) for run in range(3) for epochs in budgets for cell in CELLS]


def write(path: Path, records: Iterable[bytes]) -> Path:
    """Writes a TFRecord file with tensorflow itself."""
    tf = import_tensorflow()

    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in records:
            writer.write(content)
    return path


def converted(folder: Path, records: list[bytes] | None = None, budgets: Iterable[int] = (4, 108)) -> Path:
    """A converted file, by the converter without its reader of TFRecord files; of all runs unless records are given."""
    parse, collected = record_parser(), _Collected("published.tfrecord")
    for number, content in enumerate(whole(budgets) if records is None else records, start=1):
        collected.add(number, parse("published.tfrecord", number, content))
    path = folder / "table.npz"
    write_runs(path, *collected.sorted())
    return path
