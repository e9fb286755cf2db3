"""`make bench-search`: every strategy on every table with paired fresh seeds. Writes JSON and a table to bench/results/.

    python -m bench.search [--quick] [--minutes N] [--tables a,b] [--out DIR]

Seeds 0 to 99 are for tuning and never used here. A search that breaks ends the program: no seed is ever dropped. What was
observed decides which architecture a search holds; it is judged by the table without noise.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy, StrategyName
from bananas_predictor.lockstep import Trajectory, run_together
from bananas_predictor.strategies import strategy_of
from bananas_predictor.strategies.bananas import BananasStrategy, Tuning
from bananas_predictor.strategies.choosing import ChoosingStrategy
from bench import tables
from bench.statistics import Estimate, holm, paired_p_value, wilson
from bench.tables import BenchTable

FIRST_SEED = 10_000
TRIALS = 150
AT = (10, 50, 100, 150)
CHUNK = 25
"""Searches side by side: enough to fill a program, few enough to report progress."""
TABLES: dict[str, Callable[[], BenchTable]] = {
    "nasbench201": tables.nasbench201,
    "surrogate": tables.surrogate,
    "pool": tables.pool,
    "surrogate with noise": lambda: tables.surrogate(noisy=True),
}
SHARES = {"nasbench201": 1.0, "surrogate": 0.5, "pool": 0.2, "surrogate with noise": 0.2}
"""Of the seeds, for a search of NASBench-101 takes longer."""
SAMPLER = dict.fromkeys(("bananas", "bananas, batches of 10"), "of 30 uniform ones the farthest")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contestant:
    """A strategy and how it is run."""

    name: str
    new: Callable[[], ChoosingStrategy]


def contestants() -> list[Contestant]:
    """Everything that is compared. One configuration for all tables."""
    ten = Tuning(smallest_batch=10, largest_batch=10)
    published: list[StrategyName] = ["bananasPaper", "localSearch", "evolution", "random"]
    return [
        Contestant("bananas", lambda: BananasStrategy(Strategy())),
        Contestant("bananas, batches of 10", lambda: BananasStrategy(Strategy(), ten)),
        *[Contestant(name, lambda name=name: strategy_of(Strategy(name=name))) for name in published],  # type: ignore[misc]
    ]


def measure(table: BenchTable, run: Trajectory) -> dict[str, Floats]:
    """Figures at `AT`, percentage points: what the search holds is the best that it observed."""
    rows = table.rows(run.cells)
    held = np.array([rows[int(np.argmax(run.accuracies[:count]))] for count in AT])
    figures = {
        "regret": 100 * (table.validation.max() - table.validation[held]),
        "holds the best": (table.validation[held] == table.validation.max()).astype(np.float64),
    }
    if table.test is not None:
        figures["test error"] = 100 * (1 - table.test[held])
    return figures


def run_all(table: BenchTable, contestant: Contestant, seeds: int, deadline: float) -> tuple[dict[str, Floats], float]:
    """(n, len(AT)) figures and seconds for a search. Stops early, at a whole chunk, once the time is over."""
    start = perf_counter()
    found: list[dict[str, Floats]] = []
    for first in range(0, seeds, CHUNK):
        if found and perf_counter() > deadline:
            break
        chosen = range(FIRST_SEED + first, FIRST_SEED + min(first + CHUNK, seeds))
        runs = run_together(table.space, contestant.new, table.look_up, chosen, TRIALS)
        found += [measure(table, run) for run in runs]
        print(f"\r{table.name}: {contestant.name}: {len(found)} of {seeds}", end="", file=sys.stderr, flush=True)
    print(f", {(perf_counter() - start) / len(found):.2f} s each", file=sys.stderr, flush=True)
    return {name: np.array([one[name] for one in found]) for name in found[0]}, (perf_counter() - start) / len(found)


def summarise(name: str, figures: dict[str, Floats], seconds: float) -> dict[str, Any]:
    """The figures of a contestant on a table, the single seeds included."""
    n = len(figures["regret"])
    hits = figures["holds the best"].sum(axis=0).astype(int)
    return {
        "strategy": name,
        "sampler": SAMPLER.get(name, "the original's"),
        "seeds": [FIRST_SEED, FIRST_SEED + n - 1],
        "seconds_per_search": round(seconds, 3),
        **{
            key.replace(" ", "_"): {str(at): asdict(Estimate.of(values[:, i])) for i, at in enumerate(AT)}
            for key, values in figures.items()
            if key != "holds the best"
        },
        "holds_the_best": {
            str(at): {"share": hits[i] / n, "wilson": wilson(int(hits[i]), n)} for i, at in enumerate(AT)
        },
        "per_seed_regret": np.round(figures["regret"], 4).tolist(),
    }


def compare(all_figures: dict[str, dict[str, Floats]]) -> dict[str, Any]:
    """bananas against every other, paired by seed, Holm's correction over all comparisons of the table."""
    p_values: dict[str, float] = {}
    differences: dict[str, float] = {}
    if "bananas" not in all_figures:
        return {}
    own = all_figures["bananas"]["regret"]
    for name, figures in all_figures.items():
        if name.startswith("bananas") and name != "bananasPaper":
            continue
        n = min(len(own), len(figures["regret"]))
        for i, at in enumerate(AT[1:], 1):
            key = f"{name} at {at}"
            differences[key] = float((own[:n, i] - figures["regret"][:n, i]).mean())
            p_values[key] = paired_p_value(own[:n, i], figures["regret"][:n, i])
    corrected = holm(p_values)
    return {key: {"difference": differences[key], "p_holm": corrected[key]} for key in p_values}


