"""The operations on the edges of a DARTS cell (arXiv 1806.09055), named and built as in the published networks.

Shapes: B images, C channels, H x W pixels. The attribute names are those of the published state_dicts: do not rename.
"""

import torch
from torch import Tensor, nn

from bananas_core.spaces.darts import Operation


class ReluConvBn(nn.Module):
    """1x1 convolution between ReLU and batch norm: fits an input's channels to those of the cell."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        out: Tensor = self.op(x)
        return out


class FactorizedReduce(nn.Module):
    """Halves H and W by two 1x1 convolutions of stride 2, the second shifted by one pixel. H and W must be even."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/2, W/2)."""
        x = torch.relu(x)
        out: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))
        return out


class SeparableConv(nn.Module):
    """Depthwise and 1x1 convolution, twice; the stride is the first one's."""

    def __init__(self, c: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c, c, kernel, stride=stride, padding=kernel // 2, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.Conv2d(c, c, kernel, padding=kernel // 2, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/stride, W/stride)."""
        out: Tensor = self.op(x)
        return out


class DilatedConv(nn.Module):
    """Depthwise convolution of dilation 2, and 1x1 convolution."""

    def __init__(self, c: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c, c, kernel, stride=stride, padding=kernel - 1, dilation=2, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/stride, W/stride)."""
        out: Tensor = self.op(x)
        return out


class Zero(nn.Module):
    """`none`: an edge that gives nothing."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> zeros of (B, C, H/stride, W/stride)."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def make_operation(op: Operation, c: int, stride: int) -> nn.Module:  # noqa: PLR0911 - one return an operation
    """The operation of an edge on C channels; pooling has no batch norm in the evaluation network."""
    match op:
        case "none":
            return Zero(stride)
        case "max_pool_3x3":
            return nn.MaxPool2d(3, stride=stride, padding=1)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
        case "sep_conv_3x3":
            return SeparableConv(c, 3, stride)
        case "sep_conv_5x5":
            return SeparableConv(c, 5, stride)
        case "dil_conv_3x3":
            return DilatedConv(c, 3, stride)
        case "dil_conv_5x5":
            return DilatedConv(c, 5, stride)
