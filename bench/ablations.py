"""What each part of `bananas` is worth: one factor changed at a time, and some two at a time, on the same seeds.

    python -m bench.ablations [--tables a,b] [--seeds N] [--minutes N] [--quick] [--out DIR]

Goes on with what the results file holds and stops, at a whole chunk, when the time is over. The seeds are those for tuning, from
0 on: nothing is claimed here about how good `bananas` is, only about differences.
"""

import argparse
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_predictor.ensemble import DEFAULT
from bananas_predictor.lockstep import run_together
from bananas_predictor.strategies.bananas import BananasStrategy, Tuning
from bench.machine import processor
from bench.measuring import AT, CHUNK, TABLES, TRIALS, configuration_of, measure
from bench.plotting import Bar, forest
from bench.statistics import holm, paired_p_value
from bench.store import Chunk, Store, joined

Floats = NDArray[np.float64]
SHIPPED = "bananas as shipped"
SURE = 0.05


@dataclass(frozen=True)
class Variant:
    """A configuration and what is different in it."""

    name: str
    settings: Strategy = field(default_factory=Strategy)
    tuning: Tuning = field(default_factory=Tuning)

    @property
    def configuration(self) -> str:
        """Everything that it is."""
        return configuration_of(self.settings, self.tuning)

    def new(self) -> BananasStrategy:
        """For a search."""
        return BananasStrategy(self.settings, self.tuning)


def variants() -> list[Variant]:
    """The shipped one first, then one change each, then two."""
    few = Strategy(candidates=100)
    ten = Tuning(smallest_batch=10, largest_batch=10)
    return [
        Variant(SHIPPED),
        Variant("encoding: all paths", Strategy(encoding="path")),
        Variant("encoding: short paths", Strategy(encoding="truncatedPath")),
        Variant("encoding: adjacency", Strategy(encoding="adjacency")),
        Variant("candidates: 100", few),
        Variant("parents: 1", tuning=Tuning(parents=1)),
        Variant("acquisition: ts", Strategy(acquisition="ts")),
        Variant("acquisition: ucb", Strategy(acquisition="ucb")),
        Variant("acquisition: mean", Strategy(acquisition="mean")),
        Variant("scale of its: 0.5", tuning=Tuning(its_scale=0.5)),
        Variant("scale of its: 2", tuning=Tuning(its_scale=2)),
        Variant("batches: always 10", tuning=ten),
        Variant("duplicates: isomorphic only", tuning=Tuning(duplicates="keys")),
        Variant("start: uniform", tuning=Tuning(start_tries=1)),
        Variant("networks: 3", tuning=Tuning(members=3)),
        Variant("targets: not cut off", tuning=Tuning(ensemble=replace(DEFAULT, winsor=1e6))),
        Variant(
            "short paths × candidates: 100, parents: 1",
            few.model_copy(update={"encoding": "truncatedPath"}),
            Tuning(parents=1),
        ),
        Variant("batches: always 10 × scale: 2", tuning=replace(ten, its_scale=2)),
        Variant("start: uniform × networks: 3", tuning=Tuning(start_tries=1, members=3)),
    ]


