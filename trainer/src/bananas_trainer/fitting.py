"""Whether a recipe fits its data: checked before anything is trained, so that a search stops at once and says why."""

from collections.abc import Iterator

from bananas_core.api.recipe import Recipe
from bananas_core.spaces.darts import DartsArchitecture
from bananas_core.spaces.nasbench101 import MAX_VERTICES, Nasbench101Architecture
from bananas_trainer.data import Split
from bananas_trainer.datasets.dataset import Dataset
from bananas_trainer.errors import RecipeInvalid
from bananas_trainer.networks.building import PUBLISHED_SHAPES, STACKS, Cell, halvings
from bananas_trainer.networks.darts import AUXILIARY_SIDES, LARGE_AUXILIARY_SIDES, STEM_FACTORS, Stem


def check_recipe(recipe: Recipe, cell: Cell, data: Dataset, parts: Split) -> None:
    """Refuses a recipe that cannot be trained on the data.

    Raises:
        RecipeInvalid: naming every field that does not fit, its value and what would fit.
    """
    problems = [
        *_of_numbers(recipe, data),
        *_of_space(recipe, cell),
        *_of_images(recipe, cell, data),
        *_of_parts(recipe, parts),
    ]
    if problems:
        raise RecipeInvalid("; ".join(problems))


def _of_numbers(recipe: Recipe, data: Dataset) -> Iterator[str]:
    if recipe.classes is not None and recipe.classes != data.classes:
        yield (
            f"recipe.classes: {recipe.classes}, but {data.name} has {data.classes} labels; "
            f"want {data.classes}, or leave it out"
        )
    if recipe.score_epochs > recipe.epochs:
        yield f"recipe.scoreEpochs: {recipe.score_epochs}; want at most epochs, {recipe.epochs}"


def _of_space(recipe: Recipe, cell: Cell) -> Iterator[str]:
    if isinstance(cell, DartsArchitecture):
        return
    if recipe.stem != "cifar":
        yield f"recipe.stem: {recipe.stem}, but only networks of space darts have another; want cifar"
    space = "nasbench101" if isinstance(cell, Nasbench101Architecture) else "nasbench201"
    if recipe.layers % STACKS:
        yield (
            f"recipe.layers: {recipe.layers}, but a network of space {space} has {STACKS} stacks of as many cells each; "
            f"want a multiple of {STACKS} (published: {PUBLISHED_SHAPES[type(cell)][1]})"
        )
    if space == "nasbench101" and recipe.channels < MAX_VERTICES - 2:
        yield (
            f"recipe.channels: {recipe.channels}, but they are split over up to {MAX_VERTICES - 2} vertices of a cell; "
            f"want at least {MAX_VERTICES - 2}"
        )
    if recipe.auxiliary:
        yield f"recipe.auxiliary: true, but a network of space {space} has no auxiliary classifier; set auxiliary: false"
    if recipe.drop_path:
        yield f"recipe.dropPath: {recipe.drop_path}, but a network of space {space} has no drop path; set dropPath: 0"


def _of_images(recipe: Recipe, cell: Cell, data: Dataset) -> Iterator[str]:
    _, h, w = data.image_shape
    images = f"the images of {data.name} are {w} x {h} pixels"
    sides = AUXILIARY_SIDES if recipe.stem == "cifar" else LARGE_AUXILIARY_SIDES
    factor = STEM_FACTORS[recipe.stem] << halvings(cell, recipe.layers)
    if problem := problem_of_sides(cell, recipe.layers, recipe.stem, data):
        yield f"recipe.layers: {problem}"
    fits = {h // factor, w // factor} <= set(sides)
    if recipe.auxiliary and isinstance(cell, DartsArchitecture) and not fits:
        smallest, largest = sides[0] * factor, sides[-1] * factor
        yield (
            f"recipe.auxiliary: true, but the auxiliary classifier takes images of {smallest} to {largest} pixels, "
            f"and {images}; set auxiliary: false"
        )
    for field, value in (("cutout", recipe.cutout), ("cropPadding", recipe.crop_padding)):
        if value >= min(h, w):
            yield f"recipe.{field}: {value}, but {images}; want less than {min(h, w)}, 0 is none"


def problem_of_sides(cell: Cell, layers: int, stem: Stem, data: Dataset) -> str | None:
    """Why a network of so many layers cannot take the images of a data set; None where it can."""
    _, h, w = data.image_shape
    times = halvings(cell, layers)
    factor = STEM_FACTORS[stem] << times
    if not (h % factor or w % factor):
        return None
    after = "" if stem == "cifar" else f" after the {stem} stem divided it by {STEM_FACTORS[stem]}"
    return (
        f"{layers} layers halve an image {times} times{after}, and the images of {data.name} are {w} x {h} pixels; "
        f"want images whose sides are multiples of {factor}"
    )


def _of_parts(recipe: Recipe, parts: Split) -> Iterator[str]:
    training, validation = len(parts.training), len(parts.validation)
    if recipe.validation_fraction == 0 and not recipe.test_at_end:
        yield (
            "recipe.validationFraction: 0 leaves no images to validate; set testAtEnd: true for a final training, or a "
            "fraction such as 0.3"
        )
    elif not training or not (validation or recipe.test_at_end):
        yield (
            f"recipe.validationFraction: {recipe.validation_fraction} leaves {training} images to train and {validation} to "
            f"validate; both need at least one"
        )
    elif recipe.batch_size > training:
        yield (
            f"recipe.batchSize: {recipe.batch_size}, but there are {training} training images "
            f"(validationFraction {recipe.validation_fraction}); want at most {training}"
        )
    if recipe.batch_size < 2:
        yield f"recipe.batchSize: {recipe.batch_size}; batch normalisation needs at least 2"
