"""What the ensemble of `bananas` knows beyond the number of parameters: errors and rank correlations on rows that it has not seen.

    python -m bench.baseline [--out DIR]

Both are fitted on the same n uniformly drawn rows: the ensemble on graph features, and a straight line on log(parameters).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.ensemble import FitJob, fit_ensembles
from bananas_predictor.forecasts import spearman
from bananas_predictor.strategies.bananas import TUNING
from bananas_tables.parameters import nasbench101_parameters, nasbench201_parameters
from bench.machine import processor
from bench.measuring import TABLES
from bench.statistics import Estimate
from bench.tables import BenchTable

Floats = NDArray[np.float64]
SIZES = (20, 100, 500)
REPEATS = 20
TESTED = 1000


def parameters(table: BenchTable, cells: NDArray[np.int8]) -> Floats:
    """(n,) trainable parameters, counted from the graph."""
    counts = []
    for architecture in table.space.unpack(cells):
        if architecture.nasbench101 is not None:
            counts.append(nasbench101_parameters(architecture.nasbench101))
        elif architecture.nasbench201 is not None:
            counts.append(nasbench201_parameters(architecture.nasbench201))
    return np.array(counts, dtype=np.float64)


def measured(table: BenchTable, n: int) -> dict[str, tuple[Floats, Floats]]:
    """(REPEATS,) mean absolute errors in percentage points, and rank correlations, by predictor."""
    jobs, trials = [], []
    for repeat in range(REPEATS):
        rng = np.random.default_rng([repeat, n])
        cells = table.space.sample(2 * (n + TESTED), rng)
        cells = cells[np.sort(np.unique(table.space.keys(cells), return_index=True)[1])[: n + TESTED]]
        accuracies = table.validation[table.rows(cells)]
        jobs.append(FitJob.of(table.space, "graph", cells[:n], accuracies[:n], TUNING.members, (repeat, n)))
        trials.append((cells, accuracies))
    found: dict[str, list[tuple[Floats, Floats]]] = {"bananas": [], "log(parameters)": []}
    for ensemble, (cells, accuracies) in zip(fit_ensembles(jobs), trials, strict=True):
        found["bananas"].append((ensemble.predict(cells[n:]).mean(axis=0), accuracies[n:]))
        logarithms = np.log(parameters(table, cells))
        line = np.polynomial.Polynomial.fit(logarithms[:n], accuracies[:n], 1)
        found["log(parameters)"].append((line(logarithms[n:]), accuracies[n:]))
    return {
        name: (
            np.array([100 * np.abs(told - true).mean() for told, true in pairs]),
            np.array([spearman(told, true) or 0.0 for told, true in pairs]),
        )
        for name, pairs in found.items()
    }


def main() -> None:
    """Measures, and writes a table."""
    parser = argparse.ArgumentParser(description="The predictor beside the number of parameters.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = [
        f"# The predictor beside log(parameters)\n\n`python -m bench.baseline {' '.join(sys.argv[1:])}`, {processor()}, "
        f"{REPEATS} repeats, seeds from 0, tested on {TESTED} other rows.\n",
        "| table | trained on | predictor | mean absolute error, points | rank correlation |",
        "|---|---|---|---|---|",
    ]
    for name in ("nasbench201", "pool"):
        table = TABLES[name]()
        for n in SIZES:
            for predictor, (errors, correlations) in measured(table, n).items():
                error, correlation = Estimate.of(errors), Estimate.of(correlations)
                lines.append(
                    f"| {name} | {n} | {predictor} | {error.mean:.3f} ± {error.error:.3f} "
                    f"| {correlation.mean:.3f} ± {correlation.error:.3f} |"
                )
    (options.out / "baseline.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
