"""The network of a NAS-Bench-201 cell (arXiv 2001.00326): stem, three stages of the same cell, mean, linear classifier.

Parameter names are those of the published state_dicts: `stem.{0,1}`, `cells.N.layers.M.op`, the residual blocks between
the stages `cells.N.{conv_a,conv_b,downsample}`, `lastact.0`, `classifier`.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from typing import Final

from torch import Tensor, nn

from bananas_core.spaces.nasbench201 import EDGES, Nasbench201Architecture, Operation
from bananas_trainer.networks.operations import Zero

STAGES: Final = 3
_KERNELS: Final[dict[Operation, int]] = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class ReluConvBn(nn.Module):
    """ReLU, convolution without bias, batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H / stride, W / stride)."""
        out: Tensor = self.op(x)
        return out


class Cell(nn.Module):
    """Four nodes; each adds up an operation on every node before it."""

    def __init__(self, cell: Nasbench201Architecture, c: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_operation(op, c) for op in cell.ops)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        nodes: list[Tensor | None] = [x, None, None, None]
        for (source, target), layer in zip(EDGES, self.layers, strict=True):  # ordered by target
            term, before = layer(nodes[source]), nodes[target]
            nodes[target] = term if before is None else before + term
        out = nodes[-1]
        assert out is not None  # every node has an edge
        return out


def _operation(op: Operation, c: int) -> nn.Module:
    match op:
        case "none":
            return Zero(1)
        case "skip_connect":
            return nn.Identity()
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case "nor_conv_1x1" | "nor_conv_3x3":
            return ReluConvBn(c, c, _KERNELS[op])


class ResidualBlock(nn.Module):
    """Between two stages: halves the image and doubles the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReluConvBn(c_in, c_out, 3, stride=2)
        self.conv_b = ReluConvBn(c_out, c_out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, stride=2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/2, W/2)."""
        out: Tensor = self.downsample(x) + self.conv_b(self.conv_a(x))
        return out


class Nasbench201Network(nn.Module):
    """Stem, three stages with a residual block before the second and third, batch norm, ReLU, mean, linear classifier."""

    def __init__(
        self,
        cell: Nasbench201Architecture,
        *,
        channels: int = 16,
        cells_per_stage: int = 5,
        classes: int = 10,
        image_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.cells = nn.ModuleList()
        c = channels
        for stage in range(STAGES):
            if stage:
                self.cells.append(ResidualBlock(c, 2 * c))
                c *= 2
            self.cells.extend(Cell(cell, c) for _ in range(cells_per_stage))
        self.lastact = nn.Sequential(nn.BatchNorm2d(c), nn.ReLU())
        self.classifier = nn.Linear(c, classes)

    def forward(self, images: Tensor, drop: object = None) -> tuple[Tensor, None]:  # noqa: ARG002 - no drop path here
        """(B, image channels, H, W) -> logits (B, K), and no auxiliary ones."""
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(self.lastact(x).mean((2, 3))), None


def count_parameters(
    cell: Nasbench201Architecture,
    *,
    channels: int = 16,
    cells_per_stage: int = 5,
    classes: int = 10,
    image_channels: int = 3,
) -> int:
    """Trainable parameters of the network, from the operations alone."""
    widths = [channels << stage for stage in range(STAGES)]
    total = _conv(image_channels, channels, 3) + 2 * widths[-1] + (widths[-1] + 1) * classes
    for c in widths:
        total += cells_per_stage * sum(_conv(c, c, _KERNELS[op]) for op in cell.ops if op in _KERNELS)
    for c in widths[:-1]:  # two convolutions of 3x3, and the bare 1x1 of the shortcut
        total += _conv(c, 2 * c, 3) + _conv(2 * c, 2 * c, 3) + 2 * c * c
    return total


def _conv(c_in: int, c_out: int, kernel: int) -> int:
    """A convolution without bias and its batch norm."""
    return c_in * c_out * kernel * kernel + 2 * c_out
