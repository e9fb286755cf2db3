"""What the network of a NAS-Bench-201 cell costs (arXiv 2001.00326, figure 1). Called by `nasbench201`.

Notation: n cells, c channels, s side.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.nasbench201 import OPERATIONS
from bananas_predictor.spaces.costs import NetworkShape, Sum, convolution, linear

STAGES: Final = 3
_CONVOLUTIONS: Final = {OPERATIONS.index("nor_conv_1x1"): 1, OPERATIONS.index("nor_conv_3x3"): 9}
"""Kernel size of an operation code."""


def nasbench201_costs(cells: NDArray[np.int8], shape: NetworkShape) -> Sum:
    """Of n networks, from (n, 6) operation codes."""
    counts = {kernel: (cells == code).sum(axis=1, dtype=np.int64) for code, kernel in _CONVOLUTIONS.items()}
    c, s = shape.channels, shape.image_size
    total = convolution(shape.image_channels * c * 9, c, s)
    for stage in range(STAGES):
        if stage:
            # A residual block: two 3x3 convolutions, and the bare 1x1 of the shortcut.
            s //= 2
            total += convolution(c * 2 * c * 9, 2 * c, s) + convolution(4 * c * c * 9, 2 * c, s)
            total += convolution(c * 2 * c, 0, s)
            c *= 2
        for kernel, count in counts.items():
            total += convolution(c * c * kernel, c, s).times(count * (shape.layers // STAGES))
    return total + Sum(2 * c) + linear(c, shape.classes)
