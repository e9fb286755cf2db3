"""The predictor of the paper to the letter (arXiv 1910.11858; naszilla's `meta_neural_net.py`), trained many at a time.

Called by the `bananasPaper` strategy and by the benchmarks. Ten hidden layers of 20, ReLU, mean absolute error of the error
in percent as it is, Adam with rate 0.01 and betas .9 and .99, 150 epochs of batches of 32, the last one smaller. A member's
random numbers are those of its own job, so what is trained beside it changes nothing but rounding.

Notation: j jobs, m members of each, n results, d bits, c candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from bananas_predictor.networks import Adam, backward, forward, gather, initial, one_thread, sizes, views
from bananas_predictor.spaces import Features

WIDTH: Final = 20
HIDDEN: Final = 10
EPOCHS: Final = 150
BATCH: Final = 32
LEARNING_RATE: Final = 0.01
BETAS: Final = (0.9, 0.99)
EPSILON: Final = 1e-7
"""Keras' default; torch has another."""
AT_ONCE: Final = 100
"""Networks in a program: more do not fit the processor's cache, and were slower."""


@dataclass(frozen=True)
class PaperJob:
    """A fit and what it is for."""

    bits: Features
    """(n, d) of the results: path bits, or the numbers of a space of one's own."""
    accuracies: NDArray[np.float64]
    """(n,)"""
    candidates: Features
    """(c, d)"""
    members: int
    seed: tuple[int, ...]


def forecast(jobs: Sequence[PaperJob]) -> list[NDArray[np.float64]]:
    """(m, c) accuracies of the candidates of each job. Jobs of one shape are trained together."""
    forecasts: dict[int, NDArray[np.float64]] = {}
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault((*job.bits.shape, job.members), []).append(number)
    for numbers in groups.values():
        step = max(1, AT_ONCE // jobs[numbers[0]].members)
        for start in range(0, len(numbers), step):
            chunk = numbers[start : start + step]
            with torch.no_grad(), one_thread():
                forecasts.update(zip(chunk, _forecast([jobs[number] for number in chunk]), strict=True))
    return [forecasts[number] for number in range(len(jobs))]


def _forecast(jobs: Sequence[PaperJob]) -> list[NDArray[np.float64]]:
    """Of jobs of one shape."""
    (n, d), m = jobs[0].bits.shape, jobs[0].members
    shape = sizes(d, WIDTH, HIDDEN)
    rngs = [np.random.default_rng(np.random.SeedSequence(job.seed)) for job in jobs]
    parameters = torch.from_numpy(np.concatenate([initial(shape, m, rng) for rng in rngs]))
    orders = np.stack([rng.random((m, EPOCHS, n), dtype=np.float32).argsort(axis=2) for rng in rngs])
    orders += np.arange(len(jobs))[:, None, None, None] * n  # rows of all jobs, one below the other
    rows = torch.from_numpy(orders.reshape(len(jobs) * m, EPOCHS, n).transpose(1, 0, 2).copy())
    x = torch.from_numpy(np.concatenate([job.bits for job in jobs]).astype(np.float32))
    y = torch.from_numpy(np.concatenate([100 * (1 - job.accuracies) for job in jobs]).astype(np.float32))
    train(parameters, x, y, rows)
    layers = views(parameters, shape)
    answers = []
    for number, job in enumerate(jobs):
        own = [
            (weights[number * m : (number + 1) * m], bias[number * m : (number + 1) * m]) for weights, bias in layers
        ]
        inputs = torch.from_numpy(job.candidates.astype(np.float32)).expand(m, -1, -1)
        errors = forward(own, inputs)[-1].squeeze(2).numpy().astype(np.float64)
        answers.append(1 - errors / 100)
    return answers


def train(parameters: torch.Tensor, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> None:
    """Trains (j * m, p) parameters on x (j * n, d) and y (j * n,); rows (epochs, j * m, n) is who sees what and when."""
    shape = sizes(x.shape[1], WIDTH, HIDDEN)
    gradient = torch.zeros_like(parameters)
    adam = Adam(parameters, gradient, BETAS, EPSILON)
    layers, gradients = views(parameters, shape), views(gradient, shape)
    for epoch in rows:
        for chosen in epoch.split(BATCH, dim=1):
            values = forward(layers, gather(x, chosen))
            error = (values[-1] - y[chosen][..., None]).sign_().mul_(1 / chosen.shape[1])
            backward(layers, gradients, values, error)
            adam.step(LEARNING_RATE)
