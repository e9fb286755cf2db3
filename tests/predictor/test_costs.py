"""What a network costs by formula is what the trainer counts in the network that it builds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.api.recipe import Recipe
from bananas_core.spaces import Architecture, Space
from bananas_predictor.spaces import SPACES
from bananas_predictor.spaces.costs import PUBLISHED, NetworkShape, trained_shape
from bananas_tables import load_table
from bananas_trainer.genotypes import NAMED
from bananas_trainer.networks.building import Shape, build
from bananas_trainer.networks.counting import measure

SHAPES: dict[Space, tuple[NetworkShape, ...]] = {
    "darts": (
        NetworkShape(4, 3, 10, 1, 8),
        NetworkShape(8, 8, 100, 3, 32),
        NetworkShape(6, 2, 5, 3, 16),
        NetworkShape(6, 1, 5, 3, 16),
        NetworkShape(8, 5, 7, 3, 64, "imagenet"),
    ),
    "nasbench101": (NetworkShape(16, 9), NetworkShape(13, 3, 4, 1, 8)),
    "nasbench201": (NetworkShape(16, 15), NetworkShape(5, 6, 100, 1, 8)),
}
CASES = [(space, shape) for space, shapes in SHAPES.items() for shape in shapes]


@pytest.mark.parametrize(("space", "shape"), CASES, ids=str)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_costs_are_those_of_the_network_that_the_trainer_builds(space: Space, shape: NetworkShape, seed: int) -> None:
    cells = SPACES[space].sample(2, np.random.default_rng(seed))
    costs = SPACES[space].costs(cells, shape)
    for row, architecture in enumerate(SPACES[space].unpack(cells)):
        network = build(
            architecture.cell,  # type: ignore[arg-type]
            Shape(shape.channels, shape.layers, shape.classes, shape.image_channels, stem=shape.stem),
        )
        want = measure(network, (shape.image_channels, shape.image_size, shape.image_size))
        assert (costs.parameters[row], costs.multiply_adds[row]) == (want.parameters, want.multiply_adds)


def test_the_published_genotypes_have_the_published_costs() -> None:
    space = SPACES["darts"]
    cells = space.pack([Architecture.of(NAMED[name]) for name in ("DARTS_V1", "DARTS_V2", "BANANAS")])
    costs = space.costs(cells, PUBLISHED["darts"])
    assert costs.parameters.tolist() == [3_169_414, 3_349_342, 3_583_054]
    assert costs.multiply_adds.tolist() == [500_987_520, 528_359_040, 566_043_264]


def test_the_parameters_of_nasbench101_are_those_of_the_table(data_file: Callable[[str], Path]) -> None:
    table = load_table("nasbench101", data_file("nasbench101_sample.csv"))
    architectures = list(table)[::100]
    space = SPACES["nasbench101"]
    got = space.costs(space.pack(architectures), PUBLISHED["nasbench101"]).parameters.tolist()
    assert got == [table.look_up(architecture).parameters for architecture in architectures]


@pytest.mark.parametrize("space", SPACES)
def test_nothing_costs_nothing(space: Space) -> None:
    none = SPACES[space].pack([])
    assert SPACES[space].costs(none, PUBLISHED[space]).parameters.shape == (0,)


def test_a_recipe_says_the_shape_and_an_image_size_counts_where_only_the_trainer_sees_the_images() -> None:
    assert trained_shape(Recipe(dataset="digits", channels=4, layers=3), 99) == NetworkShape(4, 3, 10, 1, 8)
    folder = Recipe(dataset="folder", file="x", classes=7, stem="imagenet")
    assert trained_shape(folder, 224) == NetworkShape(36, 20, 7, 3, 224, "imagenet")
