"""From the published NAS-Bench-201 files (arXiv 2001.00326, and NATS-Bench, 2009.00437) to a CSV table, once.

Called by `bananas convert-nasbench201`. The files are pickles of nested dictionaries, as `state_dict` of the authors' classes
gave them; nothing in them is called (`plain_pickle`). Three forms:

* one file (`NAS-Bench-201-v1_1-096897.pth`, `NATS-tss-v1_0-3ffb9.pickle.pbz2`): `meta_archs`, the strings; `arch2infos`, by index;
* a folder with a file for each architecture (`NATS-tss-v1_0-3ffb9-simple`): what `arch2infos` has at an index.

At an index, by number of epochs (`less`, `12`; `full`, `200`): `arch_str`; `dataset_seed`, the seeds of each data set;
`all_results`, by (data set, seed): `eval_acc1es` by `SET@EPOCH`, in percent; `params`, in millions; times of each epoch, in
seconds. The mean over the seeds is what the authors' API gives.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import parse_architecture
from bananas_tables.errors import TableInvalid, TableMissing
from bananas_tables.plain_pickle import read_plain_pickle

ARCHITECTURES: Final = 15_625
"""Strings of the whole space."""
DATASETS: Final = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test")),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test")),
    "ImageNet16-120": (("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test")),
}
"""For each data set, training and set of the validation accuracy, and of the test accuracy, as the authors have them: of
CIFAR-10 the former is of a network trained on half of the training images, the latter of one trained on all."""
EPOCHS: Final = {12: ("less", "12"), 200: ("full", "200")}
"""Names of each schedule: in the first file, and in NATS-Bench."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a string."""

    text: str
    validation_accuracy: float
    test_accuracy: float
    parameters: int
    seconds: float | None
    """Of the training, and of one validation: what a search would have waited. None where the file has no times."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A value in the file and its place, so that each error can name it."""

    file: str
    place: str
    value: Any

    def at(self, *keys: Any) -> "_Node":
        """The value of the first of these keys that is there."""
        if not isinstance(self.value, Mapping):
            raise self.error("a dictionary")
        for key in keys:
            if key in self.value:
                return _Node(self.file, f"{self.place}[{key!r}]", self.value[key])
        found = ", ".join(map(str, list(self.value)[:8])) or "nothing"
        names = " or ".join(repr(key) for key in keys)
        raise TableInvalid(f"{self.file}, {self.place}: {names} is missing; found: {found}")

    def error(self, want: str) -> TableInvalid:
        """An error about this value."""
        return TableInvalid(f"{self.file}, {self.place}: {str(self.value)[:80]!r}; want {want}")

    def number(self, lowest: float, highest: float, want: str) -> float:
        """A finite number between two bounds."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise self.error(want)
        return float(value)


def convert(
    published: Path,
    out: Path,
    dataset: str = "cifar10",
    epochs: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Reads a published file or folder and writes a CSV table; how many architectures there are.

    `progress` is told how many are done, and of how many.

    Raises:
        TableMissing: no such file, or the other cannot be written.
        TableInvalid: naming file, place and value; a file that would run code included.
    """
    if dataset not in DATASETS:
        raise TableInvalid(f"data set {dataset!r}: want one of {', '.join(DATASETS)}")
    if epochs not in EPOCHS:
        raise TableInvalid(f"{epochs} epochs: want one of {', '.join(map(str, EPOCHS))}")
    if not out.absolute().parent.is_dir():
        raise TableMissing(f"{out.parent} is no folder; want a file in one that is there")
    rows: dict[str, Row] = {}
    for node, total in _architectures(published, dataset, epochs):
        row = _row(node, dataset, epochs)
        if row.text in rows:
            raise TableInvalid(f"{node.file}, {node.place}: {row.text} was there before; want each architecture once")
        rows[row.text] = row
        if progress is not None:
            progress(len(rows), total)
    if not rows:
        raise TableInvalid(f"{published.name}: no architectures")
    best = max(row.validation_accuracy for row in rows.values())
    if best <= 0.01:
        raise TableInvalid(
            f"{published.name}: the greatest validation accuracy is {best * 100:.4g}; want percent, these look like fractions"
        )
    _write(out, list(rows.values()))
    return len(rows)


class _Reduction:
    """Makes the content of a file small while it is read: of 2 MB that an architecture takes, a row is kept.

    The authors keep the results of each architecture, by schedule, in an OrderedDict; what is put there goes through here.
    """

    def __init__(self, file: str, place: str, dataset: str, epochs: int) -> None:
        self._file, self._place, self._dataset, self._epochs = file, place, dataset, epochs

    def __call__(self, key: Any, value: Any) -> Any:
        if not isinstance(value, dict) or "all_results" not in value:
            return value
        row = None
        if key in EPOCHS[self._epochs]:
            place = self._place.replace("INDEX", str(value.get("arch_index"))) + f"[{key!r}]"
            row = _row_of(_Node(self._file, place, value), self._dataset)
        _empty(value)
        return row


