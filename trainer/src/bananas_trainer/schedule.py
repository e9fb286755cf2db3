"""What changes from epoch to epoch. Pure functions of the epoch, so that a resumed training needs no state of them."""

from math import cos, pi

from bananas_core.api.recipe import Recipe


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Learning rate in this epoch (from 0): cosine from the recipe's to 0 (arXiv 1608.03983 without restarts)."""
    return recipe.learning_rate * (1 + cos(pi * epoch / recipe.epochs)) / 2


def drop_path_probability(recipe: Recipe, epoch: int) -> float:
    """Probability to drop a path in this epoch (from 0): grows linearly towards the recipe's (arXiv 1806.09055)."""
    return recipe.drop_path * epoch / recipe.epochs
