"""The benchmark programs: the loops that are compared train the same network, and the rank correlation is right."""

from collections.abc import Callable

import pytest
import torch

from bananas_core.api.recipe import Recipe
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.genotypes import NAMED
from bananas_trainer.training import Task
from bench.trainer_baselines import Loop, ours, plain
from bench.trainer_learning import GENOTYPES, spearman

pytestmark = pytest.mark.slow

LOOPS: dict[str, Callable[[Task], Loop]] = {
    "A": lambda task: plain(task, data_on_device=False),
    "B": lambda task: plain(task, data_on_device=True),
    "C": ours,
}


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_trains_the_steps_it_is_asked_for(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(40) % 4
    data = Dataset("made up", images, labels, images, labels, 4, "")
    recipe = Recipe(channels=1, layers=3, batch_size=8, epochs=20)
    pace = LOOPS[name](Task(NAMED["DARTS_V2"], recipe, data, 0, 1, torch.device("cpu")))(3)
    assert pace.images == 24
    assert pace.images_per_second > 0
    assert pace.data_seconds > 0


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        ([1, 2, 3], [10, 20, 30], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 1, 2], [1, 2, 3], 0.8660254),
    ],
)
def test_spearman_is_the_correlation_of_ranks(a: list[float], b: list[float], want: float) -> None:
    assert spearman(a, b) == pytest.approx(want)


def test_the_genotypes_that_are_ranked_are_all_different() -> None:
    assert len({genotype.canonical().to_text() for genotype in GENOTYPES.values()}) == len(GENOTYPES) == 6
