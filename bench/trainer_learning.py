"""Whether the trainer really learns, and ranks architectures as the tables do: `make bench-trainer PART=learn` and `PART=rank`.

Both train on the lossless CIFAR-10 subset (4,000 and 1,000 images) by the trainer's own code; minutes a network on two cores.
"""

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final

import numpy as np

from bananas_core.api.recipe import Recipe
from bananas_core.spaces.darts import DartsArchitecture, Edge, Operation
from bananas_core.spaces.nasbench201 import Nasbench201Architecture
from bananas_trainer.curve import to_csv
from bananas_trainer.data import read
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.device import choose_device
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.genotypes import NAMED
from bananas_trainer.networks.building import Cell
from bananas_trainer.train import train
from bananas_trainer.training import Result, Task

SEEDS: Final = (0, 1, 2)
MINUTES: Final = 15
ACCURACY: Final = 0.60
CELLS: Final = 12
TABLE: Final = "nasbench201_cifar10.csv"
SMALL: Final = {
    "dataset": "npz",
    "file": "subset.npz",
    "auxiliary": False,
    "cutout": 8,
    "drop_path": 0.0,
    "batch_size": 64,
    "learning_rate": 0.1,
    "weight_decay": 5e-4,
}
LEARN: Final = Recipe.model_validate(
    {**SMALL, "channels": 16, "layers": 5, "epochs": 40, "validation_fraction": 0, "test_at_end": True}
)
RANK: Final = {**SMALL, "cutout": 0, "epochs": 12, "score_epochs": 2, "validation_fraction": 0.2}


def learn(subset: Path, quick: bool) -> dict[str, Any]:
    """A DARTS network on the subset, three seeds, with its curve."""
    recipe = LEARN.model_copy(update={"epochs": 1, "score_epochs": 1, "channels": 2, "layers": 3}) if quick else LEARN
    data = _first(read("npz", subset), 400 if quick else None)
    runs: list[dict[str, Any]] = []
    for seed in SEEDS[: 1 if quick else None]:
        began = time.monotonic()
        result = _train(NAMED["BANANAS"], recipe, data, seed)
        minutes = (time.monotonic() - began) / 60
        assert result.test_accuracy is not None
        print(
            f"seed {seed}: test accuracy {result.test_accuracy:.4f} after {minutes:.1f} minutes\n{to_csv(result.history)}"
        )
        curve = [record.model_dump(by_alias=True) for record in result.history]
        runs.append({"seed": seed, "test_accuracy": result.test_accuracy, "minutes": minutes, "curve": curve})
    accuracy, minutes = mean(run["test_accuracy"] for run in runs), max(run["minutes"] for run in runs)
    return {
        "recipe": recipe.to_kubernetes(),
        "runs": runs,
        "targets": [
            _target("test accuracy, mean of the seeds", accuracy, accuracy >= ACCURACY, f">= {ACCURACY}"),
            _target("minutes of the slowest seed", minutes, minutes <= MINUTES, f"<= {MINUTES}"),
        ],
    }


def rank(subset: Path, quick: bool) -> dict[str, Any]:
    """Cells of the table at its quantiles, and DARTS genotypes whose order is beyond doubt."""
    data = _first(read("npz", subset), 400 if quick else None)
    changes = {"epochs": 1, "score_epochs": 1} if quick else {}
    cells = _quantiles(subset.parent / TABLE, 3 if quick else CELLS)
    small = {**RANK, **changes, "channels": 4 if quick else 16, "layers": 3}
    trained = [_accuracy(cell, small, data) for cell, _ in cells]
    correlation = spearman(trained, [accuracy for _, accuracy in cells])
    for (cell, accuracy), own in zip(cells, trained, strict=True):
        print(f"{own:.4f}  table {accuracy:.4f}  {cell.to_text()}")
    darts = {**RANK, **changes, "channels": 2 if quick else 12, "layers": 3 if quick else 5}
    order = {name: _accuracy(cell, darts, data) for name, cell in GENOTYPES.items()}
    for name, own in order.items():
        print(f"{own:.4f}  {name}")
    values = list(order.values())
    in_order = values == sorted(values, reverse=True)
    return {
        "recipes": {"nasbench201": small, "darts": darts},
        "nasbench201": [
            {"cell": cell.to_text(), "table": table, "trained": own}
            for (cell, table), own in zip(cells, trained, strict=True)
        ],
        "darts": order,
        "targets": [
            _target("Spearman with the table, cells at quantiles", correlation, correlation >= 0.8, ">= 0.8"),
            _target("DARTS genotypes in the expected order", float(in_order), in_order, "1"),
        ],
    }


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    return [mean(i for i, other in enumerate(sorted(values)) if other == value) for value in values]


def _uniform(op: Operation) -> DartsArchitecture:
    cell = tuple(Edge(op=op, input=e % 2) for e in range(8))
    return DartsArchitecture(normal=cell, reduce=cell)


def _first_node(op: Operation, rest: Operation) -> DartsArchitecture:
    cell = tuple(Edge(op=op if e < 2 else rest, input=e % 2) for e in range(8))
    return DartsArchitecture(normal=cell, reduce=cell)


GENOTYPES: Final = {  # best first; what follows has fewer convolutions, or less that passes
    "BANANAS": NAMED["BANANAS"],
    "two separable convolutions, else skips": _first_node("sep_conv_3x3", "skip_connect"),
    "skips": _uniform("skip_connect"),
    "average pooling": _uniform("avg_pool_3x3"),
    "one node of average pooling, else none": _first_node("avg_pool_3x3", "none"),
    "none": _uniform("none"),
}


def _quantiles(table: Path, n: int) -> list[tuple[Nasbench201Architecture, float]]:
    """(cell, validation accuracy after 200 epochs), from the worst to the best."""
    with table.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["c10_val_200ep"]))
    chosen = [rows[round(i * (len(rows) - 1) / (n - 1))] for i in range(n)]
    return [(Nasbench201Architecture.parse(row["arch"]), float(row["c10_val_200ep"]) / 100) for row in chosen]


def _accuracy(cell: Cell, fields: dict[str, Any], data: Dataset) -> float:
    accuracy = _train(cell, Recipe.model_validate(fields), data, 0).validation_accuracy
    assert accuracy is not None
    return accuracy


def _train(cell: Cell, recipe: Recipe, data: Dataset, seed: int) -> Result:
    def tell(record: EpochRecord) -> None:
        facts = f"loss {record.loss:.3f}  accuracy {record.validation_accuracy or 0:.3f}"
        print(
            f"\r  epoch {record.epoch}/{recipe.epochs}  {facts}  {record.images_per_second:.0f} images/s ",
            end="",
            flush=True,
        )

    result = train(Task(cell, recipe, data, seed, 1, choose_device()), None, tell)
    print("\r", end="")
    return result


def _first(data: Dataset, n: int | None) -> Dataset:
    if n is None:
        return data
    return Dataset(
        data.name, data.x_train[:n], data.y_train[:n], data.x_test[:n], data.y_test[:n], data.classes, data.digest
    )


def _target(name: str, value: float, reached: bool, want: str) -> dict[str, Any]:
    print(f"{name:<58} {value:8.3f}   want {want:<10} {'reached' if reached else 'MISSED'}")
    return {"name": name, "value": value, "want": want, "reached": reached}
