"""`make bench-predictor`: what a proposal costs, against the original recipe as a plain torch loop. One thread.

    python -m bench.predictor [--quick] [--out DIR]

Seconds are those of the processor on the one thread: what else runs on the machine does not count. "ask" is the whole of
`Search.ask` after a result: mutants, identities, features, fit, scores. The plain loop is what a port of the original does for its
batch: five networks one after the other, autograd, torch's Adam.
"""

import argparse
import cProfile
import os
import resource
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from pstats import Stats
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from bananas_core.api.search import Strategy
from bananas_core.spaces import Space
from bananas_predictor.ensemble import FitJob, fit_ensembles
from bananas_predictor.search import Search, TrialRecord
from bananas_predictor.spaces import SPACES
from bananas_predictor.strategies.bananas import TUNING
from bench.machine import keep, machine

Seconds = float


def records(space: Space, n: int) -> list[TrialRecord]:
    """n random architectures with some accuracy each, the same for the same architecture."""
    searched = SPACES[space]
    cells = searched.sample(2 * n, np.random.default_rng(0))
    cells = cells[np.sort(np.unique(searched.keys(cells), return_index=True)[1])[:n]]
    features = searched.encode(cells, "graph")
    weights = np.random.default_rng(1).standard_normal(features.shape[1])
    accuracies = 0.9 + 0.03 * np.tanh(features @ weights / features.shape[1] ** 0.5)
    return [
        TrialRecord(i, architecture, "Succeeded", float(accuracy))
        for i, (architecture, accuracy) in enumerate(zip(searched.unpack(cells), accuracies, strict=True))
    ]


def ask(space: Space, n: int, repeats: int) -> Seconds:
    """Median seconds of a whole ask for ten architectures with n results."""
    known = records(space, n)

    def once() -> Callable[[], object]:
        search = Search(space, Strategy(), 0, known)
        return lambda: search.ask(10)

    return _median(once, repeats)


def fit_and_score(space: Space, n: int, repeats: int) -> Seconds:
    """Median seconds to fit on n results and score 1,000 candidates."""
    searched = SPACES[space]
    known = records(space, n)
    cells = searched.pack([record.architecture for record in known])
    accuracies = np.array([record.validation_accuracy for record in known])
    candidates = searched.sample(1000, np.random.default_rng(2))

    def once() -> Callable[[], object]:
        return lambda: fit_ensembles([FitJob.of(searched, "graph", cells, accuracies, TUNING.members, (0, n))])[
            0
        ].predict(candidates)

    return _median(once, repeats)


PARTS = {
    "mutants": ("mutate",),
    "identities": ("functions", "keys"),
    "features": ("encode",),
    "training": ("_train",),
    "scores": ("predict",),
}
"""Functions whose time is a part of an ask; what is called by another part is told there, too."""


def profile(space: Space, n: int) -> dict[str, float]:
    """Shares of an ask with n results, by `PARTS`."""
    known = records(space, n)
    Search(space, Strategy(), 0, known).ask(10)  # warms up
    search = Search(space, Strategy(), 0, known)
    profiler = cProfile.Profile(process_time)
    profiler.runcall(search.ask, 10)
    times = {"all": 0.0, **dict.fromkeys(PARTS, 0.0)}
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = Stats(profiler).stats  # type: ignore[attr-defined]
    outermost = dict.fromkeys(PARTS, 0.0)
    for (file, _, name), (_, _, _, cumulative, _) in stats.items():
        if name == "ask":
            times["all"] = cumulative
        for part, names in PARTS.items():
            if name in names and "bananas_predictor" in file:
                outermost[part] = max(outermost[part], cumulative)
    return {part: seconds / times["all"] for part, seconds in outermost.items()}


