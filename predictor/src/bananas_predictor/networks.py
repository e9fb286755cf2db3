"""Many small ReLU networks of one shape, trained at once in one program. Called by `ensemble` and `paper_network`.

Gradients are written out: for networks this small autograd takes most of the time. One thread: sums in another order give
other numbers, and more threads only cost time here.

Notation: m networks, b rows of a step, d inputs, c rows to predict; sizes (inward, outward) of every layer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]
Sizes = Sequence[tuple[int, int]]


def sizes(d: int, width: int, hidden: int) -> list[tuple[int, int]]:
    """(inward, outward) of `hidden` layers and the output."""
    widths = [d, *[width] * hidden, 1]
    return list(zip(widths, widths[1:], strict=False))  # noqa: RUF007 - clearer beside `widths`


def initial(shape: Sizes, networks: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(m, p): Glorot's uniform weights as in Keras, so as in the original; biases 0."""
    parts = []
    for inward, outward in shape:
        bound = np.float32((6 / (inward + outward)) ** 0.5)
        weights = rng.random((networks, inward * outward), dtype=np.float32)
        parts += [weights * 2 * bound - bound, np.zeros((networks, outward), dtype=np.float32)]
    return np.concatenate(parts, axis=1)


def views(parameters: Tensor, shape: Sizes) -> Layers:
    """Weights (m, in, out) and biases (m, 1, out) of every layer, as views of (m, p) parameters."""
    layers, start = [], 0
    for inward, outward in shape:
        middle, end = start + inward * outward, start + (inward + 1) * outward
        layers.append((parameters[:, start:middle].view(-1, inward, outward), parameters[:, None, middle:end]))
        start = end
    return layers


def gather(x: Tensor, rows: Tensor) -> Tensor:
    """(m, b, d) of x (n, d) at rows (m, b); three times as fast as the brackets, and a sixth of a step."""
    return x.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)


def forward(layers: Layers, x: Tensor) -> list[Tensor]:
    """Inputs of every layer, (m, b, in), and the output (m, b, 1)."""
    values = [x]
    for weights, bias in layers[:-1]:
        values.append(torch.bmm(values[-1], weights).add_(bias).relu_())
    weights, bias = layers[-1]
    values.append(torch.bmm(values[-1], weights).add_(bias))
    return values


def backward(layers: Layers, gradients: Layers, values: list[Tensor], error: Tensor) -> None:
    """Writes the gradients of the loss from its derivative by the output, (m, b, 1)."""
    for i in range(len(layers) - 1, -1, -1):
        torch.bmm(values[i].mT, error, out=gradients[i][0])
        torch.sum(error, dim=1, keepdim=True, out=gradients[i][1])
        if i:
            error = torch.bmm(error, layers[i][0].mT).mul_(values[i] > 0)


class Adam:
    """Adam (arXiv 1412.6980) in place. torch's own takes seconds to import what it does not need here."""

    def __init__(self, parameters: Tensor, gradient: Tensor, betas: tuple[float, float], epsilon: float) -> None:
        """For (m, p) parameters and where their gradient is written."""
        self._parameters, self._gradient = parameters, gradient
        self._betas, self._epsilon = betas, epsilon
        self._momentum, self._power, self._root = (torch.zeros_like(parameters) for _ in range(3))
        self._steps = 0

    def step(self, rate: float) -> None:
        """Moves the parameters."""
        one, two = self._betas
        self._steps += 1
        self._momentum.lerp_(self._gradient, 1 - one)
        self._power.mul_(two).addcmul_(self._gradient, self._gradient, value=1 - two)
        torch.sqrt(self._power, out=self._root).add_(self._epsilon)
        # The corrections of the bias as Keras has them: epsilon is not scaled.
        corrected = rate * (1 - two**self._steps) ** 0.5 / (1 - one**self._steps)
        self._parameters.addcdiv_(self._momentum, self._root, value=-corrected)


@contextmanager
def one_thread() -> Iterator[None]:
    """As the name says, and back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
