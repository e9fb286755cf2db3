"""One record of the published files: what it says, and every way in which it can be wrong."""

import json
from typing import Any

import pytest

from bananas_tables.errors import TableInvalid
from bananas_tables.nasbench101_records import record_parser
from tests.tables.published import CELLS, fields, figures, metrics, name_of, record

parse = record_parser()


@pytest.mark.parametrize("cell", CELLS)
def test_a_record_says_which_cell_how_long_and_how_good(cell: str) -> None:
    training = parse("f", 1, record(cell, run=2, epochs=36))
    assert (training.name, training.epochs, training.cell) == (name_of(cell), 36, cell)
    assert training.figures == figures(2, 36)
    assert training.parameters > 1000


def message(at: int = 1, parameters: int = 5, points: int = 3, **changed: float) -> Any:
    made = metrics(figures(0, 108), 108, parameters)
    for name, value in changed.items():
        setattr(made.evaluation_data[at], name, value)
    del made.evaluation_data[points:]
    return made


def without(field: str, at: int) -> Any:
    made = metrics(figures(0, 108), 108, 5)
    made.evaluation_data[at].ClearField(field)
    return made


LINE = "101:0"


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"", ["no JSON", "want [hash, epochs, adjacency, operations, metrics] as JSON"]),
        (b"\xff\xfe\x00", ["no JSON"]),
        (b"[" * 200_000, ["no JSON"]),
        (b"{}", ["want [hash, epochs"]),
        (json.dumps(fields(LINE)[:4]).encode(), ["want [hash, epochs"]),
        (record(LINE, epochs=108, metrics=7), ["want [hash, epochs"]),
        (record(LINE, name="x" * 32), ["hash: 'xxx", "32 hexadecimal digits"]),
        (record(LINE, epochs=108).replace(b" 108,", b" 200,"), ["epochs: 200", "4, 12, 36 or 108"]),
        (record(LINE, adjacency="010001000" + "0"), ["adjacency: '0100010000'", "V * V digits"]),
        (record(LINE, adjacency="010002000"), ["adjacency: '010002000'", "0 and 1"]),
        (record(LINE, adjacency="0" * 64), ["adjacency", "2 to 7 vertices"]),
        (record(LINE, adjacency="010001100"), ["adjacency: '010001100'", "upper triangle"]),
        (record(LINE, operations="input,output"), ["operations: 'input,output'", "1 operations"]),
        (record(LINE, operations="output,maxpool3x3,input"), ["operations", "want input"]),
        (record(LINE, operations="input,conv7x7,output"), ["unknown operation 'conv7x7'", "maxpool3x3"]),
        (record(LINE, metrics="%%%"), ["metrics", "ModelMetrics message in base64"]),
        (record(LINE, metrics="AAAA"), ["metrics", "ModelMetrics message in base64"]),
        (record(LINE, metrics=""), ["metrics.trainable_parameters: 0"]),
        (record(LINE, message=message(parameters=-3)), ["metrics.trainable_parameters: -3", "from 1"]),
        (record(LINE, message=message(points=2)), ["metrics.evaluation_data: 2 points", "want 3"]),
        (record(LINE, message=without("test_accuracy", 2)), ["metrics.evaluation_data[2].test_accuracy is missing"]),
        (record(LINE, message=without("training_time", 1)), ["metrics.evaluation_data[1].training_time is missing"]),
        (
            record(LINE, message=message(2, validation_accuracy=93.2)),
            ["metrics.evaluation_data[2].validation_accuracy: 93.2", "divided by 100"],
        ),
        (record(LINE, message=message(1, train_accuracy=float("nan"))), ["[1].train_accuracy: nan", "0 to 1"]),
        (record(LINE, message=message(1, training_time=float("inf"))), ["[1].training_time: inf", "seconds"]),
        (record(LINE, message=message(1, training_time=-1.0)), ["[1].training_time: -1.0", "seconds"]),
    ],
)
def test_a_wrong_record_is_refused_by_file_number_and_field(content: bytes, want: list[str]) -> None:
    with pytest.raises(TableInvalid) as caught:
        parse("some.tfrecord", 17, content)
    assert [part for part in ["some.tfrecord, record 17, ", *want] if part not in str(caught.value)] == [], caught.value
    assert len(str(caught.value)) < 500
