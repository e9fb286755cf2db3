"""The two baselines of `make bench-trainer`, and ours, as loops that train a given number of steps.

A   a plain implementation of the original's loop and data path: images in the host's memory, one after another cropped,
    flipped, normalised and cut by Pillow and NumPy in two worker processes; channels first, single precision, torch's SGD
B   the same loop with data and augmentation on the device, in batches
C   ours: `bananas_trainer.train.train_step` in the recipe's precision, on a GPU by `bananas_trainer.stepping` as in a training

All three train the same network on the same images with the same hyper-parameters.

Shapes: B images, C channels, H x W pixels.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from bananas_trainer.augmentation import augment
from bananas_trainer.data import CIFAR_MEAN, CIFAR_STANDARD_DEVIATION, split
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.networks.darts import DropPath
from bananas_trainer.stepping import steps_of
from bananas_trainer.train import Batches, train_step
from bananas_trainer.training import State, Task, begin_epoch, start

DROP_EPOCH = 10
"""Epoch whose drop path and learning rate all of them use; in epoch 0 nothing is dropped."""
MANY = 1000
"""Steps: an epoch in which a recording of the step is worth its time."""


@dataclass(frozen=True)
class Pace:
    """What some steps took."""

    images: int
    seconds: float
    data_seconds: float
    """Of these, waiting for images to be ready for the network."""

    @property
    def images_per_second(self) -> float:
        """Images per second."""
        return self.images / self.seconds


Loop = Callable[[int], Pace]
"""Trains that many steps."""


class _Images(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10 with the transforms of the original."""

    def __init__(self, images: Tensor, labels: Tensor, task: Task) -> None:
        self._images = images.permute(0, 2, 3, 1).numpy()
        self._labels = labels.tolist()
        self._recipe = task.recipe
        self._random = np.random.default_rng(task.seed)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        recipe, random = self._recipe, self._random
        image = ImageOps.expand(Image.fromarray(self._images[i]), border=recipe.crop_padding, fill=0)
        side = self._images.shape[1]
        left, top = random.integers(0, 2 * recipe.crop_padding + 1, 2)
        image = image.crop((left, top, left + side, top + side))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        x = x.sub_(torch.tensor(CIFAR_MEAN)[:, None, None]).div_(torch.tensor(CIFAR_STANDARD_DEVIATION)[:, None, None])
        mask = np.ones((side, side), np.float32)
        row, column = random.integers(side, size=2)
        half = recipe.cutout // 2
        mask[max(0, row - half) : row + half, max(0, column - half) : column + half] = 0.0
        return x * torch.from_numpy(mask), self._labels[i]


def plain(task: Task, data_on_device: bool) -> Loop:
    """Baseline A, or B where the data is on the device."""
    recipe, parts = task.recipe, split(task.data.y_train, task.recipe.validation_fraction)
    state = start(task)
    network = state.network.to(memory_format=torch.contiguous_format)
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    generator = torch.Generator(task.device).manual_seed(task.seed)
    drop = DropPath(recipe.drop_path * DROP_EPOCH / recipe.epochs, generator) if recipe.drop_path else None
    batches = _device_batches(task, generator) if data_on_device else _host_batches(task, parts.training)

    def run(steps: int) -> Pace:
        network.train()
        began, waited, images = time.perf_counter(), 0.0, 0
        for _ in range(steps):
            asked = time.perf_counter()
            x, labels = next(batches)
            waited += time.perf_counter() - asked
            optimiser.zero_grad()
            logits, auxiliary = network(x, drop)
            loss = cross_entropy(logits, labels)
            if auxiliary is not None:
                loss = loss + recipe.auxiliary_weight * cross_entropy(auxiliary, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
            optimiser.step()
            loss.item()  # the original reads loss and accuracy after every step
            images += len(labels)
        _wait_for(task.device)
        return Pace(images, time.perf_counter() - began, waited)

    return run


def _host_batches(task: Task, training: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    data = _Images(task.data.x_train[training], task.data.y_train[training], task)
    generator = torch.Generator().manual_seed(task.seed)
    loader: DataLoader[Any] = DataLoader(
        data,
        task.recipe.batch_size,
        shuffle=True,
        num_workers=2,
        pin_memory=task.device.type == "cuda",
        drop_last=True,
        generator=generator,
        persistent_workers=True,
    )
    while True:
        for x, labels in loader:
            yield x.to(task.device, non_blocking=True), labels.to(task.device, non_blocking=True)


def _device_batches(task: Task, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    batches = Batches(task, split(task.data.y_train, task.recipe.validation_fraction))
    while True:
        for images, labels in batches.training(generator):
            if len(labels) == task.recipe.batch_size:
                yield augment(images, task.recipe, batches.normalise, generator), labels


def ours(task: Task) -> Loop:
    """What a trial runs."""
    batches = Batches(task, split(task.data.y_train, task.recipe.validation_fraction))
    state = start(task)
    state.history += _epochs_before(task)
    part = state.part = begin_epoch(task, state)
    order = _full_batches(batches, part.generator, task.recipe.batch_size)
    step = steps_of(task, state, part, MANY, lambda chosen: train_step(task, state, part, batches, chosen))

    def run(steps: int) -> Pace:
        state.network.train()
        began = time.perf_counter()
        for _ in range(steps):
            part.loss += step(next(order))
        _wait_for(task.device)
        seconds = time.perf_counter() - began
        return Pace(steps * task.recipe.batch_size, seconds, _data_seconds(task, state, batches, steps))

    return run


def _full_batches(batches: Batches, generator: torch.Generator, size: int) -> Iterator[Tensor]:
    while True:
        yield from (chosen for chosen in batches.order(generator) if len(chosen) == size)


def _data_seconds(task: Task, state: State, batches: Batches, steps: int) -> float:
    """The data path of that many steps on its own: within a step it cannot be told apart on a GPU."""
    assert state.part is not None
    generator = torch.Generator(task.device).manual_seed(1)
    order = _full_batches(batches, generator, task.recipe.batch_size)
    _wait_for(task.device)
    began = time.perf_counter()
    for _ in range(steps):
        images, _ = batches.images(next(order))
        augment(images, task.recipe, batches.normalise, generator).contiguous(memory_format=torch.channels_last)
    _wait_for(task.device)
    return time.perf_counter() - began


def _epochs_before(task: Task) -> list[EpochRecord]:
    return [
        EpochRecord(attempt=1, epoch=n + 1, loss=1, validation_accuracy=0, learning_rate=0.1, seconds=1)
        for n in range(min(DROP_EPOCH, task.recipe.epochs - 1))
    ]


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
