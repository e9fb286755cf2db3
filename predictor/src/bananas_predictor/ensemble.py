"""The neural predictors of `bananas`: m small networks that are trained at once (BANANAS, section 3, made lean).

Called by the `bananas` strategy. Deterministic for its seed whatever the number of threads, and whatever is fitted beside it:
the benchmarks fit many searches in one program.

Notation: j jobs, m members, n results, b results in a step, d features, c candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bananas_predictor.features import FeatureMap
from bananas_predictor.networks import Adam, Layers, backward, forward, gather, initial, one_thread, sizes, views
from bananas_predictor.spaces import Cells, Encoding, SearchSpace

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8  # the original's
AT_ONCE: Final = 100
"""Networks in a program: more do not fit the processor's cache."""


@dataclass(frozen=True)
class EnsembleSettings:
    """Neither width nor depth matter much, and many epochs overfit; the original has 10 layers of 20 and 150 epochs."""

    width: int = 16
    hidden: int = 3
    epochs: int = 30
    batch: int = 32
    """The original's."""
    learning_rate: float = 0.01
    """The original's; falls linearly to 0 here, for the epochs are few."""
    fewest_steps: int = 60
    """At the start of a search an epoch is one or two steps; fewer than these leave the networks where they began."""
    most_steps: int = 900
    """From 960 results on, epochs give way to steps: the time of a fit stays bounded."""
    winsor: float = 2.0
    """Interquartile ranges below the median where bad results are cut off: how bad they are teaches nothing about the best."""
    weight_decay: float = 0.0
    """Decoupled from Adam (arXiv 1711.05101)."""


DEFAULT: Final = EnsembleSettings()


@dataclass(frozen=True)
class FitJob:
    """What a fit needs."""

    features: FeatureMap
    cells: Cells
    accuracies: NDArray[np.float64]
    """(n,)"""
    members: int
    seed: tuple[int, ...]
    weights: NDArray[np.float64] | None = None
    """(n,) of the squared errors, 1 on average; None where all are equal."""

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        encoding: Encoding,
        cells: Cells,
        accuracies: NDArray[np.float64],
        members: int,
        seed: tuple[int, ...],
        variances: NDArray[np.float64] | None = None,
    ) -> "FitJob":
        """On n results, with the columns that say something about them; `variances` (n,) where results are noisy means."""
        weights = None if variances is None else trust(accuracies, variances)
        return cls(FeatureMap.learn(space, encoding, cells), cells, accuracies, members, seed, weights)


MODEL_VARIANCE: Final = 0.1
"""What the networks leave unexplained of results without noise, as a part of the results' variance."""


def trust(accuracies: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) weights of results, 1 on average: one over the variance of a result around the network's forecast."""
    weights: NDArray[np.float64] = 1 / (variances + max(MODEL_VARIANCE * float(accuracies.var()), 1e-12))
    scaled: NDArray[np.float64] = weights / weights.mean()
    return scaled


class Ensemble:
    """Trained networks and the scales around them."""

    def __init__(self, features: FeatureMap, layers: Layers, shift: float, scale: float) -> None:
        """Layers of m networks."""
        self._features = features
        self._layers = layers
        self._shift = shift
        self._scale = scale

    def predict(self, cells: Cells) -> NDArray[np.float64]:
        """(m, c) accuracies that the members expect."""
        with torch.no_grad(), one_thread():
            x = torch.from_numpy(self._features.of(cells)).expand(self._layers[0][0].shape[0], -1, -1)
            *_, y = forward(self._layers, x)
        return y.squeeze(2).numpy().astype(np.float64) * self._scale + self._shift


