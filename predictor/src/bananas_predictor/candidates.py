"""Where proposals come from: unseen random architectures, and unseen mutants of the best. Called by the strategies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.history import History
from bananas_predictor.spaces import Cells, Keys

RANDOM_DRAWS: Final = 2**17
"""Random architectures that are drawn before a space counts as used up: on the 15,625 of NAS-Bench-201 the last unseen
one escapes them once in 4,000 times."""
MUTATION_ROUNDS: Final = 3
"""Rounds of mutants that are drawn while fewer than asked are new; in a nearly used neighbourhood more find nothing."""
PAPER_ATTEMPTS: Final = 100
PAPER_PARENTS: Final = 5
"""The original mutates the best a hundred times, then the second and so on to the fifth, while fewer than a hundred are new."""

FAR_FROM: Final = 200
"""Newest trials that a start keeps away from: bounds the memory of a search of thousands."""

KeysOf = Callable[[Cells], Keys]


@dataclass(frozen=True)
class Candidates:
    """Unseen architectures, each of a parent."""

    cells: Cells
    """(c, ...)"""
    parents: NDArray[np.int64]
    """(c,) index of the trial that was mutated."""
    keys: Keys
    """(c,) by which they are told apart."""


class KeyMemory:
    """Keys of cells that are asked for again and again: those of the trials."""

    def __init__(self, keys: KeysOf) -> None:
        """That computes them so."""
        self._keys = keys
        self._known: dict[bytes, int] = {}

    def __call__(self, cells: Cells) -> Keys:
        """(n,)"""
        texts = [cell.tobytes() for cell in cells]
        new = [row for row, text in enumerate(texts) if text not in self._known]
        if new:
            self._known.update(zip([texts[row] for row in new], self._keys(cells[new]).tolist(), strict=True))
        return np.array([self._known[text] for text in texts], dtype=np.uint64)


class Spellings:
    """How the original would have kept the trials (see `SearchSpace`): those that are known here, drawn anew for others."""

    def __init__(self) -> None:
        """Of no trial yet."""
        self._known: dict[int, Cells] = {}

    def known(self) -> dict[int, Cells]:
        """The (1, ...) spellings that are known, by the index of the trial."""
        return dict(self._known)

    def note(self, index: int, spelling: Cells) -> None:
        """A (1, ...) spelling of the trial that is about to be proposed."""
        self._known[index] = spelling

    def of(self, history: History, row: int) -> Cells:
        """The (1, ...) spelling of a trial."""
        index, cell = int(history.indices[row]), history.cells[row : row + 1]
        known = self._known.get(index)
        if known is None or (history.space.settle(known) != cell).any():
            rng = np.random.default_rng(np.random.SeedSequence([history.seed, index, 6]))
            known = self._known[index] = history.space.spell(cell, rng)
        return known


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


def draw_original(history: History, rng: np.random.Generator) -> Cells | None:
    """A (1, ...) spelling from the original's sampler that it would take for new; any unseen one where there is none."""
    space = history.space
    seen = set(space.keys_original(history.cells).tolist())
    drawn, size = 0, 1
    while drawn < RANDOM_DRAWS // 16:
        spellings = space.sample_original(size, rng)
        for row, key in enumerate(space.keys_original(spellings).tolist()):
            spelling = spellings[row : row + 1]
            if key not in seen and (history.may_repeat or history.is_new(space.settle(spelling))[0]):
                return spelling
        drawn += size
        size = min(2 * size, 4096)
    cell = draw_random(history, rng)
    return None if cell is None else space.spell(cell, rng)


def draw_far(history: History, tries: int, rng: np.random.Generator) -> Cells | None:
    """Of some random unseen cells the (1, ...) one that is farthest from everything proposed, in graph features."""
    cells = history.space.sample(tries, rng)
    cells = cells[history.is_new(cells)]
    newest = history.cells[-FAR_FROM:]
    if not len(newest) or not len(cells):
        return draw_random(history, rng)
    known, asked = (history.space.encode(some, "graph").astype(np.float64) for some in (newest, cells))
    distances = ((asked[:, None] - known[None]) ** 2).sum(axis=2).min(axis=1)
    farthest = int(np.argmax(distances))
    return cells[farthest : farthest + 1]


def mutate_best(
    history: History, count: int, parents: int, rate: float, keys: KeysOf, tried: Keys, rng: np.random.Generator
) -> Candidates:
    """Up to `count` mutants of the best architectures with a result, no two with equal keys and none with one of `tried`."""
    best = best_first(history)[:parents]
    cells, found, origins = history.cells[:0], tried[:0], np.zeros(0, dtype=np.int64)
    for _ in range(MUTATION_ROUNDS):
        missing = count - len(cells)
        if missing <= count // 10:  # the last few would cost as much as all before
            break
        rows = np.resize(rng.permutation(best), 2 * missing)  # the parents in turn; half of the mutants are not new
        mutants = history.space.mutate(history.cells[rows], rate, rng)
        mutant_keys = keys(mutants)
        new = unseen(mutant_keys, np.concatenate([tried, found]))
        cells, found = np.concatenate([cells, mutants[new]]), np.concatenate([found, mutant_keys[new]])
        origins = np.concatenate([origins, history.indices[rows[new]]])
    return Candidates(cells[:count], origins[:count], found[:count])


def mutate_as_published(history: History, spellings: Spellings, rng: np.random.Generator) -> Candidates:
    """The candidates of the paper's recipe, as spellings: what it takes for new, usually about a hundred."""
    keys = history.space.keys_original
    seen = keys(history.cells[history.has_result])
    cells, origins = history.cells[:0], np.zeros(0, dtype=np.int64)
    for row in best_first(history)[:PAPER_PARENTS]:
        if len(cells) >= PAPER_ATTEMPTS:
            break
        mutants = history.space.mutate_original(np.repeat(spellings.of(history, int(row)), PAPER_ATTEMPTS, axis=0), rng)
        cells = np.concatenate([cells, mutants])
        origins = np.concatenate([origins, np.full(len(mutants), history.indices[row])])
        new = unseen(keys(cells), seen)
        cells, origins = cells[new], origins[new]
    return Candidates(cells, origins, keys(cells))


def unseen(keys: Keys, seen: Keys) -> NDArray[np.bool_]:
    """(c,) the first of each key that is not among the seen."""
    first = np.zeros(len(keys), dtype=np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    new: NDArray[np.bool_] = first & ~np.isin(keys, seen)
    return new


def best_first(history: History) -> NDArray[np.intp]:
    """Rows with a result, the older one first where they are equal."""
    results = np.flatnonzero(history.has_result)
    return results[np.argsort(-history.accuracies[results], kind="stable")]
