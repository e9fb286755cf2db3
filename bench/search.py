"""`make bench-search`: every strategy on every table with paired fresh seeds. Writes JSON lines and a table to bench/results/.

    python -m bench.search [--quick] [--minutes N] [--seeds N] [--tables a,b] [--strategies a,b] [--name NAME] [--resume]

Seeds 0 to 99 are for tuning and never used here. A search that breaks ends the program: no seed is ever dropped. What was observed
decides which architecture a search holds; it is judged by the table without noise. Under noise the best by the model's mean is
given too. With `--resume` what the file holds is not measured again, so that a long measurement can be made in parts.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy, StrategyName
from bananas_predictor.lockstep import run_together
from bananas_predictor.strategies import strategy_of
from bananas_predictor.strategies.bananas import TUNING, BananasStrategy, Tuning
from bananas_predictor.strategies.choosing import ChoosingStrategy
from bench.machine import machine, processor
from bench.measuring import AT, CHUNK, FIRST_SEED, TABLES, TRIALS, configuration_of, measure, regret_by_mean
from bench.pooled import PooledBananas, PooledPaper
from bench.statistics import Estimate, holm, paired_p_value, wilson
from bench.store import Chunk, Store, joined
from bench.tables import BenchTable, PoolSpace

SAMPLER = dict.fromkeys(("bananas", "bananas, batches of 10"), "of 30 uniform ones the farthest")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contestant:
    """A strategy and how it is run."""

    name: str
    settings: Strategy
    tuning: Tuning = TUNING

    @property
    def configuration(self) -> str:
        """Everything that it is."""
        return configuration_of(self.settings, self.tuning if self.settings.name == "bananas" else None)

    def new(self, table: BenchTable) -> ChoosingStrategy:
        """For a search."""
        pooled = isinstance(table.space, PoolSpace)
        match self.settings.name:
            case "bananas":
                return (PooledBananas if pooled else BananasStrategy)(self.settings, self.tuning)
            case "bananasPaper" if pooled:
                return PooledPaper(self.settings)
            case _:
                return strategy_of(self.settings)


def contestants() -> list[Contestant]:
    """Everything that is compared. One configuration for all tables."""
    published: list[StrategyName] = ["bananasPaper", "localSearch", "evolution", "random"]
    return [
        Contestant("bananas", Strategy()),
        Contestant("bananas, batches of 10", Strategy(), replace(TUNING, smallest_batch=10, largest_batch=10)),
        *[Contestant(name, Strategy(name=name)) for name in published],
    ]


def run_all(table: BenchTable, contestant: Contestant, seeds: int, deadline: float, store: Store) -> None:
    """What the store lacks. Stops early, at a whole chunk, once the time is over, but not before the first."""
    for first in range(FIRST_SEED, FIRST_SEED + seeds, CHUNK):
        known = store.of(table.name, contestant.name, contestant.configuration)
        if any(chunk.first_seed <= first < chunk.first_seed + chunk.seeds for chunk in known):
            continue
        if known and perf_counter() > deadline:
            return
        start = perf_counter()
        chosen = range(first, min(first + CHUNK, FIRST_SEED + seeds))
        runs = run_together(table.space, lambda: contestant.new(table), table.look_up, chosen, TRIALS)
        seconds = (perf_counter() - start) / len(runs)
        found = [measure(table, run) for run in runs]
        figures = {key: np.array([one[key] for one in found]) for key in found[0]}
        if table.noisy and contestant.settings.name == "bananas":
            figures["regret by the model's mean"] = regret_by_mean(table, runs)
        store.add(Chunk(table.name, contestant.name, contestant.configuration, first, figures, seconds))
        print(f"{table.name}: {contestant.name}: seeds from {first}, {seconds:.2f} s each", file=sys.stderr, flush=True)


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


def report(store: Store, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What the store holds, as JSON and as Markdown."""
    result: dict[str, Any] = {}
    texts: list[str] = []
    for name in names:
        chunks = {one.name: store.of(name, one.name, one.configuration) for one in contestants()}
        held = {contestant: own for contestant, own in chunks.items() if own}
        if not held:
            continue
        figures = {contestant: joined(own) for contestant, own in held.items()}
        seconds = {
            contestant: sum(chunk.seconds * chunk.seeds for chunk in own) / sum(chunk.seeds for chunk in own)
            for contestant, own in held.items()
        }
        rows = [summarise(contestant, values, seconds[contestant]) for contestant, values in figures.items()]
        comparisons = compare(figures)
        result[name] = {"strategies": rows, "comparisons": comparisons}
        texts.append(table_text(name, rows, comparisons))
    return result, texts


def main() -> None:
    """Runs everything within the time and writes what came out after each table."""
    parser = argparse.ArgumentParser(description="Compares the strategies on the benchmark tables.")
    parser.add_argument("--quick", action="store_true", help="few seeds, at most three minutes")
    parser.add_argument("--minutes", type=float, default=34, help="time after which no further seeds are begun")
    parser.add_argument("--seeds", type=int, default=100, help="seeds for a strategy")
    parser.add_argument("--tables", default=",".join(TABLES), help="which tables")
    parser.add_argument("--strategies", default="", help="which strategies, semicolons between; unset: all")
    parser.add_argument("--name", default="", help="name of the files; unset: search, or search-quick")
    parser.add_argument("--resume", action="store_true", help="go on with the file of that name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    minutes, seeds = (2.0, 3) if options.quick else (options.minutes, options.seeds)
    stem = options.name or ("search-quick" if options.quick else "search")
    start, lines = perf_counter(), options.out / f"{stem}.jsonl"
    if not options.resume:
        lines.unlink(missing_ok=True)
    store = Store(lines)
    names = options.tables.split(",")
    chosen = [one for one in contestants() if not options.strategies or one.name in options.strategies.split(";")]
    about = {
        "command": "python -m bench.search " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "load_at_start": os.getloadavg(),
        "versions": {name: version(name) for name in ("bananas-predictor", "numpy", "torch")},
        "bananas": {"settings": Strategy().to_kubernetes(), "tuning": asdict(TUNING)},
    }
    for number, name in enumerate(names):
        table = TABLES[name]()
        share = start + 60 * minutes * (number + 1) / len(names)
        for first in range(CHUNK, seeds + CHUNK, CHUNK):  # all strategies go on together, so that they stay paired
            for contestant in chosen:
                run_all(table, contestant, min(first, seeds), share, store)
        result, texts = report(store, list(TABLES))
        taken = round((perf_counter() - start) / 60, 1)
        (options.out / f"{stem}.json").write_text(json.dumps({**about, "minutes": taken, "tables": result}) + "\n")
        heading = f"# Search benchmark\n\n`{about['command']}`, {processor()}, one thread.\n"
        (options.out / f"{stem}.md").write_text("\n".join([heading, *texts]))
    print("\n".join(texts))


if __name__ == "__main__":
    main()
