"""What `evaluate`, `export` and `describe` do with a network: from files and architectures to facts.

Called by `command.py` only, which shows the facts. Nothing here trains.
"""

import time
from pathlib import Path
from typing import Any

import torch

from bananas_core.api.recipe import Dataset as Kind
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench101 import MAX_VERTICES
from bananas_trainer.data import normalisation, read
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.device import choose_device, device_name
from bananas_trainer.errors import CheckpointUnusable, DataInvalid, OutOfDeviceMemory, RecipeInvalid
from bananas_trainer.evaluate import evaluate
from bananas_trainer.fitting import problem_of_sides
from bananas_trainer.memory import is_about_memory
from bananas_trainer.networks.building import LARGE_SHAPE, PUBLISHED_SHAPES, STACKS, Network, Shape, build
from bananas_trainer.networks.counting import measure, training_memory
from bananas_trainer.networks.darts import Stem
from bananas_trainer.published import Weights, network_of, read_weights, shape_of, write_published
from bananas_trainer.weights import Trained, trained_of


def score_checkpoint(
    checkpoint: Path, name: str, architecture: Architecture, source: tuple[Kind, Path], batch: int
) -> dict[str, Any]:
    """Facts of a test on the test images.

    Raises:
        AttemptError: naming the file.
    """
    network, weights, trained = _load(checkpoint, name, architecture)
    data = read(*source)
    _check(weights, network, architecture, data)
    device = choose_device()
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    began = time.monotonic()
    normalise = trained.normalise if trained is not None else normalisation(data.x_train)
    try:
        score = evaluate(network, data.x_test, data.y_test, normalise, batch)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_about_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        raise OutOfDeviceMemory(
            f"--batch {batch}: does not fit the memory of {device_name(device)}; want a smaller --batch ({reason})"
        ) from error
    size = measure(network, data.image_shape)
    return {
        "data": data.name,
        "data_digest": data.digest,
        "images": score.images,
        "accuracy": round(score.accuracy, 6),
        "error_percent": round(100 * (1 - score.accuracy), 4),
        "loss": round(score.loss, 6),
        "parameters": size.parameters,
        "auxiliary_parameters": size.auxiliary_parameters,
        "multiply_adds": size.multiply_adds,
        "device": device_name(device),
        "seconds": round(time.monotonic() - began, 3),
    }


def export_checkpoint(checkpoint: Path, name: str, architecture: Architecture, out: Path) -> int:
    """Writes the published form; gives the number of tensors.

    Raises:
        CheckpointUnusable
    """
    network, _, _ = _load(checkpoint, name, architecture)
    write_published(out, network)
    return len(network.state_dict())


def size_of(
    architecture: Architecture, channels: int | None, layers: int | None, stem: Stem, batch: int
) -> dict[str, Any]:
    """Facts of the network for 10 classes of 32 x 32 images, or 1,000 of 224 x 224.

    Raises:
        RecipeInvalid
    """
    cell = architecture.published
    large = stem == "imagenet"
    published = LARGE_SHAPE if large else PUBLISHED_SHAPES[type(cell)]
    if large and architecture.space != "darts":
        raise RecipeInvalid(f"--stem {stem}: only networks of space darts have it; want cifar")
    shape = Shape(
        channels=channels or published[0],
        layers=layers or published[1],
        classes=1000 if large else 10,
        auxiliary=architecture.space == "darts",
        stem=stem,
    )
    if architecture.space != "darts" and shape.layers % STACKS:
        raise RecipeInvalid(
            f"--layers {shape.layers}: a network of space {architecture.space} has {STACKS} stacks of as many cells each; "
            f"want a multiple of {STACKS}"
        )
    if architecture.space == "nasbench101" and shape.channels < MAX_VERTICES - 2:
        raise RecipeInvalid(f"--channels {shape.channels}: want at least {MAX_VERTICES - 2} for space nasbench101")
    network = build(cell, shape)
    image = (3, 224, 224) if large else (3, 32, 32)
    size = measure(network, image)
    return {
        "channels": shape.channels,
        "layers": shape.layers,
        "parameters": size.parameters,
        "auxiliary_parameters": size.auxiliary_parameters,
        "multiply_adds": size.multiply_adds,
        "training_memory_bytes": training_memory(network, image, batch),
    }


def _load(checkpoint: Path, name: str, architecture: Architecture) -> tuple[Network, Weights, Trained | None]:
    weights = read_weights(checkpoint)
    trained = trained_of(weights.path, weights.metadata)
    if trained is not None and trained.architecture != architecture:
        raise CheckpointUnusable(
            f"{weights.path}: holds {trained.architecture.to_text()}, not {name}; want its own --genotype"
        )
    return network_of(architecture.published, weights, name), weights, trained


def _check(weights: Weights, network: Network, architecture: Architecture, data: Dataset) -> None:
    classes = network.classifier.out_features
    if classes != data.classes:
        raise DataInvalid(f"{data.name}: {data.classes} classes, but {weights.path} tells {classes} apart")
    channels = next(p for p in network.parameters() if p.ndim == 4).shape[1]
    if channels != data.image_shape[0]:
        raise DataInvalid(
            f"{data.name}: images of {data.image_shape[0]} channels, but {weights.path} takes images of {channels}"
        )
    cell = architecture.published
    shape = shape_of(cell, weights)
    if problem := problem_of_sides(cell, shape.layers, shape.stem, data):
        raise DataInvalid(f"{data.name}: the network in {weights.path} does not take them: {problem}")