def fit_ensembles(jobs: Sequence[FitJob], settings: EnsembleSettings = DEFAULT) -> list[Ensemble]:
    """Trains the members of every job from scratch; jobs of one shape together."""
    fitted: dict[int, Ensemble] = {}
    groups: dict[tuple[int, int, int, bool], list[int]] = {}
    for number, job in enumerate(jobs):
        shape = len(job.cells), len(job.features.columns), job.members, job.weights is None
        groups.setdefault(shape, []).append(number)
    for numbers in groups.values():
        step = max(1, AT_ONCE // jobs[numbers[0]].members)
        for start in range(0, len(numbers), step):
            chunk = numbers[start : start + step]
            fitted.update(zip(chunk, _fit([jobs[number] for number in chunk], settings), strict=True))
    return [fitted[number] for number in range(len(jobs))]


def _fit(jobs: Sequence[FitJob], settings: EnsembleSettings) -> list[Ensemble]:
    """Of jobs of one shape."""
    n, d, m = len(jobs[0].cells), len(jobs[0].features.columns), jobs[0].members
    shape = sizes(d, settings.width, settings.hidden)
    b = min(settings.batch, n)
    steps = min(max(settings.epochs * n // b, settings.fewest_steps), settings.most_steps)
    scaled = [standardised(job.accuracies, settings.winsor) for job in jobs]
    rngs = [np.random.default_rng(np.random.SeedSequence(job.seed)) for job in jobs]
    with torch.no_grad(), one_thread():
        parameters = torch.from_numpy(np.concatenate([initial(shape, m, rng) for rng in rngs]))
        rows = np.concatenate([schedule(n, b, steps, m, rng) + number * n for number, rng in enumerate(rngs)], axis=1)
        x = torch.from_numpy(np.concatenate([job.features.of(job.cells) for job in jobs]))
        y = torch.from_numpy(np.concatenate([targets for targets, _, _ in scaled]).astype(np.float32))
        given = [job.weights for job in jobs if job.weights is not None]
        weights = torch.from_numpy(np.concatenate(given).astype(np.float32)) if given else None
        _train(parameters, (x, y, weights), torch.from_numpy(rows), settings)
        layers = views(parameters, shape)
    return [
        Ensemble(
            job.features,
            [(w[number * m : (number + 1) * m], bias[number * m : (number + 1) * m]) for w, bias in layers],
            *scaled[number][1:],
        )
        for number, job in enumerate(jobs)
    ]


def standardised(accuracies: NDArray[np.float64], winsor: float) -> tuple[NDArray[np.float64], float, float]:
    """Targets of mean 0 and deviation 1, bad ones cut off; and the shift and scale that undo it."""
    low, median, high = np.quantile(accuracies, [0.25, 0.5, 0.75])
    floor = median - winsor * max(high - low, 1e-6)
    kept = np.maximum(accuracies, floor)
    shift, scale = float(kept.mean()), max(float(kept.std()), 1e-6)
    return (kept - shift) / scale, shift, scale


def schedule(n: int, b: int, steps: int, members: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(steps, m, b) rows: every member goes through all results in an order of its own, again and again."""
    epochs = -(-steps * b // n)
    orders = rng.random((members, epochs, n), dtype=np.float32).argsort(axis=2).reshape(members, -1)
    return orders[:, : steps * b].reshape(members, steps, b).transpose(1, 0, 2)


def _train(
    parameters: Tensor, data: tuple[Tensor, Tensor, Tensor | None], rows: Tensor, settings: EnsembleSettings
) -> None:
    """Adam (arXiv 1412.6980) on the mean squared error; data: x (j * n, d), y (j * n,), weights; rows (steps, j * m, b)."""
    x, y, weights = data
    shape = sizes(x.shape[1], settings.width, settings.hidden)
    steps, _, b = rows.shape
    gradient = torch.zeros_like(parameters)
    adam = Adam(parameters, gradient, (BETA1, BETA2), EPSILON)
    layers, gradients = views(parameters, shape), views(gradient, shape)
    for step in range(steps):
        chosen = rows[step]  # (j * m, b)
        values = forward(layers, gather(x, chosen))
        error = (values[-1] - y[chosen][..., None]).mul_(2 / b)
        if weights is not None:
            error *= weights[chosen][..., None]
        backward(layers, gradients, values, error)
        rate = settings.learning_rate * (1 - step / steps)
        if settings.weight_decay:
            parameters.mul_(1 - rate * settings.weight_decay)
        adam.step(rate)
