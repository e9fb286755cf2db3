"""What the network of a DARTS cell pair costs (arXiv 1806.09055). Called by `darts`; the tests compare it with the trainer's.

Notation: n cell pairs, E = 8 edges, O = 8 operations, c channels of a cell, s side of what a convolution gives out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.spaces.darts import EDGES, NODES, OPERATIONS, Operation
from bananas_predictor.spaces.costs import Counts, NetworkShape, Sum, convolution, halved, linear

_SEPARABLE: Final[dict[Operation, tuple[int, int]]] = {
    "sep_conv_3x3": (9, 2),
    "sep_conv_5x5": (25, 2),
    "dil_conv_3x3": (9, 1),
    "dil_conv_5x5": (25, 1),
}
"""Weights of a depthwise kernel, and how often depthwise and 1x1 convolution follow each other."""


def darts_costs(ops: NDArray[np.int8], inputs: NDArray[np.int8], shape: NetworkShape) -> Sum:
    """Of n networks, from ops and inputs (n, 2, E) of the normal and the reduction cell."""
    widen = _reductions(shape.layers)
    stem, c_before, c_last, s = _stem(shape)
    # How often each operation stands on an edge that halves the image, and on one that does not.
    halving = inputs[:, 1] < 2
    normal, reduce = _counts(ops[:, 0], np.ones_like(halving)), _counts(ops[:, 1], ~halving)
    reduce_halving = _counts(ops[:, 1], halving)
    total, c, after_reduction = stem, shape.channels, shape.stem == "imagenet"
    for number in range(shape.layers):
        is_reduction = number in widen
        c *= 2 if is_reduction else 1
        total += _reduce(c_before, c, s) if after_reduction else convolution(c_before * c, c, s)
        total += convolution(c_last * c, c, s)
        if is_reduction:
            s = halved(s)
            total += _edges(reduce, c, s, stride=1) + _edges(reduce_halving, c, s, stride=2)
        else:
            total += _edges(normal, c, s, stride=1)
        c_before, c_last, after_reduction = c_last, NODES * c, is_reduction
    return total + linear(c_last, shape.classes)


def _reductions(layers: int) -> set[int]:
    return {layers // 3, 2 * layers // 3}


def _stem(shape: NetworkShape) -> tuple[Sum, int, int, int]:
    """The stem; channels of the two inputs of the first cell, and the side of the second."""
    c, images, s = shape.channels, shape.image_channels, shape.image_size
    if shape.stem == "cifar":
        return convolution(images * 3 * c * 9, 3 * c, s), 3 * c, 3 * c, s
    half, quarter, eighth = halved(s), halved(halved(s)), halved(halved(halved(s)))
    first = convolution(images * (c // 2) * 9, c // 2, half) + convolution((c // 2) * c * 9, c, quarter)
    return first + convolution(c * c * 9, c, eighth), c, c, eighth


def _reduce(c_in: int, c_out: int, s: int) -> Sum:
    """Two 1x1 convolutions of stride 2 to half of the channels each."""
    return convolution(c_in * (c_out // 2) * 2, c_out, s)


def _counts(ops: NDArray[np.int8], which: NDArray[np.bool_]) -> Counts:
    """(n, O): how often each operation stands on those of the (n, E) edges."""
    counts: Counts = ((ops[..., None] == np.arange(len(OPERATIONS))) & which[..., None]).sum(axis=1, dtype=np.int64)
    assert ops.shape[1] == EDGES
    return counts


def _edges(counts: Counts, c: int, s: int, *, stride: int) -> Sum:
    total = Sum()
    for code, op in enumerate(OPERATIONS):
        if op in _SEPARABLE:
            kernel, repeats = _SEPARABLE[op]
            each = convolution(c * kernel + c * c, c, s).times(repeats)
        elif op == "skip_connect" and stride == 2:
            each = _reduce(c, c, s)
        else:
            continue
        total += each.times(counts[:, code])
    return total