def plain_loop(space: Space, n: int) -> Seconds:
    """Seconds of the original recipe in plain torch: 100 mutants, five networks of 10 layers, 150 epochs."""
    searched = SPACES[space]
    known = records(space, n)
    start = process_time()
    cells = searched.pack([record.architecture for record in known])
    rng = np.random.default_rng(0)
    mutants = searched.settle(searched.mutate_original(np.repeat(searched.spell(cells[:1], rng), 100, axis=0), rng))
    x, candidates = (
        torch.from_numpy(searched.encode(some, "truncatedPath").astype(np.float32)) for some in (cells, mutants)
    )
    y = torch.tensor([100 * (1 - (record.validation_accuracy or 0)) for record in known])
    for _ in range(5):
        layers: list[torch.nn.Module] = []
        for inward, outward in zip([x.shape[1], *[20] * 9], [20] * 10, strict=True):
            layers += [torch.nn.Linear(inward, outward), torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(20, 1))
        adam = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.9, 0.99))
        for _ in range(150):
            for rows in torch.randperm(n).split(32):  # type: ignore[no-untyped-call]
                adam.zero_grad()
                (network(x[rows])[:, 0] - y[rows]).abs().mean().backward()
                adam.step()
        with torch.no_grad():
            network(candidates)
    return process_time() - start


def long_search(trials: int) -> tuple[Seconds, float]:
    """Seconds and peak memory, MB, of this process after a search of DARTS with so many trials, asked for in hundreds."""
    search = Search("darts", Strategy(), 0)
    start = perf_counter()
    while len(search.records) < trials:
        proposals = search.ask(10 if not search.records else 100)
        search.tell(
            TrialRecord(p.index, p.architecture, "Succeeded", int(p.architecture.hash()[:6], 16) / 0xFFFFFF, p.origin)
            for p in proposals
        )
    return perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _median(prepare: Callable[[], Callable[[], object]], repeats: int) -> Seconds:
    times = []
    for _ in range(repeats + 1):
        run = prepare()
        start = process_time()
        run()
        times.append(process_time() - start)
    return float(np.median(times[1:]))  # the first warms up


def main() -> None:
    """Measures, and writes JSON and a table."""
    parser = argparse.ArgumentParser(description="Times the predictor.")
    parser.add_argument("--quick", action="store_true", help="without the longest ones")
    parser.add_argument("--sizes", default="100,500,1000", help="numbers of results, commas between")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes, repeats = ([100], 3) if options.quick else ([int(size) for size in options.sizes.split(",")], 5)
    result: dict[str, Any] = {
        "command": "python -m bench.predictor " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "load_at_start": os.getloadavg(),
        "versions": {name: version(name) for name in ("bananas-predictor", "numpy", "torch")},
        "rows": [],
    }
    lines = [
        f"# Predictor benchmark\n\n`{result['command']}`, {result['machine']['processor']}, one thread, "
        f"load {result['load_at_start'][0]:.1f} at the start.\n",
        "| space | results | ask, s | fit and score 1,000, s | original as a plain loop, s | times faster |",
        "|---|---|---|---|---|---|",
    ]
    spaces: tuple[Space, ...] = ("nasbench101", "nasbench201")
    for space in spaces:
        for n in sizes:
            asked, fitted = ask(space, n, repeats), fit_and_score(space, n, repeats)
            plain = plain_loop(space, n)
            result["rows"].append({"space": space, "results": n, "ask": asked, "fit_and_score": fitted, "plain": plain})
            lines.append(f"| {space} | {n} | {asked:.3f} | {fitted:.3f} | {plain:.1f} | {plain / asked:.0f} |")
            print(lines[-1], flush=True)
    asked, fitted = ask("darts", 500, repeats), fit_and_score("darts", 500, repeats)
    result["rows"].append({"space": "darts", "results": 500, "ask": asked, "fit_and_score": fitted})
    lines.append(f"| darts | 500 | {asked:.3f} | {fitted:.3f} | | |")
    lines += ["", "Shares of an ask: " + ", ".join(PARTS), "", "| space | results | " + " | ".join(PARTS) + " |"]
    lines.append("|---|---|" + "---|" * len(PARTS))
    profiled: list[tuple[Space, int]] = [*[(space, max(sizes)) for space in spaces], ("darts", 500)]
    for space, n in profiled:
        shares = profile(space, n)
        result["rows"].append({"space": space, "results": n, "profile": shares})
        lines.append(f"| {space} | {n} | " + " | ".join(f"{100 * share:.0f} %" for share in shares.values()) + " |")
    if not options.quick:
        seconds, megabytes = long_search(5000)
        result["long_search"] = {"trials": 5000, "seconds": seconds, "peak_megabytes": megabytes}
        lines += ["", f"A search of DARTS with 5,000 trials: {seconds:.0f} s, {megabytes:.0f} MB at most."]
    stem = "predictor-quick" if options.quick else "predictor"
    keep(options.out, stem, result, lines)


if __name__ == "__main__":
    main()
