"""The network of a NASBench-101 cell (arXiv 1902.09635): stem, three stacks of the same cell, mean, linear classifier.

A cell: every vertex adds up its inputs and applies its operation. An edge from the cell's input is a 1x1 convolution; one
from another vertex keeps the first channels that are needed. The output is the concatenation of the vertices that feed it,
plus a 1x1 convolution of the input where an edge leads there.

`count_parameters` gives the size without building anything: a table has 423,624 cells.

Shapes: B images, C channels, H x W pixels, K classes, V vertices.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from bananas_core.spaces.nasbench101 import Nasbench101Architecture, Operation

STACKS: Final = 3
_KERNELS: Final[dict[Operation, int]] = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1, "maxpool3x3": 0}


class ConvBnRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU; keeps the size of the image."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        out: Tensor = self.op(x)
        return out


def vertex_channels(cell: Nasbench101Architecture, c_in: int, c_out: int) -> list[int]:
    """Channels of every vertex, (V,).

    The output's are split evenly over the vertices that feed it, the remainder to the earliest; any other vertex has the
    most of those that it feeds.
    """
    matrix, last = cell.matrix(), cell.vertices - 1
    feeding = [v for v in range(1, last) if matrix[v][last]]
    channels = [c_in, *[0] * (last - 1), c_out]
    for place, v in enumerate(feeding):
        channels[v] = c_out // len(feeding) + (place < c_out % len(feeding))
    for v in reversed(range(1, last)):
        if not matrix[v][last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v][w])
    return channels


class Cell(nn.Module):
    """A graph of at most five operations."""

    def __init__(self, cell: Nasbench101Architecture, c_in: int, c_out: int) -> None:
        super().__init__()
        self._last = cell.vertices - 1
        self._channels = vertex_channels(cell, c_in, c_out)
        matrix = cell.matrix()
        self._sources = [[v for v in range(1, w) if matrix[v][w]] for w in range(cell.vertices)]
        self.projections = nn.ModuleDict(
            {str(w): ConvBnRelu(c_in, self._channels[w], 1) for w in range(1, cell.vertices) if matrix[0][w]}
        )
        self.vertices = nn.ModuleDict(
            {str(w): _operation(op, self._channels[w]) for w, op in enumerate(cell.ops, start=1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        values: dict[int, Tensor] = {}
        for w in range(1, self._last):
            terms = [values[v][:, : self._channels[w]] for v in self._sources[w]]
            if str(w) in self.projections:
                terms.append(self.projections[str(w)](x))
            values[w] = self.vertices[str(w)](_sum(terms))
        out = [torch.cat([values[v] for v in self._sources[self._last]], dim=1)] if self._sources[self._last] else []
        if str(self._last) in self.projections:
            out.append(self.projections[str(self._last)](x))
        return _sum(out)


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _operation(op: Operation, c: int) -> nn.Module:
    match op:
        case "maxpool3x3":
            return nn.MaxPool2d(3, stride=1, padding=1)
        case "conv3x3-bn-relu" | "conv1x1-bn-relu":
            return ConvBnRelu(c, c, _KERNELS[op])


class Nasbench101Network(nn.Module):
    """Stem, three stacks with max pooling and twice the channels between them, mean over the pixels, linear classifier."""

    def __init__(
        self,
        cell: Nasbench101Architecture,
        *,
        channels: int = 128,
        cells_per_stack: int = 3,
        classes: int = 10,
        image_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = ConvBnRelu(image_channels, channels, 3)
        self.cells = nn.ModuleList(Cell(cell, c_in, c_out) for c_in, c_out in _cell_channels(channels, cells_per_stack))
        self._downsample_before = {stack * cells_per_stack for stack in range(1, STACKS)}
        self.downsample = nn.MaxPool2d(2, stride=2)
        self.classifier = nn.Linear((channels << STACKS - 1), classes)

    def forward(self, images: Tensor, drop: object = None) -> tuple[Tensor, None]:  # noqa: ARG002 - no drop path here
        """(B, image channels, H, W) -> logits (B, K), and no auxiliary ones."""
        x = self.stem(images)
        for number, cell in enumerate(self.cells):
            x = cell(self.downsample(x) if number in self._downsample_before else x)
        return self.classifier(x.mean((2, 3))), None


def _cell_channels(channels: int, cells_per_stack: int) -> Iterator[tuple[int, int]]:
    """(c_in, c_out) of every cell."""
    c_in = channels
    for stack in range(STACKS):
        for _ in range(cells_per_stack):
            yield c_in, channels * 2**stack
            c_in = channels * 2**stack


def count_parameters(
    cell: Nasbench101Architecture,
    *,
    channels: int = 128,
    cells_per_stack: int = 3,
    classes: int = 10,
    image_channels: int = 3,
) -> int:
    """Trainable parameters of the network, from the graph alone."""
    total = _conv(image_channels, channels, 3) + ((channels << STACKS - 1) + 1) * classes
    sizes: dict[tuple[int, int], int] = {}
    for pair in _cell_channels(channels, cells_per_stack):
        if pair not in sizes:
            sizes[pair] = _count_cell(cell, *pair)
        total += sizes[pair]
    return total


def _count_cell(cell: Nasbench101Architecture, c_in: int, c_out: int) -> int:
    each = vertex_channels(cell, c_in, c_out)
    projections = sum(_conv(c_in, each[w], 1) for w, edge in enumerate(cell.matrix()[0]) if edge)
    return projections + sum(
        _conv(each[w], each[w], _KERNELS[op]) for w, op in enumerate(cell.ops, start=1) if _KERNELS[op]
    )


def _conv(c_in: int, c_out: int, kernel: int) -> int:
    """A convolution without bias and its batch norm."""
    return c_in * c_out * kernel * kernel + 2 * c_out
