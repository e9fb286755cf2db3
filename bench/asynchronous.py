"""Eight evaluations in flight, each refilled as soon as it ends, as on a cluster; beside batches of ten on the same seeds.

    python -m bench.asynchronous [--seeds N] [--tables a,b] [--durations a,b] [--minutes N] [--quick]

Time is simulated; its unit is the median evaluation. An evaluation takes 1 (equal), a draw from a lognormal distribution of median
1 and deviation 0.5 of its logarithm, or as long as the network has parameters. A batch of ten runs on eight slots, too, and its
successor waits for the last of it. A proposal itself takes no time. Goes on with what the results file holds.
"""

import argparse
import heapq
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Strategy
from bananas_predictor.history import History
from bananas_predictor.strategies.bananas import TUNING, BananasStrategy, Tuning
from bananas_tables.parameters import nasbench101_parameters, nasbench201_parameters
from bench.machine import processor
from bench.measuring import FIRST_SEED, TABLES
from bench.plotting import curves
from bench.statistics import Estimate, paired_p_value
from bench.store import Chunk, Store, joined
from bench.tables import BenchTable

SLOTS: Final = 8
TRIALS: Final = 150
AT: Final = (50, 100, 150)
CHUNK: Final = 25
TIMES: Final = np.linspace(1, 30, 59)
"""Where regret over time is told."""
Durations = Literal["equal", "lognormal", "parameters"]
Mode = Literal["8 in flight", "batches of 10"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
Floats = NDArray[np.float64]


class Simulation:
    """A search and the clock of its evaluations."""

    def __init__(self, table: BenchTable, seed: int, durations: Durations, mode: Mode) -> None:
        """At time 0, with nothing asked for."""
        whole = replace(TUNING, smallest_batch=10, largest_batch=10)
        self.strategy: Final = BananasStrategy(Strategy(), Tuning() if mode == "8 in flight" else whole)
        self.history = History.of(
            space=table.space, seed=seed, indices=[], cells=table.space.pack([]), phases=[], accuracies=[], parents=[]
        )
        self.ended: list[tuple[float, float]] = []
        """When, and the accuracy."""
        self._table, self._durations, self._mode, self._seed = table, durations, mode, seed
        self._clock = np.random.default_rng([seed, 9])
        self._now = 0.0
        self._waiting: list[int] = []
        self._flying: list[tuple[float, int]] = []

    def fill(self) -> None:
        """Gives every free slot something to do."""
        while True:
            if not self._waiting:
                self._propose()
            if not self._waiting or len(self._flying) == SLOTS:
                return
            row = self._waiting.pop(0)
            heapq.heappush(self._flying, (self._now + self._length(row), row))

    def advance(self) -> None:
        """To when the next evaluations end: all those that end at that moment."""
        self._now = self._flying[0][0]
        rows = []
        while self._flying and self._flying[0][0] <= self._now:
            rows.append(heapq.heappop(self._flying)[1])
        found = self._table.look_up(self.history.cells[rows], [self._seed] * len(rows))
        accuracies, is_open = self.history.accuracies.copy(), self.history.is_open.copy()
        accuracies[rows], is_open[rows] = found, False
        self.history = replace(self.history, accuracies=accuracies, is_open=is_open)
        self.ended += [(self._now, accuracy) for accuracy in found.tolist()]

    @property
    def is_choosing(self) -> bool:
        """Whether it is about to: only then is a fit worth its time."""
        return self._mode == "8 in flight" or not (self._flying or self._waiting)

    @property
    def is_over(self) -> bool:
        """Whether everything has ended."""
        return len(self.ended) == TRIALS

    def _propose(self) -> None:
        """One architecture for a free slot, or a batch once the last one has ended."""
        count = 1
        if self._mode == "batches of 10":
            count = 0 if self._flying else self.strategy.batch_size(self.history)
        elif len(self._flying) == SLOTS or not self.strategy.is_ready(self.history):
            count = 0
        for _ in range(min(count, TRIALS - self.history.next_index)):
            rng = np.random.default_rng(np.random.SeedSequence([self._seed, self.history.next_index]))
            choice = self.strategy.choose(self.history, rng)
            assert choice is not None  # no space is nearly used up after 150
            self._waiting.append(self.history.next_index)
            self.history = self.history.with_open(choice.cell, choice.origin.parent)

    def _length(self, row: int) -> float:
        match self._durations:
            case "equal":
                return 1.0
            case "lognormal":
                return float(np.exp(0.5 * self._clock.standard_normal()))
            case "parameters":
                return _parameters(self._table, self.history.cells[row : row + 1]) / MEDIAN_PARAMETERS[self._table.name]


MEDIAN_PARAMETERS: Final = {"nasbench201": 0.48e6, "surrogate": 6.0e6}
"""About the middle of the cells that a search tries."""


def _parameters(table: BenchTable, cell: NDArray[np.int8]) -> int:
    (architecture,) = table.space.unpack(cell)
    if architecture.nasbench101 is not None:
        return nasbench101_parameters(architecture.nasbench101)
    assert architecture.nasbench201 is not None
    return nasbench201_parameters(architecture.nasbench201)


def run(table: BenchTable, seeds: Sequence[int], durations: Durations, mode: Mode) -> dict[str, Floats]:
    """(seeds, len(AT)) regret once so many evaluations have ended and (seeds, len(TIMES)) regret at a time. Side by side."""
    searches = [Simulation(table, seed, durations, mode) for seed in seeds]
    going = searches
    while going:
        choosing = [one for one in going if one.is_choosing]
        BananasStrategy.fit_together([one.strategy for one in choosing], [one.history for one in choosing])
        for one in going:
            one.fill()
            one.advance()
        going = [one for one in going if not one.is_over]
    best = table.validation.max()
    by_count = [[best - max(value for _, value in one.ended[:at]) for at in AT] for one in searches]
    by_time = [
        [best - max([value for when, value in one.ended if when <= time], default=np.nan) for time in TIMES]
        for one in searches
    ]
    return {"regret": 100 * np.array(by_count), "over time": 100 * np.array(by_time)}


@dataclass(frozen=True)
class Setting:
    """What is compared."""

    table: str
    durations: Durations
    mode: Mode

    @property
    def name(self) -> str:
        """In the file."""
        return f"{self.mode}, {self.durations}"


def measured(settings: Sequence[Setting], seeds: int, store: Store, deadline: float) -> None:
    """What the store lacks, until the time is over."""
    tables = {name: TABLES[name]() for name in dict.fromkeys(one.table for one in settings)}
    for first in range(FIRST_SEED, FIRST_SEED + seeds, CHUNK):
        for one in settings:
            if store.has(one.table, one.name, "", first) or perf_counter() > deadline:
                continue
            start = perf_counter()
            chosen = range(first, min(first + CHUNK, FIRST_SEED + seeds))
            figures = run(tables[one.table], chosen, one.durations, one.mode)
            seconds = (perf_counter() - start) / len(chosen)
            store.add(Chunk(one.table, one.name, "", first, figures, seconds))
            print(f"{one.table}: {one.name}: seeds from {first}, {seconds:.1f} s each", file=sys.stderr, flush=True)


def report(store: Store, tables: Sequence[str]) -> tuple[list[str], list[tuple[str, Floats, dict[str, Floats]]]]:
    """Lines of a table, and panels of a plot."""
    lines = [
        "| table | durations | mode | seeds | "
        + " | ".join(f"regret at {at}" for at in AT)
        + " | less batches at 150 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    panels: list[tuple[str, Floats, dict[str, Floats]]] = []
    for table in tables:
        for durations in get_args(Durations):
            found = {mode: store.of(table, Setting(table, durations, mode).name, "") for mode in MODES}
            figures = {mode: joined(chunks) for mode, chunks in found.items() if chunks}
            for mode, values in figures.items():
                estimates = [Estimate.of(values["regret"][:, i]) for i in range(len(AT))]
                gap = ""
                if mode == MODES[0] and MODES[1] in figures:
                    own, other = values["regret"][:, -1], figures[MODES[1]]["regret"][:, -1]
                    n = min(len(own), len(other))
                    less = Estimate.of(own[:n] - other[:n])
                    gap = f"{less.mean:+.3f} ± {less.error:.3f}, p = {paired_p_value(own[:n], other[:n]):.2f}"
                cells = [table, durations, mode, str(len(values["regret"]))]
                cells += [f"{e.mean:.3f} ± {e.error:.3f}" for e in estimates]
                lines.append("| " + " | ".join([*cells, gap]) + " |")
            if figures:
                panels.append(
                    (f"{table}, {durations}", TIMES, {str(mode): f["over time"] for mode, f in figures.items()})
                )
    return lines, panels


def main() -> None:
    """Measures, and writes a table and a plot."""
    parser = argparse.ArgumentParser(description="Searches with eight evaluations in flight.")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tables", default="nasbench201,surrogate")
    parser.add_argument("--durations", default=",".join(get_args(Durations)), help="which, commas between")
    parser.add_argument(
        "--quick", action="store_true", help="three seeds of one table and one kind of duration, in files of their own"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    tables = options.tables.split(",")[: 1 if options.quick else None]
    stem = "asynchronous-quick" if options.quick else "asynchronous"
    if options.quick:
        (options.out / f"{stem}.jsonl").unlink(missing_ok=True)
    store = Store(options.out / f"{stem}.jsonl")
    kinds: tuple[Durations, ...] = ("equal",) if options.quick else options.durations.split(",")
    settings = [Setting(table, kind, mode) for table in tables for kind in kinds for mode in MODES]
    measured(settings, 3 if options.quick else options.seeds, store, perf_counter() + 60 * options.minutes)
    lines, panels = report(store, tables)
    command = "python -m bench.asynchronous " + " ".join(sys.argv[1:])
    heading = f"# Asynchronous search\n\n`{command}`, {processor()}, load {os.getloadavg()[0]:.1f}, seeds from {FIRST_SEED}.\n"
    (options.out / f"{stem}.md").write_text("\n".join([heading, *lines]) + "\n")
    for suffix in ("svg", "png"):
        curves(options.out / f"{stem}.{suffix}", panels, "time, in evaluations", "regret, percentage points")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
