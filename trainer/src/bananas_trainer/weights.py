"""What weights.safetensors says beside its tensors: the architecture, and how its images were normalised.

Written after a training, read by `evaluate` and `export`.
"""

from pathlib import Path
from typing import Final

import torch
from pydantic import ValidationError

from bananas_core.model import Model
from bananas_core.spaces import Architecture
from bananas_trainer.augmentation import Normalisation
from bananas_trainer.errors import CheckpointUnusable

_KEY: Final = "trained"  # one key: a safetensors file with several has them in any order, and its bytes differ


class Trained(Model):
    """What the weights belong to. Mean and standard deviation are per channel, of pixels from 0 to 1."""

    architecture: Architecture
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    split_seed: int | None = None
    """Chose the validation images; None where there were none, or in an older file."""

    @property
    def normalise(self) -> Normalisation:
        """As the images of the training were."""
        each = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.standard_deviation))
        return Normalisation(*each)


def metadata_of(architecture: Architecture, normalise: Normalisation, split_seed: int | None) -> dict[str, str]:
    """The metadata of the file."""
    mean, deviation = (tuple(values.flatten().tolist()) for values in (normalise.mean, normalise.standard_deviation))
    trained = Trained(architecture=architecture, mean=mean, standard_deviation=deviation, split_seed=split_seed)
    return {_KEY: trained.model_dump_json(by_alias=True, exclude_none=True)}


def trained_of(path: Path, metadata: dict[str, str]) -> Trained | None:
    """What the metadata says; None where a file that is not ours says nothing.

    Raises:
        CheckpointUnusable: naming the file.
    """
    if _KEY not in metadata:
        return None
    try:
        return Trained.model_validate_json(metadata[_KEY])
    except ValidationError as error:
        raise CheckpointUnusable(f"{path}: its note of what was trained is unreadable ({error})") from error
