"""A space without the cells whose networks are too large: what `spec.constraints` makes of any space.

It stands in the place of the space, so a strategy never sees a cell that breaks a bound and need not know of bounds: what
is drawn outside is drawn again, a mutant outside stays what its parent is. Made by `Search`. Nothing here loops for ever:
where a bound leaves next to nothing, fewer cells come back than were asked for, and `Search` says that the space is used up.

Notation: n cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Constraints, Encoding
from bananas_core.spaces import Architecture, Space
from bananas_predictor.spaces.costs import PUBLISHED, Costs, NetworkShape
from bananas_predictor.spaces.space import Cells, Features, Keys, SearchSpace

ROUNDS: Final = 8
"""Draws and mutations before a cell outside is led inside."""
STEPS: Final = 60
"""Mutations on the way inside; the smallest networks are about twenty edits away from an average one."""
VAIN_DRAWS: Final = 12
"""Draws in vain, each of more cells than the one before, after which nothing is taken to be inside: a thousand were led."""
WALKERS: Final = 128
"""Cells that are led inside at once, at most: bounds the time where there is nothing inside."""

UNSHAPED: Final = NetworkShape(1, 3)
"""For a space of one's own, which counts what it likes."""

Draw = Callable[[int, np.random.Generator], Cells]
Mutate = Callable[[Cells, np.random.Generator], Cells]


@dataclass
class _Least:
    """The smallest network seen, for a person who has asked for smaller ones."""

    parameters: int | None = None
    multiply_adds: int | None = None
    vain: int = 0
    """Draws in a row that found nothing inside, not even by being led there."""

    def note(self, costs: Costs) -> None:
        if len(costs.parameters):
            p, m = int(costs.parameters.min()), int(costs.multiply_adds.min())
            self.parameters = p if self.parameters is None else min(self.parameters, p)
            self.multiply_adds = m if self.multiply_adds is None else min(self.multiply_adds, m)