def run(store: Store, tables: list[str], seeds: int, deadline: float, chosen: list[Variant]) -> None:
    """Whatever the store lacks, seeds first, so that all variants stay paired."""
    for name in tables:
        table = TABLES[name]()
        for first in range(0, seeds, CHUNK):
            for variant in chosen:
                if store.has(name, variant.name, variant.configuration, first):
                    continue
                if perf_counter() > deadline:
                    return
                start, seeds_here = perf_counter(), range(first, min(first + CHUNK, seeds))
                found = run_together(table.space, variant.new, table.look_up, seeds_here, TRIALS)
                figures = [measure(table, one) for one in found]
                columns = {key: np.array([one[key] for one in figures]) for key in ("regret", "holds the best")}
                seconds = (perf_counter() - start) / len(seeds_here)
                store.add(Chunk(name, variant.name, variant.configuration, first, columns, seconds))
                print(f"{name}: {variant.name}: seeds from {first}, {seconds:.2f} s each", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Effect:
    """A variant less the shipped one."""

    name: str
    seeds: int
    regret: Floats
    """(len(AT),) mean"""
    share: float
    """Of seeds that hold the best at 100."""
    difference: Floats
    error: Floats
    p: Floats


def effects(store: Store, table: str, chosen: list[Variant]) -> list[Effect]:
    """Paired by seed, with Holm's correction over all comparisons of the table."""
    chunks = {one.name: store.of(table, one.name, one.configuration) for one in chosen}
    found = {name: joined(own) for name, own in chunks.items() if own}
    base = found[SHIPPED]["regret"]
    gaps = {name: figures["regret"] - base[: len(figures["regret"])] for name, figures in found.items()}
    corrected = holm(
        {
            f"{name} {i}": paired_p_value(gap[:, i], np.zeros(len(gap)))
            for name, gap in gaps.items()
            if name != SHIPPED
            for i in range(1, len(AT))
        }
    )
    return [
        Effect(
            name=name,
            seeds=len(gap),
            regret=found[name]["regret"].mean(axis=0),
            share=float(found[name]["holds the best"][:, AT.index(100)].mean()),
            difference=gap.mean(axis=0),
            error=gap.std(axis=0, ddof=1) / len(gap) ** 0.5,
            p=np.array([corrected.get(f"{name} {i}", 1.0) for i in range(len(AT))]),
        )
        for name, gap in gaps.items()
    ]


def text(table: str, rows: list[Effect]) -> str:
    """Markdown."""
    lines = [
        f"## {table}",
        "",
        "| variant | seeds | "
        + " | ".join(f"regret at {at}" for at in AT[1:])
        + " | holds the best at 100 | "
        + " | ".join(f"difference at {at}" for at in AT[1:])
        + " |",
        "|" + "---|" * (2 * len(AT) + 1),
    ]
    for row in rows:
        gaps = [
            "" if row.name == SHIPPED else f"{gap:+.3f} ± {error:.3f}{' *' if p < SURE else ''}"
            for gap, error, p in zip(row.difference[1:], row.error[1:], row.p[1:], strict=True)
        ]
        regrets = [f"{value:.3f}" for value in row.regret[1:]]
        lines.append("| " + " | ".join([row.name, str(row.seeds), *regrets, f"{100 * row.share:.0f} %", *gaps]) + " |")
    return "\n".join([*lines, "", "\\* p < 0.05 after Holm's correction over the comparisons of this table.", ""])


def main() -> None:
    """Measures what is missing, and writes a table and a plot of what is there."""
    parser = argparse.ArgumentParser(description="Ablations of bananas.")
    parser.add_argument("--tables", default="nasbench201,surrogate with noise")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument(
        "--quick", action="store_true", help="five seeds, three variants, one table, in files of their own"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    tables, chosen = options.tables.split(","), variants()
    if options.quick:
        tables, chosen = tables[:1], chosen[:3]
    stem = "ablations-quick" if options.quick else "ablations"
    if options.quick:
        (options.out / f"{stem}.jsonl").unlink(missing_ok=True)
    store = Store(options.out / f"{stem}.jsonl")
    deadline = perf_counter() + 60 * options.minutes
    run(store, tables, 5 if options.quick else options.seeds, deadline, chosen)
    texts = [f"# Ablations\n\n`python -m bench.ablations {' '.join(sys.argv[1:])}`, {processor()}, one thread.\n"]
    panels: list[tuple[str, list[Bar]]] = []
    for name in tables:
        if not store.of(name, SHIPPED, chosen[0].configuration):
            continue
        rows = effects(store, name, chosen)
        texts.append(text(name, rows))
        last = AT.index(50)
        panels.append((name, [(r.name, r.difference[last], r.error[last], bool(r.p[last] < SURE)) for r in rows[1:]]))
    (options.out / f"{stem}.md").write_text("\n".join(texts))
    for suffix in ("svg", "png"):
        forest(options.out / f"{stem}.{suffix}", panels, "regret at 50 less that of bananas")
    print("\n".join(texts))


if __name__ == "__main__":
    main()
