"""A search space of one's own, as small as one can be: feed-forward networks whose layers have two branches.

An architecture is three layers; a layer is a pair of (units, activation), computed side by side and put one behind the other, so
the order of a pair says nothing. `Branches` is all that a search needs; docs/custom-spaces.md explains each method.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

UNITS = (2, 4, 8, 16)
ACTIVATIONS = ("relu", "tanh", "sine")
LAYERS = 3
INPUTS, CLASSES = 2, 2

Branch = tuple[int, str]
Layer = tuple[Branch, Branch]
Network = tuple[Layer, ...]
BRANCHES: tuple[Branch, ...] = tuple((units, activation) for units in UNITS for activation in ACTIVATIONS)


class Branches:
    """The space: 78 different layers, so 474,552 different networks."""

    def sample(self, rng: np.random.Generator) -> Network:
        """Two branches for each layer, uniformly."""
        return tuple((self._branch(rng), self._branch(rng)) for _ in range(LAYERS))

    def mutate(self, network: Network, rng: np.random.Generator) -> Network:
        """Another branch in one place."""
        layer, side = int(rng.integers(LAYERS)), int(rng.integers(2))
        return _with(network, layer, side, self._branch(rng))

    def neighbours(self, network: Network) -> Iterator[Network]:
        """Every other branch in every place."""
        for layer in range(LAYERS):
            for side in range(2):
                yield from (_with(network, layer, side, branch) for branch in BRANCHES)

    def canonical(self, network: Network) -> Network:
        """The smaller branch first."""
        return tuple((min(layer), max(layer)) for layer in network)

    def features(self, network: Network) -> list[float]:
        """For every layer its units by activation, and their logarithm."""
        numbers: list[float] = []
        for layer in self.canonical(network):
            by_activation = [sum(units for units, kind in layer if kind == wanted) for wanted in ACTIVATIONS]
            numbers += [*by_activation, float(np.log2(sum(units for units, _ in layer)))]
        return numbers

    def to_text(self, network: Network) -> str:
        """As `4relu+16tanh/8sine+8sine/2relu+4relu`."""
        return "/".join("+".join(f"{units}{activation}" for units, activation in layer) for layer in network)

    def from_text(self, text: str) -> Network:
        """Reads `to_text`."""
        layers = [[_parse(branch) for branch in layer.split("+")] for layer in text.split("/")]
        if len(layers) != LAYERS or any(len(layer) != 2 for layer in layers):
            raise ValueError(f"want {LAYERS} layers with / between, each of two branches with + between")
        return tuple((layer[0], layer[1]) for layer in layers)

    def cost(self, network: Network) -> tuple[int, int]:
        """Parameters (weights and biases) and multiply-adds; for spec.constraints."""
        sizes = [INPUTS, *(sum(units for units, _ in layer) for layer in network), CLASSES]
        weights = sum(a * b for a, b in pairwise(sizes))
        return weights + sum(sizes[1:]), weights

    def _branch(self, rng: np.random.Generator) -> Branch:
        return BRANCHES[int(rng.integers(len(BRANCHES)))]


def _with(network: Network, layer: int, side: int, branch: Branch) -> Network:
    pair = (branch, network[layer][1]) if side == 0 else (network[layer][0], branch)
    return (*network[:layer], pair, *network[layer + 1 :])


def _parse(text: str) -> Branch:
    for units, activation in BRANCHES:
        if text == f"{units}{activation}":
            return units, activation
    raise ValueError(
        f"{text!r} is no branch: want units ({', '.join(map(str, UNITS))}) and one of {', '.join(ACTIVATIONS)}"
    )
