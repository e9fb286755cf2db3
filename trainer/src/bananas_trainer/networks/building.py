"""From an architecture of any space to its network. Called by the training, by `evaluate`, `describe` and the benchmarks."""

from dataclasses import dataclass
from typing import Final

from bananas_core.spaces.darts import DartsArchitecture
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture
from bananas_trainer.networks.darts import DartsNetwork, Stem, reductions
from bananas_trainer.networks.nasbench101 import Nasbench101Network
from bananas_trainer.networks.nasbench201 import Nasbench201Network

Cell = DartsArchitecture | Nasbench101Architecture | Nasbench201Architecture
Network = DartsNetwork | Nasbench101Network | Nasbench201Network
"""All have `forward(images, drop=None) -> (logits, logits of the auxiliary head or None)`."""

STACKS: Final = 3
"""Of the NASBench networks: cells of the same width and image size."""


@dataclass(frozen=True)
class Shape:
    """Everything of a network that is not the architecture. `layers` counts the cells, one after the other."""

    channels: int
    layers: int
    classes: int
    image_channels: int = 3
    auxiliary: bool = False
    stem: Stem = "cifar"


PUBLISHED_SHAPES: Final = {
    DartsArchitecture: (36, 20),  # arXiv 1806.09055
    Nasbench101Architecture: (128, 9),  # arXiv 1902.09635: 3 stacks of 3 cells
    Nasbench201Architecture: (16, 15),  # arXiv 2001.00326: 3 stages of N = 5 cells
}
"""Channels and layers."""
LARGE_SHAPE: Final = (48, 14)
"""The same of the networks for large images (arXiv 1806.09055)."""


def build(cell: Cell, shape: Shape) -> Network:
    """The network; for the NASBench spaces `layers` must be a multiple of three, and there is no auxiliary head."""
    match cell:
        case DartsArchitecture():
            return DartsNetwork(
                cell,
                channels=shape.channels,
                layers=shape.layers,
                classes=shape.classes,
                image_channels=shape.image_channels,
                auxiliary=shape.auxiliary,
                stem=shape.stem,
            )
        case Nasbench101Architecture():
            return Nasbench101Network(
                cell,
                channels=shape.channels,
                cells_per_stack=shape.layers // STACKS,
                classes=shape.classes,
                image_channels=shape.image_channels,
            )
        case Nasbench201Architecture():
            return Nasbench201Network(
                cell,
                channels=shape.channels,
                cells_per_stage=shape.layers // STACKS,
                classes=shape.classes,
                image_channels=shape.image_channels,
            )


def halvings(cell: Cell, layers: int) -> int:
    """How often the network halves the sides of an image."""
    return len(reductions(layers)) if isinstance(cell, DartsArchitecture) else STACKS - 1
