"""Whether the trainer really learns, and ranks architectures as the tables do: `make bench-trainer PART=learn` and `PART=rank`.

Both train on the lossless CIFAR-10 subset (4,000 and 1,000 images) by the trainer's own code; minutes a network on two cores.
What is ranked follows from rules:

*   NAS-Bench-201: the table sorted by validation accuracy after 200 epochs, the rows at the quantiles 0, 1/11, ... 1
*   DARTS: each genotype has something taken away from the one before it: most convolutions, those of the normal cells, all of
    them, three of the four nodes, everything
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final

import numpy as np

from bananas_core.api.recipe import Recipe
from bananas_core.spaces.darts import DartsArchitecture, Edge, Operation
from bananas_core.spaces.nasbench201 import Nasbench201Architecture
from bananas_trainer.curve import to_csv, to_svg
from bananas_trainer.data import read
from bananas_trainer.genotypes import NAMED
from bench.trainer_runs import Run, Runs, first

SEEDS: Final = (0, 1, 2)
MINUTES: Final = 15
ACCURACY: Final = 0.60
CELLS: Final = 12
TABLE: Final = "nasbench201_cifar10.csv"
LEARNER: Final = Nasbench201Architecture.parse(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
"""Dense convolutions of 3 x 3: on a CPU four times as fast for its multiply-adds as the separable ones of DARTS."""
SMALL: Final = {
    "dataset": "npz",
    "file": "subset.npz",
    "auxiliary": False,
    "drop_path": 0.0,
    "batch_size": 32,
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "test_at_end": True,
}
LEARN: Final = Recipe.model_validate(
    {**SMALL, "channels": 16, "layers": 3, "epochs": 20, "cutout": 8, "validation_fraction": 0.1}
)
RANK: Final = {**SMALL, "cutout": 0, "validation_fraction": 0.0, "score_epochs": 1}
RANK_NASBENCH201: Final = Recipe.model_validate({**RANK, "channels": 16, "layers": 3, "epochs": 48})
RANK_DARTS: Final = Recipe.model_validate({**RANK, "channels": 6, "layers": 8, "epochs": 10})
QUICK: Final = {"epochs": 1, "score_epochs": 1, "channels": 2, "layers": 3}


def learn(subset: Path, out: Path, quick: bool) -> dict[str, Any]:
    """A network on the subset, three seeds, with their curves."""
    recipe = LEARN.model_copy(update=QUICK) if quick else LEARN
    trainings = Runs(_file(out, "learn", quick), first(read("npz", subset), 400 if quick else None))
    runs = []
    for seed in SEEDS[: 1 if quick else None]:
        run = trainings.train(LEARNER, recipe, seed)
        print(f"seed {seed}: test accuracy {run.test_accuracy:.4f}, {_times(run)}\n{to_csv(run.curve)}", flush=True)
        if not quick:
            (out / f"trainer-learn-{seed}.svg").write_text(to_svg(run.curve))
        runs.append(run)
    accuracy = mean(run.test_accuracy for run in runs)
    wall, cores = max(run.wall_minutes for run in runs), max(run.cpu_minutes for run in runs) / 2
    return {
        "runs": [run.to_kubernetes() for run in runs],
        "targets": [
            _target("test accuracy, mean of the seeds", accuracy, accuracy >= ACCURACY, f">= {ACCURACY}"),
            _target("minutes of the slowest seed, by the clock", wall, wall <= MINUTES, f"<= {MINUTES}"),
            _target("minutes of the slowest seed, CPU time / 2 cores", cores, cores <= MINUTES, f"<= {MINUTES}"),
        ],
    }


def rank(subset: Path, out: Path, quick: bool) -> dict[str, Any]:
    """Cells of the table at its quantiles, and DARTS genotypes whose order is beyond doubt."""
    trainings = Runs(_file(out, "rank", quick), first(read("npz", subset), 400 if quick else None))
    nasbench201, darts = (r.model_copy(update=QUICK) if quick else r for r in (RANK_NASBENCH201, RANK_DARTS))
    cells = _quantiles(subset.parent / TABLE, 3 if quick else CELLS)
    found = []
    for cell, table in cells:
        run = trainings.train(cell, nasbench201, 0)
        print(f"{run.test_accuracy:.4f}  table {table:.4f}  {_times(run)}  {cell.to_text()}", flush=True)
        found.append(run)
    correlation = spearman([run.test_accuracy for run in found], [table for _, table in cells])
    order = []
    for name, genotype in GENOTYPES.items():
        run = trainings.train(genotype, darts, 0)
        print(f"{run.test_accuracy:.4f}  {_times(run)}  {name}", flush=True)
        order.append(run)
    values = [run.test_accuracy for run in order]
    in_order = values == sorted(values, reverse=True)
    return {
        "nasbench201": [{"table": table, **run.to_kubernetes()} for (_, table), run in zip(cells, found, strict=True)],
        "darts": [{"name": name, **run.to_kubernetes()} for name, run in zip(GENOTYPES, order, strict=True)],
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


def _cell(first_node: Operation, rest: Operation) -> tuple[Edge, ...]:
    """Every node reads the two cells before; one node may do something else than the other three."""
    return tuple(Edge(op=first_node if edge < 2 else rest, input=edge % 2) for edge in range(8))


_ONE_NODE = _cell("sep_conv_3x3", "skip_connect")
_SKIPS = _cell("skip_connect", "skip_connect")
_NARROW = _cell("skip_connect", "none")
_NONE = _cell("none", "none")

GENOTYPES: Final = {  # best first
    "BANANAS": NAMED["BANANAS"],
    "separable convolutions in one node, else skips": DartsArchitecture(normal=_ONE_NODE, reduce=_ONE_NODE),
    "the same in the reduction cells only": DartsArchitecture(normal=_SKIPS, reduce=_ONE_NODE),
    "skips": DartsArchitecture(normal=_SKIPS, reduce=_SKIPS),
    "skips in one node, else none": DartsArchitecture(normal=_NARROW, reduce=_NARROW),
    "none": DartsArchitecture(normal=_NONE, reduce=_NONE),
}


def _quantiles(table: Path, n: int) -> list[tuple[Nasbench201Architecture, float]]:
    """(cell, validation accuracy after 200 epochs), from the worst to the best."""
    with table.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["c10_val_200ep"]))
    chosen = [rows[round(i * (len(rows) - 1) / (n - 1))] for i in range(n)]
    return [(Nasbench201Architecture.parse(row["arch"]), float(row["c10_val_200ep"]) / 100) for row in chosen]


def _file(out: Path, part: str, quick: bool) -> Path:
    file = out / f"trainer-{part}{'-quick' if quick else ''}.runs.jsonl"
    if quick:
        file.unlink(missing_ok=True)  # else there would be nothing to try
    return file


def _times(run: Run) -> str:
    return f"{run.wall_minutes:.1f} min by the clock (load {run.load:.0f}), {run.cpu_minutes:.1f} min of CPU"


def _target(name: str, value: float, reached: bool, want: str) -> dict[str, Any]:
    print(f"{name:<58} {value:8.3f}   want {want:<10} {'reached' if reached else 'MISSED'}")
    return {"name": name, "value": value, "want": want, "reached": reached}