@dataclass(frozen=True)
class Constrained:
    """`SearchSpace`, less what the constraints forbid."""

    space: SearchSpace
    constraints: Constraints
    shape: NetworkShape
    least: _Least = field(default_factory=_Least, compare=False)

    @property
    def name(self) -> Space:
        return self.space.name

    def allows(self, cells: Cells) -> NDArray[np.bool_]:
        """(n,)"""
        return self._excess(cells) <= 0

    def told(self) -> str:
        """What was asked for and what was seen, for a message."""
        bounds = (
            ("maxParameters", self.constraints.max_parameters, self.least.parameters),
            ("maxMultiplyAdds", self.constraints.max_multiply_adds, self.least.multiply_adds),
        )
        return " and ".join(
            f"{name} {bound:,}" + (f" (the smallest seen is {least:,})" if least is not None else "")
            for name, bound, least in bounds
            if bound is not None
        )

    # --- sampling and mutation ---

    def sample(self, count: int, rng: np.random.Generator) -> Cells:
        return self._draw(self.space.sample, lambda cells, rng: self.space.mutate(cells, 1.0, rng), count, rng)

    def mutate(self, cells: Cells, rate: float, rng: np.random.Generator) -> Cells:
        return self._mutate(lambda some, rng: self.space.mutate(some, rate, rng), cells, rng)

    def sample_original(self, count: int, rng: np.random.Generator) -> Cells:
        return self._draw(self.space.sample_original, self.space.mutate_original, count, rng)

    def mutate_original(self, spellings: Cells, rng: np.random.Generator) -> Cells:
        return self._mutate(self.space.mutate_original, spellings, rng)

    def neighbours(self, spelling: Cells, rng: np.random.Generator) -> Cells:
        others = self.space.neighbours(spelling, rng)
        kept: Cells = others[self.allows(others)]
        return kept

    def _draw(self, draw: Draw, mutate: Mutate, count: int, rng: np.random.Generator) -> Cells:
        """Up to `count`: by rejection, so as the space has them; where hardly any is inside, led there by mutations."""
        if self.least.vain >= VAIN_DRAWS:
            return draw(1, rng)[:0]
        cells = draw(count, rng)
        for _ in range(ROUNDS):
            outside = np.flatnonzero(~self.allows(cells))
            if not len(outside):
                return cells
            drawn = draw(len(outside), rng)[: len(outside)]
            cells = np.concatenate([cells[self.allows(cells)], drawn])
        found: Cells = cells[self.allows(cells)]
        if not len(found):
            found = self._lead(mutate, cells[:WALKERS], rng)
        self.least.vain = 0 if len(found) else self.least.vain + 1
        return found

    def _lead(self, mutate: Mutate, cells: Cells, rng: np.random.Generator) -> Cells:
        """Those that mutations which do not make them larger bring inside."""
        excess = self._excess(cells)
        for _ in range(STEPS):
            if not (excess > 0).any():
                break
            mutants = mutate(cells, rng)
            theirs = self._excess(mutants)
            better = (excess > 0) & (theirs <= excess)
            shaped = better.reshape(-1, *[1] * (cells.ndim - 1))
            cells, excess = np.where(shaped, mutants, cells), np.where(better, theirs, excess)
        led: Cells = cells[excess <= 0]
        return led

    def _mutate(self, mutate: Mutate, cells: Cells, rng: np.random.Generator) -> Cells:
        """A mutant inside for each, or the cell itself; a cell that is outside itself is led inside."""
        mutants = mutate(cells, rng)
        for _ in range(ROUNDS):
            outside = np.flatnonzero(~self.allows(mutants))
            if not len(outside):
                return mutants
            mutants = _with(mutants, outside, mutate(cells[outside], rng))
        outside = np.flatnonzero(~self.allows(mutants))
        return _with(mutants, outside, cells[outside])

    def _excess(self, cells: Cells) -> NDArray[np.float64]:
        """(n,) by how much a network exceeds a bound, as a part of the bound; 0 or less is inside."""
        costs = self.costs(cells, self.shape)
        self.least.note(costs)
        excess = np.full(len(cells), -np.inf)
        for cost, bound in (
            (costs.parameters, self.constraints.max_parameters),
            (costs.multiply_adds, self.constraints.max_multiply_adds),
        ):
            if bound is not None:
                excess = np.maximum(excess, cost / bound - 1)
        return excess

    # --- everything else is the space's own ---

    def costs(self, cells: Cells, shape: NetworkShape) -> Costs:
        return self.space.costs(self.space.settle(cells), shape)

    def keys(self, cells: Cells) -> Keys:
        return self.space.keys(cells)

    def functions(self, cells: Cells) -> Keys:
        return self.space.functions(cells)

    def encode(self, cells: Cells, encoding: Encoding) -> Features:
        return self.space.encode(cells, encoding)

    def keys_original(self, spellings: Cells) -> Keys:
        return self.space.keys_original(spellings)

    def settle(self, spellings: Cells) -> Cells:
        return self.space.settle(spellings)

    def spell(self, cells: Cells, rng: np.random.Generator) -> Cells:
        return self.space.spell(cells, rng)

    def pack(self, architectures: Sequence[Architecture]) -> Cells:
        return self.space.pack(architectures)

    def unpack(self, cells: Cells) -> list[Architecture]:
        return self.space.unpack(cells)


def _with(cells: Cells, rows: NDArray[np.intp], others: Cells) -> Cells:
    """With these rows replaced; a custom space's texts may grow, so not in place."""
    if not len(rows):
        return cells
    place = np.arange(len(cells))
    place[rows] = len(cells) + np.arange(len(rows))
    replaced: Cells = np.concatenate([cells, others])[place]
    return replaced


def constrained(space: SearchSpace, constraints: Constraints | None, shape: NetworkShape | None = None) -> SearchSpace:
    """The space within bounds; `shape` is that of the networks, by default the published one of the space.

    Raises:
        InputError: the space does not know what its networks cost.
    """
    if constraints is None:
        return space
    space.costs(space.sample(1, np.random.default_rng(0)), shape or UNSHAPED)
    return Constrained(space, constraints, shape or PUBLISHED.get(space.name, UNSHAPED))
