"""What the network of a NASBench-101 cell costs (arXiv 1902.09635, section 2). Called by `nasbench101`.

Notation: n cells, V = 7 vertices, s side.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.nasbench101 import MAX_VERTICES, OPERATIONS
from bananas_predictor.spaces.costs import Counts, NetworkShape, Sum, convolution, linear

STACKS: Final = 3
V: Final = MAX_VERTICES
_KERNELS: Final = np.array([{"conv3x3-bn-relu": 9, "conv1x1-bn-relu": 1, "maxpool3x3": 0}[op] for op in OPERATIONS])


def nasbench101_costs(matrices: NDArray[np.bool_], ops: NDArray[np.int8], shape: NetworkShape) -> Sum:
    """Of n networks, from pruned adjacency matrices (n, V, V) and operation codes (n, V - 2)."""
    c, s = shape.channels, shape.image_size
    total = convolution(shape.image_channels * c * 9, c, s)
    before = c
    for stack in range(STACKS):
        s //= 2 if stack else 1
        after = c << stack
        for _ in range(shape.layers // STACKS):
            total += _cell(matrices, ops, (before, after), s)
            before = after
    return total + linear(before, shape.classes)


def _cell(matrices: NDArray[np.bool_], ops: NDArray[np.int8], channels: tuple[int, int], s: int) -> Sum:
    """Projections of the cell's input, and the operations."""
    each = vertex_channels(matrices, channels[1])  # (n, V)
    from_input = matrices[:, 0].astype(np.int64)  # (n, V): each is a 1x1 convolution
    projected = (from_input * each).sum(axis=1)
    kernels = _KERNELS[ops]  # (n, V - 2)
    inner = each[:, 1:-1]
    weights: Counts = channels[0] * projected + (kernels * inner**2).sum(axis=1)
    norms: Counts = projected + ((kernels > 0) * inner).sum(axis=1)
    return convolution(weights, norms, s)


def vertex_channels(matrices: NDArray[np.bool_], outputs: int) -> Counts:
    """(n, V): those that feed the output share its channels, the first ones the rest; any other has its widest heir's."""
    channels = np.zeros(matrices.shape[:2], dtype=np.int64)
    channels[:, -1] = outputs
    feeding = matrices[:, 1:-1, -1]
    share, rest = np.divmod(outputs, np.maximum(feeding.sum(axis=1), 1))
    place = feeding.cumsum(axis=1) - 1
    channels[:, 1:-1] = np.where(feeding, share[:, None] + (place < rest[:, None]), 0)
    for v in range(V - 2, 0, -1):
        widest = (matrices[:, v, :] * channels).max(axis=1)
        channels[:, v] = np.where(matrices[:, v, -1], channels[:, v], widest)
    return channels
