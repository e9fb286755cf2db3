"""The neural predictors: m small networks that are trained at once, in one program (BANANAS, section 3).

Called by the `bananas` strategy. Deterministic for its seed whatever the number of threads: it uses one, and a generator
of its own. Gradients are written out, for with networks this small autograd would take most of the time.

Notation: m members, n results, b results in a step, d features, h units, c candidates.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bananas_predictor.features import FeatureMap
from bananas_predictor.spaces import Cells, Encoding, SearchSpace

# Lean: neither width nor depth matter much, and more epochs only overfit; the original has 10 layers of 20 and 150 epochs.
# On NAS-Bench-201 (40 seeds, 150 trials) 85 % of the searches found the best cell with 30 epochs, 78 % with 60, 73 % with 120.
WIDTH: Final = 16
LAYERS: Final = 3
EPOCHS: Final = 30
BATCH: Final = 32  # the original's
LEARNING_RATE: Final = 0.01  # the original's; falls linearly to 0 here, for the epochs are few
BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8  # the original's
FEWEST_STEPS: Final = 60
"""At the start of a search an epoch is one or two steps; fewer than these leave the networks where they began."""
MOST_STEPS: Final = 900
"""From 960 results on, epochs give way to steps: the time of a fit stays bounded."""
WINSOR: Final = 2.0
"""Interquartile ranges below the median where bad results are cut off: how bad they are teaches nothing about the best."""


class Ensemble:
    """Trained networks and the scales around them."""

    def __init__(self, features: FeatureMap, parameters: Tensor, shift: float, scale: float) -> None:
        """parameters: (m, p)."""
        self._features = features
        self._layers = _views(parameters, len(features.columns))
        self._shift = shift
        self._scale = scale

    def predict(self, cells: Cells) -> NDArray[np.float64]:
        """(m, c) accuracies that the members expect."""
        with torch.no_grad(), _one_thread():
            x = torch.from_numpy(self._features.of(cells)).expand(self._layers[0][0].shape[0], -1, -1)
            *_, y = _forward(self._layers, x)
        return y.squeeze(2).numpy().astype(np.float64) * self._scale + self._shift


def fit_ensemble(
    space: SearchSpace,
    encoding: Encoding,
    cells: Cells,
    accuracies: NDArray[np.float64],
    *,
    members: int,
    seed: tuple[int, ...],
) -> Ensemble:
    """Trains `members` networks from scratch on n results."""
    features = FeatureMap.learn(space, encoding, cells)
    targets, shift, scale = _standardised(accuracies)
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    with torch.no_grad(), _one_thread():
        x = torch.from_numpy(features.of(cells))
        y = torch.from_numpy(targets.astype(np.float32))
        parameters = _train(x, y, members, generator)
    return Ensemble(features, parameters, shift, scale)


def _standardised(accuracies: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Targets of mean 0 and deviation 1, bad ones cut off; and the shift and scale that undo it."""
    low, median, high = np.quantile(accuracies, [0.25, 0.5, 0.75])
    floor = median - WINSOR * max(high - low, 1e-6)
    kept = np.maximum(accuracies, floor)
    shift, scale = float(kept.mean()), max(float(kept.std()), 1e-6)
    return (kept - shift) / scale, shift, scale


_Layers = list[tuple[Tensor, Tensor]]


def _sizes(d: int) -> list[tuple[int, int]]:
    widths = [d, *[WIDTH] * LAYERS, 1]
    return list(zip(widths, widths[1:], strict=False))  # noqa: RUF007 - clearer beside `widths`


def _views(parameters: Tensor, d: int) -> _Layers:
    """Weights (m, in, out) and biases (m, 1, out) of every layer, as views of (m, p) parameters."""
    layers, start = [], 0
    for inward, outward in _sizes(d):
        middle, end = start + inward * outward, start + (inward + 1) * outward
        layers.append(
            (
                parameters[:, start:middle].view(-1, inward, outward),
                parameters[:, None, middle:end],
            )
        )
        start = end
    return layers


def _initial(d: int, members: int, generator: torch.Generator) -> Tensor:
    """(m, p): Glorot's uniform weights as in Keras, so as in the original; biases 0."""
    parts = []
    for inward, outward in _sizes(d):
        bound = (6 / (inward + outward)) ** 0.5
        weights = torch.rand(members, inward * outward, generator=generator) * 2 * bound - bound
        parts += [weights, torch.zeros(members, outward)]
    return torch.cat(parts, dim=1)


def _forward(layers: _Layers, x: Tensor) -> list[Tensor]:
    """Inputs of every layer, (m, b, in), and the output (m, b, 1)."""
    values = [x]
    for weights, bias in layers[:-1]:
        values.append(torch.baddbmm(bias, values[-1], weights).relu_())
    weights, bias = layers[-1]
    values.append(torch.baddbmm(bias, values[-1], weights))
    return values


def _backward(layers: _Layers, gradients: _Layers, values: list[Tensor], error: Tensor) -> None:
    """Writes the gradients of the loss from its derivative by the output, (m, b, 1)."""
    for i in range(len(layers) - 1, -1, -1):
        torch.bmm(values[i].mT, error, out=gradients[i][0])
        torch.sum(error, dim=1, keepdim=True, out=gradients[i][1])
        if i:
            error = torch.bmm(error, layers[i][0].mT).mul_(values[i] > 0)


def _train(x: Tensor, y: Tensor, members: int, generator: torch.Generator) -> Tensor:
    """(m, p) parameters after Adam (arXiv 1412.6980) on the mean squared error of x (n, d) and y (n,)."""
    n, d = x.shape
    parameters = _initial(d, members, generator)
    gradient = torch.zeros_like(parameters)
    momentum, power = torch.zeros_like(parameters), torch.zeros_like(parameters)
    layers, gradients = _views(parameters, d), _views(gradient, d)
    b = min(BATCH, n)
    steps = min(max(EPOCHS * n // b, FEWEST_STEPS), MOST_STEPS)
    rows = _schedule(n, b, steps, members, generator)
    for step in range(steps):
        chosen = rows[step]  # (m, b)
        values = _forward(layers, x[chosen])
        error = (values[-1] - y[chosen][..., None]).mul_(2 / b)
        _backward(layers, gradients, values, error)
        momentum.lerp_(gradient, 1 - BETA1)
        power.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        rate = LEARNING_RATE * (1 - step / steps) / (1 - BETA1 ** (step + 1))
        root = power.sqrt().mul_((1 - BETA2 ** (step + 1)) ** -0.5).add_(EPSILON)
        parameters.addcdiv_(momentum, root, value=-rate)
    return parameters


def _schedule(n: int, b: int, steps: int, members: int, generator: torch.Generator) -> Tensor:
    """(steps, m, b) rows: every member goes through all results in an order of its own, again and again."""
    epochs = -(-steps * b // n)
    orders = torch.rand(members, epochs, n, generator=generator).argsort(dim=2).view(members, -1)
    return orders[:, : steps * b].view(members, steps, b).transpose(0, 1).contiguous()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another order give other numbers, and more threads only cost time on networks this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
