"""Trainable parameters of the networks that the two benchmarks trained, counted from the graph.

The toy tables tell them, and the tests check both published tables against them. Counting is all: no network is built here.
"""

from typing import Final

from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture

CLASSES: Final = 10


def nasbench201_parameters(cell: Nasbench201Architecture) -> int:
    """Stem of 16 channels, three stages of five cells (16, 32, 64), residual blocks between (arXiv 2001.00326, figure 1)."""
    kernel = {"nor_conv_3x3": 9, "nor_conv_1x1": 1}
    total = _convolution(3, 16, 9)
    for channels in (16, 32, 64):
        total += 5 * sum(_convolution(channels, channels, kernel[op]) for op in cell.ops if op in kernel)
        if channels < 64:
            wider = 2 * channels
            total += _convolution(channels, wider, 9) + _convolution(wider, wider, 9) + channels * wider
    return total + 2 * 64 + 64 * CLASSES + CLASSES


def nasbench101_parameters(cell: Nasbench101Architecture) -> int:
    """Stem of 128 channels, three stacks of three cells, doubled between the stacks (arXiv 1902.09635, section 2)."""
    total, channels = _convolution(3, 128, 9), 128
    for wider in (128, 256, 512):
        for _ in range(3):
            total += _cell(cell, channels, wider)
            channels = wider
    return total + 512 * CLASSES + CLASSES


def _convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Weights without bias, then scale and shift of the batch normalisation."""
    return inputs * outputs * kernel + 2 * outputs


def _cell(cell: Nasbench101Architecture, inputs: int, outputs: int) -> int:
    matrix, last = cell.matrix(), cell.vertices - 1
    channels = _vertex_channels(matrix, inputs, outputs)
    total = 0
    for vertex, op in enumerate(cell.ops, start=1):
        if matrix[0][vertex]:  # the cell's input is projected to the vertex's channels
            total += _convolution(inputs, channels[vertex], 1)
        if op != "maxpool3x3":
            total += _convolution(channels[vertex], channels[vertex], 9 if op == "conv3x3-bn-relu" else 1)
    if matrix[0][last]:
        total += _convolution(inputs, outputs, 1)
    return total


def _vertex_channels(matrix: list[list[int]], inputs: int, outputs: int) -> list[int]:
    """Channels of each vertex: those before the output share its channels, an earlier one has as many as its widest heir."""
    last = len(matrix) - 1
    channels = [inputs, *([0] * (last - 1)), outputs]
    feeding = [v for v in range(1, last) if matrix[v][last]]
    for place, v in enumerate(feeding):
        channels[v] = outputs // len(feeding) + (place < outputs % len(feeding))
    for v in range(last - 1, 0, -1):
        if v not in feeding:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v][w])
    return channels
