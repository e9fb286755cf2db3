"""What a training consists of: a task, the state that a checkpoint keeps, and the random numbers of an epoch.

An epoch draws all its random numbers, the order of the images first, from one generator; whoever has its state in the
middle of the epoch goes on with the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import fsum
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from bananas_core.api.recipe import Recipe
from bananas_trainer.augmentation import Normalisation
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.networks.building import Cell, Network, Shape, build
from bananas_trainer.optimiser import Sgd


@dataclass(frozen=True)
class Task:
    """What to train, on what, where."""

    architecture: Cell
    recipe: Recipe
    data: Dataset
    seed: int
    attempt: int
    device: torch.device


@dataclass
class Part:
    """How far the current epoch is."""

    generator: Generator
    loss: Tensor
    """Sum over the images so far, a scalar on the device."""
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    earlier: tuple[tuple[int, int], ...] | None = ()
    """(attempt, steps) of the attempts that trained the first steps; those that are left are of the current one. None where
    a checkpoint of an older trainer does not say whose the first steps were."""

    def attempts(self, current: int) -> tuple[tuple[int, int], ...]:
        """(attempt, steps) of all of them, the current one included; none for an epoch whose first steps may be anybody's."""
        if self.earlier is None:
            return ()
        steps = dict(self.earlier)
        steps[current] = steps.get(current, 0) + self.steps - sum(steps.values())
        return tuple((attempt, n) for attempt, n in steps.items() if n)


@dataclass
class State:
    """All that changes during a training."""

    network: Network
    optimiser: Sgd
    history: list[EpochRecord] = field(default_factory=list)
    part: Part | None = None
    """None between two epochs."""
    pieces: int = 1
    """Parts of a batch whose gradients are added up; 2 after the device's memory was exceeded."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


@dataclass(frozen=True)
class Result:
    """What a training gave."""

    validation_accuracy: float | None
    """None where there are no validation images."""
    test_accuracy: float | None
    """None where the recipe does not open the test images."""
    history: tuple[EpochRecord, ...]
    network: Network
    normalise: Normalisation

    @property
    def seconds(self) -> float:
        """Of all epochs."""
        return fsum(record.seconds for record in self.history)


def start(task: Task) -> State:
    """The state before the first epoch."""
    recipe = task.recipe
    shape = Shape(
        channels=recipe.channels,
        layers=recipe.layers,
        classes=task.data.classes,
        image_channels=task.data.image_shape[0],
        auxiliary=recipe.auxiliary,
        stem=recipe.stem,
    )
    network = build(task.architecture, shape)
    initialise(network, generator_of(task.seed, 0, "weights", torch.device("cpu")))
    # Channels last: convolutions on the CPU take two thirds of the time, and tensor cores want it.
    network.to(task.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return State(network, Sgd(network.named_parameters(), recipe.momentum, recipe.weight_decay))


def begin_epoch(task: Task, state: State) -> Part:
    """The state before the first step of the current epoch; the order of the images is drawn first of all."""
    return Part(generator_of(task.seed, state.epoch, "epoch", task.device), torch.zeros((), device=task.device))


def score(history: Sequence[EpochRecord], score_epochs: int) -> float | None:
    """The mean accuracy of the last epochs, as in arXiv 1910.11858; None without validation images."""
    last = [r.validation_accuracy for r in history[-score_epochs:] if r.validation_accuracy is not None]
    return fsum(last) / len(last) if last else None


@torch.no_grad()
def initialise(network: nn.Module, generator: Generator) -> None:
    """Draws all weights as torch does by default, from a generator of ours instead of the global one. On the CPU."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            _uniform(module.weight, bound, generator)
            if module.bias is not None:
                _uniform(module.bias, bound, generator)


def _uniform(weights: Tensor, bound: float, generator: Generator) -> None:
    weights.uniform_(-bound, bound, generator=generator)


def generator_of(seed: int, epoch: int, purpose: Literal["weights", "epoch"], device: torch.device) -> Generator:
    """A generator of its own for each epoch: a training resumed there goes on with the same random numbers."""
    digest = sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    return Generator(device).manual_seed(int.from_bytes(digest[:8]) >> 1)
