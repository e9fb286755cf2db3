"""Trainings that cannot succeed although their loss is a number end early; healthy ones never do."""

from collections.abc import Callable, Sequence
from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import load
from bananas_trainer.divergence import check_progress
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.errors import Diverged
from bananas_trainer.genotypes import NAMED
from bananas_trainer.train import train
from bananas_trainer.training import Task

GUESSING = log(10)


def history(losses: Sequence[float]) -> list[EpochRecord]:
    """Epochs with these losses, in units of guessing."""
    return [
        EpochRecord(attempt=1, epoch=n, loss=GUESSING * loss, learning_rate=0.1, seconds=1)
        for n, loss in enumerate(losses, 1)
    ]


@pytest.mark.parametrize(
    ("losses", "wants"),
    [
        ([1.2, 11, 11.5], ("epochs 2 to 3", "25.33", "10 times 2.3")),
        ([0.9, 0.4, 1, 1, 1, 1, 1.1], ("epochs 3 to 7", "guessing", "0.921 earlier")),
    ],
)
def test_a_loss_that_exploded_or_is_that_of_guessing_again_ends_the_training(
    losses: list[float], wants: tuple[str, ...]
) -> None:
    with pytest.raises(Diverged) as caught:
        check_progress(history(losses), 10)
    for want in (*wants, "recipe.learningRate"):
        assert want in str(caught.value)


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [12.0],  # one epoch may be bad
        [12, 1.1, 12, 0.9],
        [1.0] * 30,  # an architecture that learns nothing has its accuracy, and that is a result
        [0.4, 1, 1, 1, 1, 0.9, 1],
        [0.6, 1, 1, 1, 1, 1],
    ],
)
def test_a_bad_epoch_or_an_architecture_that_learns_nothing_does_not(losses: list[float]) -> None:
    check_progress(history(losses), 10)


@given(st.lists(st.floats(0, 1.5), max_size=20).map(lambda drops: sorted(drops, reverse=True)))
def test_a_loss_that_falls_never_ends_a_training(losses: list[float]) -> None:
    check_progress(history(losses), 10)


def test_a_training_that_explodes_ends_before_its_last_epoch(
    quick_recipe: Callable[..., Recipe], npz: Callable[..., Path], tmp_path: Path
) -> None:
    """Labels that nothing in the images tells, and steps far too long: the loss stays finite and huge."""
    npz()
    recipe = quick_recipe(
        dataset="npz", file="data.npz", epochs=50, batch_size=16, learning_rate=30, gradient_clip=1000, drop_path=0
    )
    told: list[EpochRecord] = []
    with pytest.raises(Diverged, match="training loss of epochs"):
        train(Task(NAMED["DARTS_V2"], recipe, load(recipe, tmp_path), 0, 1, torch.device("cpu")), None, told.append)
    assert 2 <= len(told) < 10
