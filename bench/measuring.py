"""What is measured of a search of a table, and under which conditions. Called by the benchmark programs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_predictor.ensemble import FitJob, fit_ensembles
from bananas_predictor.lockstep import Trajectory
from bananas_predictor.strategies.bananas import TUNING, Tuning
from bench import tables
from bench.tables import BenchTable

Floats = NDArray[np.float64]
FIRST_SEED: Final = 10_000
"""Those below are for tuning."""
TRIALS: Final = 150
AT: Final = (10, 50, 100, 150)
CHUNK: Final = 25
"""Searches side by side: enough to fill a program, few enough to report progress."""
TABLES: Final[dict[str, Callable[[], BenchTable]]] = {
    "nasbench201": tables.nasbench201,
    "surrogate": tables.surrogate,
    "pool": tables.pool,
    "surrogate with noise": lambda: tables.surrogate(noisy=True),
}


def measure(table: BenchTable, run: Trajectory) -> dict[str, Floats]:
    """Figures at `AT`, percentage points: what the search holds is the best that it observed."""
    rows = table.rows(run.cells)
    return judge(table, np.array([rows[int(np.argmax(run.accuracies[:count]))] for count in AT]))


def judge(table: BenchTable, held: NDArray[np.intp]) -> dict[str, Floats]:
    """Figures of the rows that are held at `AT`, by the table without noise."""
    figures = {
        "regret": 100 * (table.validation.max() - table.validation[held]),
        "holds the best": (table.validation[held] == table.validation.max()).astype(np.float64),
    }
    if table.test is not None:
        figures["test error"] = 100 * (1 - table.test[held])
    return figures


def regret_by_mean(table: BenchTable, runs: Sequence[Trajectory]) -> Floats:
    """(runs, len(AT)) percentage points, where a search holds what an ensemble on its results so far takes for the best."""
    held = []
    for count in AT:
        jobs = [
            FitJob.of(
                table.space, "graph", run.cells[:count], run.accuracies[:count], TUNING.members, (run.seed, count, 7)
            )
            for run in runs
        ]
        found = zip(fit_ensembles(jobs), runs, strict=True)
        held.append([int(np.argmax(ensemble.predict(run.cells[:count]).mean(axis=0))) for ensemble, run in found])
    rows = np.array([table.rows(run.cells[[own[i] for own in held]]) for i, run in enumerate(runs)])
    regret: Floats = 100 * (table.validation.max() - table.validation[rows])
    return regret


def configuration_of(settings: Strategy, tuning: Tuning | None) -> str:
    """What decides which architectures a strategy chooses; a setting that is added to the API later does not change it."""
    kept = ("name", "initialTrials", "ensembleSize", "encoding", "acquisition", "candidates", "mutationRate")
    told = {key: value for key, value in settings.to_kubernetes().items() if key in kept}
    return json.dumps([told, {} if tuning is None else asdict(tuning)], separators=(",", ":"))
