"""State_dicts as the original publishes them: reading, writing, and putting them into a network.

A published checkpoint is `torch.save(model.state_dict())`: 1,650 tensors with the auxiliary head, 1,636 without, or fewer
where the file is so old that batch norms count no batches. Ours are safetensors files. Neither is ever executed: pickles
are read with `weights_only`.

Called by `bananas-trainer evaluate` and `export`.
"""

import pickle
import re
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bananas_core.attempt import write_atomically
from bananas_core.spaces.darts import DartsArchitecture
from bananas_trainer.errors import CheckpointUnusable
from bananas_trainer.networks.building import STACKS, Cell, Network, Shape, build

WEIGHTS_FILE: Final = "weights.safetensors"
_COUNTER: Final = ".num_batches_tracked"
_STEMS: Final = ("stem.0.weight", "stem.op.0.weight", "stem0.0.weight")
_LARGE_STEM: Final = "stem1.1.weight"
_DIFFERENCES_SHOWN: Final = 3


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and what the file says beside them."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_weights(path: Path) -> Weights:
    """Reads a state_dict, ours or a published one; of a directory of `train` the trained network.

    Raises:
        CheckpointUnusable: naming the file.
    """
    path = path / WEIGHTS_FILE if path.is_dir() else path
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointUnusable(f"{path}: {error.strerror}; want a checkpoint file") from error
    return (
        _read_ours(path) if start[8:] == b"{" else _read_published(path)
    )  # after its length, a safetensors file has JSON


def _read_ours(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            return Weights(path, {name: file.get_tensor(name) for name in names}, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointUnusable(
            f"{path}: a safetensors file, truncated or corrupt ({error}); copy it again"
        ) from error


def _read_published(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to switch the protection off.
        named = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        what = f"it names {named[1]}, which could run code" if named else "it is corrupt, or holds more than tensors"
        raise CheckpointUnusable(
            f"{path}: refused: {what}; want a plain state_dict, as torch.save(model.state_dict()) writes it"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointUnusable(f"{path}: truncated or corrupt ({reason}); copy it again") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]  # some are kept with epoch and optimiser around them
    if not isinstance(content, dict) or not content:
        raise CheckpointUnusable(f"{path}: holds a {type(content).__name__}; want a state_dict, tensors by name")
    strange = [name for name, value in content.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if strange:
        raise CheckpointUnusable(f"{path}: {strange[0]!r} is no tensor; want a state_dict, tensors by name")
    return Weights(path, dict(content), {})


def write_published(path: Path, network: Network) -> None:
    """Writes a network as the original does: torch.save of its state_dict.

    Raises:
        CheckpointUnusable
    """
    content = BytesIO()
    torch.save(OrderedDict((name, tensor.cpu().contiguous()) for name, tensor in network.state_dict().items()), content)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise CheckpointUnusable(f"{path}: {error.strerror}; want a file in a directory that may be written") from error


def network_of(cell: Cell, weights: Weights, name: str) -> Network:
    """The network of an architecture, called `name`, with these weights; its size is that of the tensors.

    Raises:
        CheckpointUnusable: with the first tensors that differ.
    """
    shape = shape_of(cell, weights)
    network = build(cell, shape)
    want = network.state_dict()
    tensors = dict(weights.tensors)
    if not any(key.endswith(_COUNTER) for key in tensors):  # an old file; the counters are not used
        tensors |= {key: torch.zeros_like(tensor) for key, tensor in want.items() if key.endswith(_COUNTER)}
    differences = _differences(want, tensors)
    if differences:
        more = len(differences) - _DIFFERENCES_SHOWN
        raise CheckpointUnusable(
            f"{weights.path}: not a network of {name} with {shape.channels} channels and {shape.layers} layers: "
            + "; ".join(differences[:_DIFFERENCES_SHOWN])
            + (f"; and {more} more" if more > 0 else "")
        )
    network.load_state_dict(tensors, strict=True)
    return network


def _differences(want: dict[str, Tensor], have: dict[str, Tensor]) -> list[str]:
    """In the order of the network, then what the network has no place for."""
    found = []
    for name, tensor in want.items():
        if name not in have:
            found.append(f"no {name}")
        elif have[name].shape != tensor.shape:
            found.append(f"{name} is {tuple(have[name].shape)}, want {tuple(tensor.shape)}")
    return found + [f"{name} has no place in it" for name in have if name not in want]


def shape_of(cell: Cell, weights: Weights) -> Shape:
    """The size of the network whose tensors these are.

    Raises:
        CheckpointUnusable: where they are none of ours.
    """
    tensors = weights.tensors
    stem = next((tensors[name] for name in _STEMS if name in tensors), None)
    head = tensors.get("classifier.weight")
    numbers = {int(found[1]) for name in tensors if (found := re.match(r"cells\.(\d{1,4})\.", name))}
    if stem is None or stem.ndim != 4 or head is None or head.ndim != 2 or not numbers:
        first = ", ".join(list(tensors)[:_DIFFERENCES_SHOWN])
        raise CheckpointUnusable(
            f"{weights.path}: no network of ours: want {_STEMS[0]}, cells.N... and classifier.weight; found {first}"
        )
    is_darts = isinstance(cell, DartsArchitecture)
    cells = max(numbers) + 1
    blocks = len({name.split(".")[1] for name in tensors if ".conv_a." in name})  # between stages, not cells
    layers = cells if is_darts else max(STACKS, (cells - blocks) // STACKS * STACKS)
    is_large = is_darts and _LARGE_STEM in tensors
    width = tensors[_LARGE_STEM].shape[0] if is_large else stem.shape[0]
    return Shape(
        channels=max(1, width // 3) if is_darts and not is_large else width,
        layers=layers,
        classes=head.shape[0],
        image_channels=stem.shape[1],
        auxiliary=any(name.startswith("auxiliary_head.") for name in tensors),
        stem="imagenet" if is_large else "cifar",
    )
