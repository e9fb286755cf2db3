"""Eight evaluations in flight, each refilled as soon as it ends, as on a cluster; against batches of ten on the same seeds.

    python -m bench.asynchronous [--seeds N] [--tables a,b] [--out DIR]

Time is simulated: an evaluation takes 1 (equal) or a draw from a lognormal distribution of median 1 and deviation 0.5 of its
logarithm. Every search fits anew after every result.
"""

import argparse
import heapq
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_predictor.history import History
from bananas_predictor.strategies.bananas import BananasStrategy
from bench.search import FIRST_SEED, TABLES, processor
from bench.statistics import Estimate
from bench.tables import BenchTable

IN_FLIGHT = 8
TRIALS = 150
AT = (50, 100, 150)
Durations = Literal["equal", "lognormal"]


def run(table: BenchTable, seeds: Sequence[int], durations: Durations) -> NDArray[np.float64]:
    """(seeds, len(AT)) regret once so many evaluations have ended. The searches go on in step, one result at a time."""
    strategies = [BananasStrategy(Strategy()) for _ in seeds]
    flying: list[list[tuple[float, int]]] = [[] for _ in seeds]
    histories = [
        History.of(
            space=table.space, seed=seed, indices=[], cells=table.space.pack([]), phases=[], accuracies=[], parents=[]
        )
        for seed in seeds
    ]
    clocks = [np.random.default_rng([seed, 9]) for seed in seeds]
    now, ended = [0.0 for _ in seeds], [[0.0] * 0 for _ in seeds]
    for _ in range(TRIALS):
        BananasStrategy.fit_together(strategies, histories)
        for i, strategy in enumerate(strategies):
            while len(flying[i]) < IN_FLIGHT and histories[i].next_index < TRIALS and strategy.is_ready(histories[i]):
                rng = np.random.default_rng(np.random.SeedSequence([seeds[i], histories[i].next_index]))
                choice = strategy.choose(histories[i], rng)
                assert choice is not None  # no space is nearly used up after 150
                length = 1.0 if durations == "equal" else float(np.exp(0.5 * clocks[i].standard_normal()))
                heapq.heappush(flying[i], (now[i] + length, histories[i].next_index))
                histories[i] = histories[i].with_open(choice.cell, choice.origin.parent)
            now[i], row = heapq.heappop(flying[i])
            accuracy = table.look_up(histories[i].cells[row : row + 1], [seeds[i]])[0]
            accuracies, is_open = histories[i].accuracies.copy(), histories[i].is_open.copy()
            accuracies[row], is_open[row] = accuracy, False
            histories[i] = replace(histories[i], accuracies=accuracies, is_open=is_open)
            ended[i].append(float(accuracy))
    best = 100 * table.validation.max()
    return np.array([[best - 100 * max(values[:at]) for at in AT] for values in ended])


def main() -> None:
    """Measures, and writes JSON and a table."""
    parser = argparse.ArgumentParser(description="Searches with eight evaluations in flight.")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--tables", default="nasbench201,surrogate")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    command = "python -m bench.asynchronous " + " ".join(sys.argv[1:])
    rows: list[dict[str, Any]] = []
    lines = [
        f"# Asynchronous search\n\n`{command}`, {processor()}, load {os.getloadavg()[0]:.1f}, seeds from {FIRST_SEED}.\n",
        "| table | durations | " + " | ".join(f"regret at {at}" for at in AT) + " |",
        "|---|---|---|---|---|",
    ]
    for name in options.tables.split(","):
        table = TABLES[name]()
        kinds: tuple[Durations, ...] = ("equal", "lognormal")
        for durations in kinds:
            regret = run(table, seeds, durations)
            estimates = [Estimate.of(regret[:, i]) for i in range(len(AT))]
            rows.append(
                {
                    "table": name,
                    "durations": durations,
                    "regret": [asdict(e) for e in estimates],
                    "per_seed": regret.tolist(),
                }
            )
            lines.append(
                f"| {name} | {durations} | " + " | ".join(f"{e.mean:.3f} ± {e.error:.3f}" for e in estimates) + " |"
            )
            print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    result = {"command": command, "machine": processor(), "seeds": [seeds[0], seeds[-1]], "rows": rows}
    (options.out / "asynchronous.json").write_text(json.dumps(result) + "\n")
    (options.out / "asynchronous.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