def table_text(name: str, rows: list[dict[str, Any]], comparisons: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"## {name}",
        "",
        "| strategy | seeds | "
        + " | ".join(f"regret at {at}" for at in AT)
        + " | holds the best at 100 | at 150 | s |",
    ]
    lines.append("|" + "---|" * (len(AT) + 5))
    for row in rows:
        regrets = [f"{row['regret'][str(at)]['mean']:.3f} ± {row['regret'][str(at)]['error']:.3f}" for at in AT]
        shares = []
        for at in ("100", "150"):
            low, high = row["holds_the_best"][at]["wilson"]
            shares.append(f"{100 * row['holds_the_best'][at]['share']:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        count = row["seeds"][1] - row["seeds"][0] + 1
        lines.append(
            "| "
            + " | ".join([row["strategy"], str(count), *regrets, *shares, f"{row['seconds_per_search']:.2f}"])
            + " |"
        )
    if "test_error" in rows[0]:
        lines += [
            "",
            "| strategy | " + " | ".join(f"test error at {at}" for at in AT) + " |",
            "|" + "---|" * (len(AT) + 1),
        ]
        for row in rows:
            errors = [
                f"{row['test_error'][str(at)]['mean']:.3f} ± {row['test_error'][str(at)]['error']:.3f}" for at in AT
            ]
            lines.append("| " + " | ".join([row["strategy"], *errors]) + " |")
    lines += ["", "`bananas` less each other strategy, same seeds (negative: better), p after Holm's correction:", ""]
    lines += [f"* {key}: {value['difference']:+.3f}, p = {value['p_holm']:.4f}" for key, value in comparisons.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs everything within the time and writes what came out after each table."""
    parser = argparse.ArgumentParser(description="Compares the strategies on the benchmark tables.")
    parser.add_argument("--quick", action="store_true", help="few seeds, at most three minutes")
    parser.add_argument("--minutes", type=float, default=38, help="time for everything")
    parser.add_argument(
        "--seeds", type=int, default=500, help="seeds for a strategy; the paper's recipe takes 3 of 5 of them"
    )
    parser.add_argument("--tables", default=",".join(TABLES), help="which tables")
    parser.add_argument("--strategies", default="", help="which strategies, commas between; unset: all")
    parser.add_argument("--name", default="", help="name of the files; unset: search, or search-quick")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    minutes, seeds = (2.5, 25) if options.quick else (options.minutes, options.seeds)
    start = perf_counter()
    names = options.tables.split(",")
    result: dict[str, Any] = {
        "command": "python -m bench.search " + " ".join(sys.argv[1:]),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "load_at_start": os.getloadavg(),
        "versions": {name: version(name) for name in ("bananas-predictor", "numpy", "torch")},
        "bananas": {"settings": Strategy().to_kubernetes(), "tuning": asdict(Tuning())},
        "tables": {},
    }
    texts = [f"# Search benchmark\n\n`{result['command']}`, {result['machine']['processor']}, one thread.\n"]
    for name in names:
        table = TABLES[name]()
        figures, rows = {}, []
        everyone = [one for one in contestants() if not options.strategies or one.name in options.strategies.split(",")]
        for contestant in everyone:
            count = round(seeds * SHARES[name] * (0.6 if contestant.name == "bananasPaper" else 1))
            deadline = start + 60 * minutes
            figures[contestant.name], seconds = run_all(table, contestant, max(CHUNK, count), deadline)
            rows.append(summarise(contestant.name, figures[contestant.name], seconds))
        comparisons = compare(figures)
        result["tables"][name] = {"strategies": rows, "comparisons": comparisons}
        texts.append(table_text(name, rows, comparisons))
        stem = options.name or ("search-quick" if options.quick else "search")
        result["minutes"] = round((perf_counter() - start) / 60, 1)
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{stem}.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
        (options.out / f"{stem}.md").write_text("\n".join(texts))
    print("\n".join(texts))


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
