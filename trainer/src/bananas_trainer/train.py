"""The training loop: from a task to its accuracy. Called by the pod program and by `bananas-trainer train`.

The same code trains on CPU and GPU. Data lies on the device and is augmented there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bananas_trainer.augmentation import Normalisation, augment
from bananas_trainer.checkpoint import Checkpoints
from bananas_trainer.data import Split, normalisation, split
from bananas_trainer.device import device_name
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import Diverged, OutOfDeviceMemory
from bananas_trainer.fitting import check_recipe
from bananas_trainer.log import log
from bananas_trainer.networks.darts import DropPath
from bananas_trainer.schedule import drop_path_probability, learning_rate
from bananas_trainer.training import Result, State, Task, generator_of, result_of, start


def train(task: Task, checkpoints: Checkpoints | None, tell: Tell) -> Result:
    """Trains to the end, from the newest checkpoint where there is one; `tell` hears of every epoch.

    Raises:
        AttemptError: RecipeInvalid, Diverged, OutOfDeviceMemory, CheckpointUnusable, or that a higher attempt has started.
    """
    recipe = task.recipe
    parts = split(task.data.y_train, recipe.validation_fraction)
    check_recipe(recipe, task.architecture, task.data, parts)
    with _memory_errors_translated(task):
        batches = Batches(task, parts)
        state = start(task)
        if checkpoints is not None:
            checkpoints.restore(state)
        log_start(task, parts, state)
        while state.epoch < recipe.epochs:
            record = run_epoch(task, state, batches)
            state.history.append(record)
            if checkpoints is not None:
                checkpoints.save(state)
            tell(record)
    return result_of(state, recipe.score_epochs)


def log_start(task: Task, parts: Split, state: State) -> None:
    """Says what is about to be trained, and where."""
    log(
        "training",
        data=task.data.name,
        training_images=len(parts.training),
        validation_images=len(parts.validation),
        device=device_name(task.device),
        done=state.epoch,
        epochs=task.recipe.epochs,
    )


def run_epoch(task: Task, state: State, batches: "Batches") -> EpochRecord:
    """Trains for one epoch and validates.

    Raises:
        Diverged
    """
    began = time.monotonic()
    loss = train_epoch(task, state, batches)
    accuracy = validate(task, state, batches)
    return EpochRecord(
        attempt=task.attempt,
        epoch=state.epoch + 1,
        loss=loss,
        validation_accuracy=accuracy,
        learning_rate=learning_rate(task.recipe, state.epoch),
        seconds=time.monotonic() - began,
    )


class Batches:
    """The training and validation images on the device; what is random comes from the generator of the epoch."""

    def __init__(self, task: Task, parts: Split) -> None:
        x, y = task.data.x_train, task.data.y_train
        self.normalise: Normalisation = normalisation(x[parts.training]).to(task.device)
        self._size = task.recipe.batch_size
        self._training = x[parts.training].to(task.device), y[parts.training].to(task.device)
        self._validation = x[parts.validation].to(task.device), y[parts.validation].to(task.device)

    def training(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, in random order. A last batch of one image is left out: it has no variance."""
        images, labels = self._training
        order = torch.randperm(len(labels), generator=generator, device=generator.device)
        for chosen in torch.split(order, self._size):
            if len(chosen) > 1:
                yield images[chosen], labels[chosen]

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every validation image once, in the order of the data."""
        images, labels = self._validation
        size = 2 * self._size  # without gradients there is room
        yield from zip(torch.split(images, size), torch.split(labels, size), strict=True)


def train_epoch(task: Task, state: State, batches: Batches) -> float:
    """One pass over the training images; gives the mean loss.

    Raises:
        Diverged: if the loss is not a number.
    """
    recipe, network = task.recipe, state.network
    generator = generator_of(task.seed, state.epoch, "epoch", task.device)
    probability, rate = drop_path_probability(recipe, state.epoch), learning_rate(recipe, state.epoch)
    drop = DropPath(probability, generator) if probability else None
    total, count = torch.zeros((), device=task.device), 0
    network.train()
    for images, labels in batches.training(generator):
        x = augment(images, recipe, batches.normalise, generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast(task.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits, auxiliary = network(x, drop)
        loss = cross_entropy(logits.float(), labels)
        total += loss.detach() * len(labels)
        count += len(labels)
        if auxiliary is not None:
            loss = loss + recipe.auxiliary_weight * cross_entropy(auxiliary.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step(rate, recipe.gradient_clip)
    return _finite(float(total / count), "training loss", state.epoch + 1, rate)


@torch.no_grad()
def validate(task: Task, state: State, batches: Batches) -> float:
    """Accuracy, from 0 to 1, on the validation images as they are.

    Raises:
        Diverged: if the network's output is not a number.
    """
    right, count = torch.zeros((), device=task.device), 0
    total = torch.zeros((), device=task.device)
    state.network.eval()
    for images, labels in batches.validation():
        x = batches.normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(task.device.type, torch.bfloat16, enabled=task.recipe.precision == "bfloat16"):
            logits, _ = state.network(x)
        right += (logits.argmax(1) == labels).sum()
        total += logits.float().abs().sum()
        count += len(labels)
    _finite(float(total), "output of the network", state.epoch + 1, learning_rate(task.recipe, state.epoch))
    return float(right) / count


def _finite(value: float, what: str, epoch: int, rate: float) -> float:
    if value - value != 0:  # infinite or not a number
        raise Diverged(
            f"{what} is {value} in epoch {epoch} at learning rate {rate:g}; "
            f"a smaller recipe.learningRate or recipe.gradientClip would train this architecture"
        )
    return value


@contextmanager
def _memory_errors_translated(task: Task) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_about_memory(error):
            raise
        recipe = task.recipe
        raise OutOfDeviceMemory(
            f"recipe.batchSize {recipe.batch_size} with channels {recipe.channels} and layers {recipe.layers} does not fit "
            f"the memory of {task.device}; want less of one of them ({error})"
        ) from error


def _is_about_memory(error: BaseException) -> bool:
    """torch has no type of its own for the CPU's allocator, only this text."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
