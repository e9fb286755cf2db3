"""The training loop: from a task to its accuracy. Called by the pod program and by `bananas-trainer train`.

The same code trains on CPU and GPU. Data lies on the device and is augmented there.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bananas_trainer.augmentation import Normalisation, augment
from bananas_trainer.checkpoint import Checkpoints
from bananas_trainer.data import SPLIT_SEED, Split, normalisation, split
from bananas_trainer.device import device_name
from bananas_trainer.divergence import check_progress
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import Diverged
from bananas_trainer.evaluate import evaluate
from bananas_trainer.fitting import check_recipe
from bananas_trainer.log import notice
from bananas_trainer.memory import in_two_pieces
from bananas_trainer.networks.darts import DropPath
from bananas_trainer.schedule import drop_path_probability, learning_rate
from bananas_trainer.stepping import steps_of
from bananas_trainer.training import Part, Result, State, Task, begin_epoch, score, start

LOSS_IS_READ_EVERY: Final = 50  # steps on a GPU, which has to wait for it; on a CPU every step


def train(task: Task, checkpoints: Checkpoints | None, tell: Tell) -> Result:
    """Trains to the end, from the newest checkpoint where there is one; `tell` hears of every epoch.

    Raises:
        AttemptError: RecipeInvalid, Diverged, OutOfDeviceMemory, CheckpointUnusable, that a higher attempt has started, or
            that SIGTERM came and a checkpoint was written.
    """
    parts = split(task.data.y_train, task.recipe.validation_fraction)
    check_recipe(task.recipe, task.architecture, task.data, parts)

    def run(pieces: int) -> Result:
        batches = Batches(task, parts)
        state = start(task)
        if checkpoints is not None:
            checkpoints.restore(state)
        state.pieces = max(state.pieces, pieces)
        log_start(task, parts, state)
        run_epochs(task, state, batches, checkpoints, tell)
        return result_of(task, state, batches)

    return in_two_pieces(task, run, lambda size: try_step(task, parts, size))


def run_epochs(task: Task, state: State, batches: "Batches", checkpoints: Checkpoints | None, tell: Tell) -> None:
    """Trains the epochs that are left."""
    pause = (lambda: None) if checkpoints is None else (lambda: checkpoints.between_steps(state))
    while state.epoch < task.recipe.epochs:
        check_progress(state.history, task.data.classes)
        record = run_epoch(task, state, batches, pause)
        state.history.append(record)
        state.part = None
        if checkpoints is not None:
            checkpoints.save(state)
        tell(record)


def log_start(task: Task, parts: Split, state: State) -> None:
    """Says what is about to be trained, and where."""
    notice(
        "training",
        data=task.data.name,
        training_images=len(parts.training),
        validation_images=len(parts.validation),
        data_digest=task.data.digest,
        split_seed=SPLIT_SEED,
        device=device_name(task.device),
        done=state.epoch,
        epochs=task.recipe.epochs,
    )


def run_epoch(task: Task, state: State, batches: "Batches", pause: Callable[[], None]) -> EpochRecord:
    """Trains the current epoch, or what is left of it, and validates; `pause` is called between steps.

    Raises:
        Diverged
    """
    part = state.part = state.part or begin_epoch(task, state)
    loss = train_epoch(task, state, part, batches, pause)
    training_seconds = part.seconds
    began = time.monotonic()
    accuracy = validate(task, state, batches, pause)
    return EpochRecord(
        attempt=task.attempt,
        epoch=state.epoch + 1,
        loss=loss,
        validation_accuracy=accuracy,
        learning_rate=learning_rate(task.recipe, state.epoch),
        seconds=training_seconds + time.monotonic() - began,
        images_per_second=round(part.images / training_seconds, 1) if training_seconds else 0,
        attempts=part.attempts(task.attempt),
        pieces=state.pieces,
    )


class Batches:
    """The training and validation images on the device; what is random comes from the generator of the epoch."""

    def __init__(self, task: Task, parts: Split) -> None:
        x, y = task.data.x_train, task.data.y_train
        self.normalise: Normalisation = normalisation(x[parts.training]).to(task.device)
        self._size = task.recipe.batch_size
        self._training = x[parts.training].to(task.device), y[parts.training].to(task.device)
        self._validation = x[parts.validation].to(task.device), y[parts.validation].to(task.device)

    def order(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Numbers of the images of each batch of an epoch. A last batch of one image is left out: it has no variance."""
        numbers = torch.randperm(len(self._training[1]), generator=generator, device=generator.device)
        return tuple(chosen for chosen in torch.split(numbers, self._size) if len(chosen) > 1)

    def images(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Training images and labels by their numbers."""
        images, labels = self._training
        return images[chosen], labels[chosen]

    def training(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, in random order."""
        yield from map(self.images, self.order(generator))

    def validation(self, pieces: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Every validation image once, in the order of the data."""
        images, labels = self._validation
        size = without_gradients(self._size, pieces)
        yield from zip(torch.split(images, size), torch.split(labels, size), strict=True)


def train_epoch(task: Task, state: State, part: Part, batches: Batches, pause: Callable[[], None]) -> float:
    """One pass over the training images, or the rest of it; gives the mean loss.

    Raises:
        Diverged: if the loss is not a number.
    """
    order = batches.order(begin_epoch(task, state).generator if part.steps else part.generator)
    rate, every = learning_rate(task.recipe, state.epoch), 1 if task.device.type == "cpu" else LOSS_IS_READ_EVERY
    left = order[part.steps :]
    step = steps_of(task, state, part, len(left), lambda chosen: train_step(task, state, part, batches, chosen))
    state.network.train()
    for chosen in left:
        began = time.monotonic()
        part.loss += step(chosen)
        part.steps += 1
        part.images += len(chosen)
        if part.steps % every == 0 or part.steps == len(order):
            _finite(float(part.loss), "training loss", state.epoch + 1, rate)
        part.seconds += time.monotonic() - began
        pause()
    return float(part.loss / part.images)


def train_step(task: Task, state: State, part: Part, batches: Batches, chosen: Tensor) -> Tensor:
    """One step on the images of these numbers; gives the sum of their losses, the auxiliary classifier's not included."""
    recipe, total = task.recipe, torch.zeros((), device=task.device)
    probability = drop_path_probability(recipe, state.epoch)
    drop = DropPath(probability, part.generator) if probability else None
    pieces = torch.tensor_split(chosen, state.pieces) if len(chosen) >= 2 * state.pieces else (chosen,)
    for piece in pieces:
        images, labels = batches.images(piece)
        x = augment(images, recipe, batches.normalise, part.generator)
        logits, auxiliary = forward(task, state, x, drop)
        loss = cross_entropy(logits.float(), labels)
        total += loss.detach() * len(labels)
        if auxiliary is not None:
            loss = loss + recipe.auxiliary_weight * cross_entropy(auxiliary.float(), labels)
        (loss * (len(labels) / len(chosen))).backward()  # type: ignore[no-untyped-call]
    state.optimiser.step(learning_rate(recipe, state.epoch), recipe.gradient_clip)
    return total


def forward(task: Task, state: State, images: Tensor, drop: DropPath | None) -> tuple[Tensor, Tensor | None]:
    """Logits (B, classes) of normalised images (B, C, H, W), and those of the auxiliary classifier in training."""
    x = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(task.device.type, torch.bfloat16, enabled=task.recipe.precision == "bfloat16"):
        logits, auxiliary = state.network(x, drop)
    return logits, auxiliary


@torch.no_grad()
def validate(task: Task, state: State, batches: Batches, pause: Callable[[], None]) -> float | None:
    """Accuracy, from 0 to 1, on the validation images as they are; None where there are none.

    Raises:
        Diverged: if the network's output is not a number.
    """
    right, count = torch.zeros((), device=task.device), 0
    total = torch.zeros((), device=task.device)
    state.network.eval()
    for images, labels in batches.validation(state.pieces):
        if not len(labels):
            return None
        logits, _ = forward(task, state, batches.normalise(images), None)
        right += (logits.argmax(1) == labels).sum()
        total += logits.float().abs().sum()
        count += len(labels)
        pause()
    _finite(float(total), "output of the network", state.epoch + 1, learning_rate(task.recipe, state.epoch))
    return float(right) / count


def without_gradients(batch_size: int, pieces: int) -> int:
    """Images of a batch that is not trained on, for which there is more room."""
    return max(1, 2 * batch_size // pieces)


def try_step(task: Task, parts: Split, size: int) -> None:
    """A step and a batch of validation as they take most memory, with batches of that size; what was trained is forgotten.

    In the last epoch, when paths are dropped; with all images on the device.
    """
    task = replace(task, recipe=task.recipe.model_copy(update={"batch_size": size}))
    batches, state = Batches(task, parts), start(task)
    state.history += [EpochRecord(attempt=0, epoch=0, loss=0, learning_rate=0, seconds=0)] * (task.recipe.epochs - 1)
    part = begin_epoch(task, state)
    state.network.train()
    float(train_step(task, state, part, batches, batches.order(part.generator)[0]))  # waits for the device
    state.network.eval()
    with torch.no_grad():
        images, _ = next(batches.validation())
        if len(images):
            float(forward(task, state, batches.normalise(images), None)[0].sum())


def result_of(task: Task, state: State, batches: Batches) -> Result:
    """What the training gave; opens the test images where the recipe says so, once."""
    recipe, data, test = task.recipe, task.data, None
    if recipe.test_at_end:
        size = without_gradients(recipe.batch_size, state.pieces)
        test = evaluate(state.network, data.x_test, data.y_test, batches.normalise, size).accuracy
    return Result(
        validation_accuracy=score(state.history, recipe.score_epochs),
        test_accuracy=test,
        history=tuple(state.history),
        network=state.network,
        normalise=batches.normalise,
    )


def _finite(value: float, what: str, epoch: int, rate: float) -> None:
    if value - value != 0:  # infinite or not a number
        raise Diverged(
            f"{what} is {value} in epoch {epoch} at learning rate {rate:g}; "
            f"a smaller recipe.learningRate or recipe.gradientClip would train this architecture"
        )
