"""The trainer of the example: tells two spirals apart with a small network in NumPy. `python -m training` is the pod's program.

`bananas_core.attempt.run` does the trainer's half of the contract; an image without it follows bananas_core/contract.py itself.
"""

import sys
from itertools import pairwise

import numpy as np
from branches import CLASSES, INPUTS, Branches, Network

from bananas_core.attempt import Attempt, run
from bananas_core.contract import ExitCode, Report
from bananas_core.errors import AttemptError

STEPS, RATE, POINTS = 120, 0.02, 200
FUNCTIONS = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sine": (np.sin, np.cos),
}


def train(attempt: Attempt) -> Report:
    """One attempt of a trial."""
    space, text = Branches(), attempt.trial.architecture.to_text()
    try:
        network = space.from_text(text)
    except ValueError as error:
        raise AttemptError(ExitCode.CONTRACT_BROKEN, f"architecture {text}: {error}") from error
    parameters, multiply_adds = space.cost(network)
    return attempt.report(
        validation_accuracy=round(accuracy(network, attempt.trial.seed), 6),
        parameters=parameters,
        multiply_adds=multiply_adds,
        device="cpu",
    )


def accuracy(network: Network, seed: int) -> float:
    """Validation accuracy after a training with this seed."""
    (x, y), (x_test, y_test) = spirals(0), spirals(1)
    rng = np.random.default_rng(seed)
    sizes = [INPUTS, *(sum(units for units, _ in layer) for layer in network), CLASSES]
    weights = [rng.normal(0, (1 / a) ** 0.5, (a + 1, b)) for a, b in pairwise(sizes)]
    first, second = [[np.zeros_like(w) for w in weights] for _ in range(2)]
    for step in range(1, STEPS + 1):  # Adam
        for layer, gradient in enumerate(_gradients(network, weights, x, y)):
            first[layer] += 0.1 * (gradient - first[layer])
            second[layer] += 0.001 * (gradient**2 - second[layer])
            scale = np.sqrt(second[layer] / (1 - 0.999**step)) + 1e-8
            weights[layer] -= RATE * first[layer] / (1 - 0.9**step) / scale
    return float((_forward(network, weights, x_test)[0][-1].argmax(1) == y_test).mean())


def spirals(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(2 * POINTS, 2) points and their classes."""
    rng = np.random.default_rng(seed)
    angle = np.sqrt(rng.random(POINTS)) * 3 * np.pi
    arm = np.stack([np.cos(angle), np.sin(angle)], axis=1) * angle[:, None] / (3 * np.pi)
    points = np.concatenate([arm, -arm]) + rng.normal(0, 0.04, (2 * POINTS, 2))
    return 3 * points, np.repeat([0, 1], POINTS)


def _forward(network: Network, weights: list[np.ndarray], x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What each layer gives, the inputs first; and what went into its activations."""
    outs, sums = [x], []
    for number, w in enumerate(weights):
        sums.append(outs[-1] @ w[:-1] + w[-1])
        outs.append(_activate(network, number, sums[-1], 0))
    return outs, sums


def _activate(network: Network, number: int, z: np.ndarray, which: int) -> np.ndarray:
    """Activations (0) or their derivatives (1), branch by branch; the last layer has none."""
    if number == len(network):
        return z if which == 0 else np.ones_like(z)
    (units, first), (_, second) = network[number]
    return np.concatenate([FUNCTIONS[first][which](z[:, :units]), FUNCTIONS[second][which](z[:, units:])], axis=1)


def _gradients(network: Network, weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    outs, sums = _forward(network, weights, x)
    shifted = np.exp(outs[-1] - outs[-1].max(1, keepdims=True))
    error = (shifted / shifted.sum(1, keepdims=True) - np.eye(CLASSES)[y]) / len(x)
    gradients: list[np.ndarray] = []
    for number in reversed(range(len(weights))):
        error = error * _activate(network, number, sums[number], 1)
        gradients.append(np.concatenate([outs[number].T @ error, error.sum(0, keepdims=True)]))
        error = error @ weights[number][:-1].T
    return gradients[::-1]


if __name__ == "__main__":
    sys.exit(run(train))
