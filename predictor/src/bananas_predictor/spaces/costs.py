"""What a network costs before anybody has built it: parameters and multiply-adds, counted from the cell.

Each space counts its own (`SearchSpace.costs`); here is what they have in common. Counted as the trainer counts: without the
auxiliary head, multiply-adds of convolutions and linear layers for one image. Called by `constrained`.

Notation: n cells.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.recipe import Dataset, Recipe
from bananas_core.spaces import Space

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """Of n networks."""

    parameters: Counts
    """(n,) trainable parameters."""
    multiply_adds: Counts
    """(n,) for one image."""


@dataclass(frozen=True)
class NetworkShape:
    """Everything of a network that is not the cell."""

    channels: int
    layers: int
    """Cells one after the other."""
    classes: int = 10
    image_channels: int = 3
    image_size: int = 32
    """Side of the images, in pixels."""
    stem: Literal["cifar", "imagenet"] = "cifar"


PUBLISHED: Final[dict[Space, NetworkShape]] = {
    "darts": NetworkShape(36, 20),  # arXiv 1806.09055
    "nasbench101": NetworkShape(128, 9),  # arXiv 1902.09635: 3 stacks of 3 cells
    "nasbench201": NetworkShape(16, 15),  # arXiv 2001.00326: 3 stages of 5 cells
}
"""The networks that the papers trained on CIFAR-10, and the tables tell of."""

_IMAGES: Final[dict[Dataset, tuple[int, int, int]]] = {
    "digits": (10, 1, 8),
    "cifar10": (10, 3, 32),
    "cifar100": (100, 3, 32),
}
"""Classes, channels and size of the images of data sets that always have the same."""


def trained_shape(recipe: Recipe, image_size: int | None) -> NetworkShape:
    """The networks that a recipe trains.

    Of npz and folder only the trainer sees the images: the recipe must have `classes`, and `image_size` counts. They are
    taken to have three channels; with one, the network is smaller by a few hundred parameters.
    """
    classes, image_channels, size = _IMAGES.get(recipe.dataset, (recipe.classes or 10, 3, image_size or 32))
    return NetworkShape(recipe.channels, recipe.layers, classes, image_channels, size, recipe.stem)


@dataclass(frozen=True)
class Sum:
    """Parameters and multiply-adds of a part of a network; numbers, or arrays of them."""

    parameters: int | Counts = 0
    multiply_adds: int | Counts = 0

    def __add__(self, other: "Sum") -> "Sum":
        """Of both."""
        return Sum(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)

    def times(self, number: int | Counts) -> "Sum":
        """Of so many."""
        return Sum(self.parameters * number, self.multiply_adds * number)


def convolution(weights: int | Counts, norms: int | Counts, side: int) -> Sum:
    """Convolutions without bias and the `norms` channels of their batch norms; `side` is that of their output."""
    return Sum(weights + 2 * norms, weights * side**2)


def linear(inputs: int, outputs: int) -> Sum:
    """A linear layer with bias."""
    return Sum((inputs + 1) * outputs, inputs * outputs)


def halved(side: int) -> int:
    """After a convolution of stride 2 with half its kernel as padding."""
    return (side + 1) // 2


def costs_of(total: Sum, count: int) -> Costs:
    """Of `count` networks."""
    return Costs(
        *(np.broadcast_to(np.asarray(v, dtype=np.int64), count).copy() for v in (total.parameters, total.multiply_adds))
    )
