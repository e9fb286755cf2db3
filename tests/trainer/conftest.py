"""What the trainer's tests share: a quick recipe, small files of images, and trials that run in processes of their own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bananas_core.api.recipe import Recipe
from bananas_core.contract import TrialFile
from bananas_core.spaces import Architecture
from bananas_trainer.genotypes import NAMED
from tests.support.trainer import Processes


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """A command that runs in this process sets as many as it may use; torch does not bear that in the middle of its life."""
    torch.set_num_threads(1)


@pytest.fixture
def quick_recipe() -> Callable[..., Recipe]:
    """A recipe for the digits whose epochs last some tens of milliseconds, with changes."""

    def make(**changes: Any) -> Recipe:
        fields = {
            "epochs": 4,
            "score_epochs": 2,
            "channels": 1,
            "layers": 2,
            "batch_size": 512,
            "auxiliary": False,
            "cutout": 2,
            "crop_padding": 1,
            "drop_path": 0.2,
            "learning_rate": 0.1,
        }
        return Recipe.model_validate({**fields, **changes})

    return make


@pytest.fixture
def trial(tmp_path: Path, quick_recipe: Callable[..., Recipe]) -> Callable[..., TrialFile]:
    """A trial file's content for an attempt, with changes of the trial; `recipe` takes changes of the recipe."""

    def make(attempt: int = 1, recipe: dict[str, Any] | None = None, **changes: Any) -> TrialFile:
        fields = {
            "namespace": "demo",
            "search": "s",
            "trial": "s-0",
            "trial_uid": "uid-of-s-0",
            "attempt": attempt,
            "architecture": Architecture.of(NAMED["BANANAS"]),
            "recipe": quick_recipe(**(recipe or {})),
            "checkpoint_dir": str(tmp_path / "checkpoints"),
            "data_dir": str(tmp_path),
            "termination_file": str(tmp_path / "termination"),
        }
        return TrialFile.model_validate({**fields, **changes})

    return make


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Starts pod programs in processes of their own."""
    with Processes() as started:
        yield started


@pytest.fixture
def message(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """The termination message."""

    def read() -> dict[str, Any]:
        content: dict[str, Any] = json.loads((tmp_path / "termination").read_text())
        return content

    return read


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes an npz file of random images with 4 classes; changes replace arrays, None leaves one out."""

    def write(name: str = "data.npz", side: int = 8, channels: int = 1, classes: int = 4, **changes: Any) -> Path:
        random = np.random.default_rng(0)
        arrays: dict[str, Any] = {}
        for part, n in (("train", 96), ("test", 24)):
            arrays[f"x_{part}"] = random.integers(0, 256, (n, channels, side, side), dtype=np.uint8)
            arrays[f"y_{part}"] = np.arange(n) % classes
        arrays.update(changes)
        path = tmp_path / name
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return write
