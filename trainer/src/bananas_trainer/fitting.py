"""Whether a recipe fits its data: checked before anything is trained, so that a search stops at once and says why."""

from bananas_core.api.recipe import Recipe
from bananas_trainer.data import Dataset, Split
from bananas_trainer.errors import RecipeInvalid
from bananas_trainer.networks.darts import AUXILIARY_SIDES, reductions


def check_recipe(recipe: Recipe, data: Dataset, parts: Split) -> None:
    """Refuses a recipe that cannot be trained on the data.

    Raises:
        RecipeInvalid: naming the field, its value and what would fit.
    """
    if recipe.classes is not None and recipe.classes != data.classes:
        raise RecipeInvalid(
            f"recipe.classes: {recipe.classes}, but {data.name} has {data.classes} labels; set {data.classes} or leave it out"
        )
    if recipe.score_epochs > recipe.epochs:
        raise RecipeInvalid(f"recipe.scoreEpochs: {recipe.score_epochs}; want at most epochs, {recipe.epochs}")
    _check_images(recipe, data)
    _check_parts(recipe, parts)


def _check_images(recipe: Recipe, data: Dataset) -> None:
    _, h, w = data.image_shape
    images = f"the images of {data.name} are {w} x {h} pixels"
    factor = 2 ** len(reductions(recipe.layers))
    if h % factor or w % factor:
        raise RecipeInvalid(
            f"recipe.layers: {recipe.layers} layers halve an image {len(reductions(recipe.layers))} times, and {images}; "
            f"want images whose sides are multiples of {factor}"
        )
    if recipe.auxiliary and not {h // factor, w // factor} <= set(AUXILIARY_SIDES):
        smallest, largest = AUXILIARY_SIDES[0] * factor, AUXILIARY_SIDES[-1] * factor
        raise RecipeInvalid(
            f"recipe.auxiliary: true, but the auxiliary classifier takes images of {smallest} to {largest} pixels, "
            f"and {images}; set auxiliary: false"
        )
    for field, value in (("cutout", recipe.cutout), ("cropPadding", recipe.crop_padding)):
        if value >= min(h, w):
            raise RecipeInvalid(
                f"recipe.{field}: {value}, but {images}; want less than {min(h, w)} (0 is none), "
                f"a {'half' if field == 'cutout' else 'eighth'} of the side is usual"
            )


def _check_parts(recipe: Recipe, parts: Split) -> None:
    training, validation = len(parts.training), len(parts.validation)
    if not training or not validation:
        raise RecipeInvalid(
            f"recipe.validationFraction: {recipe.validation_fraction} leaves {training} images to train and {validation} to "
            f"validate; both need at least one"
        )
    if recipe.batch_size > training:
        raise RecipeInvalid(
            f"recipe.batchSize: {recipe.batch_size}, but there are {training} training images "
            f"(validationFraction {recipe.validation_fraction}); want at most {training}"
        )
    if recipe.batch_size < 2:
        raise RecipeInvalid(f"recipe.batchSize: {recipe.batch_size}; batch normalisation needs at least 2")
