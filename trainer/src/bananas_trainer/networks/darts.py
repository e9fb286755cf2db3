"""The evaluation networks of a DARTS architecture (arXiv 1806.09055), equal to the published ones.

Parameter names are those of the published state_dicts, so that their checkpoints load: `stem.{0,1}` (for large images
`stem0`, `stem1`), `cells.N.preprocess{0,1}`, `cells.N._ops.M`, `auxiliary_head.{features,classifier}`, `classifier`.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Generator, Tensor, nn

from bananas_core.spaces.darts import NODES, DartsArchitecture
from bananas_trainer.networks.operations import FactorizedReduce, ReluConvBn, make_operation

AUXILIARY_SIDES: Final = range(8, 11)
"""Sides of the feature maps that the auxiliary head takes: average pooling of 5, stride 3, must leave 2 x 2."""
LARGE_AUXILIARY_SIDES: Final = range(7, 9)
"""The same for large images, whose pooling has stride 2."""

Stem = Literal["cifar", "imagenet"]
STEM_FACTORS: Final[dict[Stem, int]] = {"cifar": 1, "imagenet": 8}
"""By which the stem divides the sides of an image."""


@dataclass(frozen=True)
class DropPath:
    """Drops the result of an edge for some images of a batch and scales up the others (arXiv 1605.07648)."""

    probability: float
    generator: Generator

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        keep = 1 - self.probability
        mask = torch.empty(len(x), 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(keep, generator=self.generator)
        return x * (mask / keep)


class Cell(nn.Module):
    """Four nodes, each the sum of two operations; the output is all of them, one after the other."""

    def __init__(self, edges: DartsArchitecture, c_before_previous: int, c_previous: int, c: int, kind: "Kind") -> None:
        super().__init__()
        self.preprocess0 = (FactorizedReduce if kind.after_reduction else ReluConvBn)(c_before_previous, c)
        self.preprocess1 = ReluConvBn(c_previous, c)
        cell = edges.reduce if kind.reduction else edges.normal
        self._inputs = [edge.input for edge in cell]
        self._ops = nn.ModuleList(
            make_operation(edge.op, c, stride=2 if kind.reduction and edge.input < 2 else 1) for edge in cell
        )

    def forward(self, before_previous: Tensor, previous: Tensor, drop: DropPath | None) -> Tensor:
        """Outputs of the two cells before -> (B, 4 c, H, W), H and W halved in a reduction cell."""
        states = [self.preprocess0(before_previous), self.preprocess1(previous)]
        for node in range(NODES):
            first, second = (self._edge(e, states, drop) for e in (2 * node, 2 * node + 1))
            states.append(first + second)
        return torch.cat(states[2:], dim=1)

    def _edge(self, e: int, states: list[Tensor], drop: DropPath | None) -> Tensor:
        op = self._ops[e]
        out: Tensor = op(states[self._inputs[e]])
        return out if drop is None or isinstance(op, nn.Identity) else drop(out)


@dataclass(frozen=True)
class Kind:
    """What a cell is by its place: whether it halves the image, and whether the one before it did."""

    reduction: bool
    after_reduction: bool


class AuxiliaryHead(nn.Module):
    """A classifier on the features at two thirds of the depth; helps the training and is not part of the result."""

    def __init__(self, c: int, classes: int, stem: Stem = "cifar") -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3 if stem == "cifar" else 2, padding=0, count_include_pad=False),
            nn.Conv2d(c, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            *([nn.BatchNorm2d(768)] if stem == "cifar" else []),  # the published large networks have none here
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, 8, 8), or 7 x 7 of large images -> (B, K)."""
        out: Tensor = self.classifier(self.features(x).flatten(1))
        return out


def reductions(layers: int) -> tuple[int, ...]:
    """Numbers of the cells that halve the image."""
    return tuple(sorted({layers // 3, 2 * layers // 3}))


def _small_stem(image_channels: int, channels: int) -> nn.Sequential:
    c = 3 * channels  # the stem multiplier of arXiv 1806.09055
    return nn.Sequential(nn.Conv2d(image_channels, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))


def _large_stem(image_channels: int, channels: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Four times smaller, and eight times; the first cell takes both."""

    def half(c_in: int, c_out: int) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out)]

    first = [*half(image_channels, channels // 2), nn.ReLU(), *half(channels // 2, channels)]
    return nn.Sequential(*first), nn.Sequential(nn.ReLU(), *half(channels, channels))


class DartsNetwork(nn.Module):
    """Stem, cells with reductions at one and two thirds of the depth, mean over the pixels, linear classifier."""

    def __init__(
        self,
        architecture: DartsArchitecture,
        *,
        channels: int,
        layers: int,
        classes: int,
        image_channels: int = 3,
        auxiliary: bool = False,
        stem: Stem = "cifar",
    ) -> None:
        super().__init__()
        self._large = stem == "imagenet"
        if self._large:
            self.stem0, self.stem1 = _large_stem(image_channels, channels)
        else:
            self.stem = _small_stem(image_channels, channels)
        self.cells = nn.ModuleList()
        before_previous = previous = channels if self._large else 3 * channels
        c, after_reduction = channels, self._large
        self._auxiliary_after = 2 * layers // 3
        for number in range(layers):
            reduction = number in reductions(layers)
            c *= 2 if reduction else 1
            self.cells.append(Cell(architecture, before_previous, previous, c, Kind(reduction, after_reduction)))
            before_previous, previous, after_reduction = previous, NODES * c, reduction
            if number == self._auxiliary_after and auxiliary:
                self.auxiliary_head = AuxiliaryHead(previous, classes, stem)
        self.auxiliary = auxiliary
        self.classifier = nn.Linear(previous, classes)

    def forward(self, images: Tensor, drop: DropPath | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, image channels, H, W) -> logits (B, K), and in training the auxiliary head's (B, K), where there is one."""
        before_previous = self.stem0(images) if self._large else self.stem(images)
        previous = self.stem1(before_previous) if self._large else before_previous
        auxiliary: Tensor | None = None
        for number, cell in enumerate(self.cells):
            before_previous, previous = previous, cell(before_previous, previous, drop)
            if number == self._auxiliary_after and self.auxiliary and self.training:
                auxiliary = self.auxiliary_head(previous)
        return self.classifier(previous.mean((2, 3))), auxiliary
