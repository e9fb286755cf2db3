"""Where proposals come from: unseen random architectures, and unseen mutants of the best. Called by the strategies."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.history import History
from bananas_predictor.spaces import Cells

PARENTS: Final = 20
"""Best architectures that are mutated. The paper takes one; 20 find better ones (second in order of effect)."""
RANDOM_DRAWS: Final = 2**17
"""Random architectures that are drawn before a space counts as used up: on the 15,625 of NAS-Bench-201 the last unseen
one escapes them once in 4,000 times."""
MUTATION_ROUNDS: Final = 8
"""Rounds of mutants that are drawn while fewer than asked are new; in a nearly used neighbourhood more find nothing."""


@dataclass(frozen=True)
class Candidates:
    """Unseen architectures, each of a parent."""

    cells: Cells
    """(c, ...)"""
    parents: NDArray[np.int64]
    """(c,) index of the trial that was mutated."""


def draw_random(history: History, rng: np.random.Generator) -> Cells | None:
    """A (1, ...) unseen cell, uniformly; None where the space seems used up."""
    drawn, size = 0, 1
    while drawn < RANDOM_DRAWS:
        cells = history.space.sample(size, rng)
        new = np.flatnonzero(history.is_new(cells))
        if len(new):
            return cells[new[:1]]
        drawn += size
        size = min(2 * size, 4096)
    return None


def mutate_best(history: History, count: int, rate: float, rng: np.random.Generator) -> Candidates:
    """Up to `count` unseen mutants of the best architectures with a result, none twice."""
    results = np.flatnonzero(history.has_result)
    # Best first, the older one where they are equal.
    best = results[np.argsort(-history.accuracies[results], kind="stable")][:PARENTS]
    cells, parents = history.cells[:0], np.zeros(0, dtype=np.int64)
    for _ in range(MUTATION_ROUNDS):
        if len(cells) >= count:
            break
        rows = np.resize(best, count)  # the parents in turn
        cells = np.concatenate([cells, history.space.mutate(history.cells[rows], rate, rng)])
        parents = np.concatenate([parents, history.indices[rows]])
        new = history.is_new(cells)
        cells, parents = cells[new], parents[new]
    return Candidates(cells[:count], parents[:count])