def _empty(value: Any) -> None:
    """Takes out of dictionaries what is in them: the unpickler holds on to each as long as it reads."""
    if isinstance(value, dict):
        for inner in value.values():
            _empty(inner)
        value.clear()


def _architectures(published: Path, dataset: str, epochs: int) -> Iterator[tuple[_Node, int]]:
    """What the files have of each architecture, and how many there are."""
    if published.is_dir():
        paths = sorted(
            p for p in published.iterdir() if p.suffix in (".pbz2", ".pth", ".pickle") and "meta" not in p.name
        )
        for path in paths:
            content = read_plain_pickle(path, _Reduction(path.name, "", dataset, epochs))
            yield _Node(path.name, "", content), len(paths)
        return
    reduction = _Reduction(published.name, "['arch2infos'][INDEX]", dataset, epochs)
    whole = _Node(published.name, "", read_plain_pickle(published, reduction))
    names, infos = whole.at("meta_archs"), whole.at("arch2infos")
    if not isinstance(infos.value, dict) or not isinstance(names.value, list | tuple):
        raise infos.error("a dictionary by index, and meta_archs a list")
    total = len(infos.value)
    for index in sorted(infos.value):
        node = infos.at(index)
        if not isinstance(index, int) or not 0 <= index < len(names.value):
            raise TableInvalid(f"{node.file}, {node.place}: no such index among {len(names.value)} meta_archs")
        yield node, total


def _row(node: _Node, dataset: str, epochs: int) -> Row:
    schedule = node.at(*EPOCHS[epochs])
    return schedule.value if isinstance(schedule.value, Row) else _row_of(schedule, dataset)


def _row_of(schedule: _Node, dataset: str) -> Row:
    arch = schedule.at("arch_str")
    try:
        text = parse_architecture("nasbench201", str(arch.value)).to_text()
    except ArchitectureError as error:
        raise TableInvalid(f"{arch.file}, {arch.place}: {error}") from error
    (trained, chosen), (final, tested) = DATASETS[dataset]
    validations, tests = _results(schedule, trained), _results(schedule, final)
    times = [_seconds(result, chosen) for result in validations]
    known = [seconds for seconds in times if seconds is not None]
    millions = [result.at("params").number(0, 1e6, "a number of parameters in millions") for result in validations]
    return Row(
        text=text,
        validation_accuracy=_mean([_accuracy(result, chosen) for result in validations]),
        test_accuracy=_mean([_accuracy(result, tested) for result in tests]),
        parameters=round(_mean(millions) * 1e6),
        seconds=_mean(known) if len(known) == len(times) else None,
    )


def _results(schedule: _Node, trained: str) -> list[_Node]:
    """The trainings on a data set, one for each seed."""
    seeds = schedule.at("dataset_seed").at(trained)
    if not isinstance(seeds.value, list | tuple | set) or not seeds.value:
        raise seeds.error("a list of at least one seed")
    results = schedule.at("all_results")
    return [results.at((trained, seed)) for seed in sorted(seeds.value)]


def _accuracy(result: _Node, evaluated: str) -> float:
    """After the last epoch, as a fraction."""
    accuracies = result.at("eval_acc1es")
    return accuracies.at(f"{evaluated}@{_epochs(result) - 1}").number(0, 100, "a percentage from 0 to 100") / 100


def _seconds(result: _Node, evaluated: str) -> float | None:
    """Of the training and of one validation, as the authors' API counts what a search costs."""
    if (
        not isinstance(result.value, Mapping)
        or not result.value.get("train_times")
        or not result.value.get("eval_times")
    ):
        return None
    epochs = _epochs(result)
    train, evaluation = result.at("train_times"), result.at("eval_times")
    want = "seconds from 0"
    trained = sum(train.at(epoch).number(0, 1e9, want) for epoch in range(epochs))
    return trained + sum(evaluation.at(f"{evaluated}@{epoch}").number(0, 1e9, want) for epoch in range(epochs)) / epochs


def _epochs(result: _Node) -> int:
    return int(result.at("epochs").number(1, 10_000, "a number of epochs from 1"))


def _mean(values: list[float]) -> float:
    mean = sum(values) / len(values)
    assert isfinite(mean)  # each was checked
    return mean


def _write(out: Path, rows: list[Row]) -> None:
    """Whole or not at all."""
    timed = all(row.seconds is not None for row in rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", "validation_accuracy", "test_accuracy", "parameters", *(["seconds"] if timed else [])])
    for row in rows:
        accuracies = [round(row.validation_accuracy, 8), round(row.test_accuracy, 8)]
        writer.writerow([row.text, *accuracies, row.parameters, *([round(row.seconds or 0, 3)] if timed else [])])
    unfinished = out.with_name(out.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(out)
    except OSError as error:
        raise TableMissing(f"{out}: {error.strerror}; name another file") from error
