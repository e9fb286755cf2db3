"""Many searches of a benchmark table side by side, their predictors fitted in one program. Called by the benchmarks.

What each search proposes is what `Search` and the loop would propose (a test compares them); only the fits share a program,
and architectures stay arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.history import History
from bananas_predictor.spaces import Cells, SearchSpace
from bananas_predictor.strategies.choosing import ChoosingStrategy

LookUp = Callable[[Cells, Sequence[int]], NDArray[np.float64]]
"""(n,) validation accuracies of (n, ...) cells, each asked for by the search of a seed."""


@dataclass(frozen=True)
class Trajectory:
    """What a search tried, in order."""

    seed: int
    cells: Cells
    """(n, ...)"""
    accuracies: NDArray[np.float64]
    """(n,) as observed."""


def run_together(
    space: SearchSpace,
    new_strategy: Callable[[], ChoosingStrategy],
    look_up: LookUp,
    seeds: Sequence[int],
    trials: int,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Trajectory]:
    """A search of `trials` architectures for each seed; `progress` is told of trials done, over all seeds."""
    strategies = [new_strategy() for _ in seeds]
    histories = [
        History.of(
            space=space,
            seed=seed,
            indices=[],
            cells=space.pack([]),
            phases=[],
            accuracies=[],
            parents=[],
            may_repeat=True,
        )
        for seed in seeds
    ]
    going = list(range(len(seeds)))
    while going:
        _fit_together([strategies[run] for run in going], [histories[run] for run in going])
        for run in going:
            histories[run] = _propose(strategies[run], histories[run], trials)
        asked = [(run, row) for run in going for row in np.flatnonzero(histories[run].is_open)]
        found = look_up(np.stack([histories[run].cells[row] for run, row in asked]), [seeds[run] for run, _ in asked])
        for (run, row), accuracy in zip(asked, found.tolist(), strict=True):
            histories[run].accuracies[row] = accuracy  # an array of its own since `_propose`
        for run in going:
            histories[run] = replace(histories[run], is_open=np.zeros(len(histories[run].cells), dtype=np.bool_))
        counts = [len(history.cells) for history in histories]
        going = [run for run in going if counts[run] < trials]
        progress(sum(counts))
    return [Trajectory(seed, history.cells, history.accuracies) for seed, history in zip(seeds, histories, strict=True)]


def _fit_together(strategies: Sequence[ChoosingStrategy], histories: Sequence[History]) -> None:
    together = getattr(type(strategies[0]), "fit_together", None)
    if together is not None:
        together(strategies, histories)


def _propose(strategy: ChoosingStrategy, history: History, trials: int) -> History:
    """After the next batch."""
    for _ in range(min(strategy.batch_size(history), trials - len(history.cells))):
        rng = np.random.default_rng(np.random.SeedSequence([history.seed, history.next_index]))
        choice = strategy.choose(history, rng)
        if choice is None:
            raise ValueError(f"seed {history.seed}: nothing left after {len(history.cells)} architectures")
        history = history.with_open(choice.cell, choice.origin.parent)
    return history
