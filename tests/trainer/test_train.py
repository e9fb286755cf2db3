"""The training loop itself: it learns, it learns in both precisions, and on a GPU where there is one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import load, split
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.genotypes import NAMED
from bananas_trainer.train import Batches, train, train_step
from bananas_trainer.training import Task, begin_epoch, start

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is visible")),
]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_small_network_learns_the_digits(quick_recipe: Callable[..., Recipe], device: str, precision: str) -> None:
    """A guess is right one time in ten."""
    recipe = quick_recipe(
        epochs=8, layers=3, channels=3, batch_size=48, cutout=0, flip=False, drop_path=0.1, precision=precision
    )
    records: list[EpochRecord] = []
    task = Task(NAMED["DARTS_V2"], recipe, load(recipe, None), 0, 1, torch.device(device))
    result = train(task, None, records.append)
    assert result.validation_accuracy > 0.8
    assert [record.epoch for record in records] == [*range(1, 9)]
    assert records[-1].loss < records[0].loss / 2
    assert result.validation_accuracy == pytest.approx(sum(r.validation_accuracy for r in records[-2:]) / 2)


def test_the_auxiliary_classifier_is_trained_with_the_network(
    quick_recipe: Callable[..., Recipe], npz: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = quick_recipe(
        dataset="npz", file="data.npz", auxiliary=True, batch_size=32, layers=3, epochs=1, score_epochs=1
    )
    npz(side=32, channels=3)
    weights: list[torch.Tensor] = []
    for weight in (0.0, 0.4):
        changed = recipe.model_copy(update={"auxiliary_weight": weight})
        data = load(changed, tmp_path)
        result = train(Task(NAMED["DARTS_V2"], changed, data, 0, 1, torch.device("cpu")), None, lambda _: None)
        weights.append(result.network.state_dict()["stem.0.weight"])
    assert not torch.equal(*weights)


def test_two_halves_with_the_same_images_make_the_step_of_the_whole(quick_recipe: Callable[..., Recipe]) -> None:
    """Then the batch norms see the same, so the gradients that are added up are those of the whole."""
    recipe = quick_recipe(batch_size=64, cutout=0, crop_padding=0, flip=False, drop_path=0)
    data = load(recipe, None)
    task = Task(NAMED["DARTS_V2"], recipe, data, 0, 1, torch.device("cpu"))
    batches = Batches(task, split(data.y_train, recipe.validation_fraction))
    numbers = torch.arange(32)
    weights: list[torch.Tensor] = []
    losses: list[float] = []
    for pieces, chosen in ((1, torch.cat([numbers, numbers])), (2, torch.cat([numbers, numbers]))):
        state = start(task)
        state.pieces = pieces
        state.network.train()
        losses.append(float(train_step(task, state, begin_epoch(task, state), batches, chosen)))
        weights.append(torch.cat([p.detach().flatten() for p in state.network.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(
        weights[0], torch.cat([p.detach().flatten() for p in start(task).network.parameters()]), atol=1e-4
    )
