"""Promotion: the best networks of a search, trained to the end. What a person asks for, and the recipe that follows.

Read by the operator, which makes the trials of a promotion, and by whoever shows what came of them.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from bananas_core.api.recipe import Recipe
from bananas_core.model import Model, StatusModel
from bananas_core.spaces import Space

MAX_TOP: Final = 20
MAX_SEEDS: Final = 20

_ORIGINAL: Final = {
    "stem": "cifar",
    "auxiliary_weight": 0.4,
    "crop_padding": 4,
    "flip": True,
    "momentum": 0.9,
    "score_epochs": 5,
}
FINAL_TRAINING: Final[dict[str, dict[str, Any]]] = {
    "darts": {  # arXiv 1806.09055, section 3.2; arXiv 1910.11858 trains its winner in the same way
        **_ORIGINAL,
        "epochs": 600,
        "channels": 36,
        "layers": 20,
        "batch_size": 96,
        "auxiliary": True,
        "cutout": 16,
        "drop_path": 0.2,
        "learning_rate": 0.025,
        "weight_decay": 3e-4,
        "gradient_clip": 5.0,
    },
    "nasbench101": {  # arXiv 1902.09635, its table of hyperparameters; SGD here, RMSProp there
        **_ORIGINAL,
        "epochs": 108,
        "channels": 128,
        "layers": 9,
        "batch_size": 256,
        "auxiliary": False,
        "cutout": 0,
        "drop_path": 0.0,
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "gradient_clip": 5.0,
    },
    "nasbench201": {  # arXiv 2001.00326, section 2.3
        **_ORIGINAL,
        "epochs": 200,
        "channels": 16,
        "layers": 15,
        "batch_size": 256,
        "auxiliary": False,
        "cutout": 0,
        "drop_path": 0.0,
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "gradient_clip": 5.0,
    },
}
"""Training to the end as published for each space; data set, precision and how memory is used stay the search's."""


_OF_RECIPE: Final = ("epochs", "channels", "layers", "batch_size")


class Promotion(Model):
    """Training of the best to the end, once the search is complete."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.top * self.seeds <= 100",
            "top times seeds must not exceed 100: so many networks would be trained to the end",
        ),
    )

    top: int = Field(
        3,
        ge=1,
        le=MAX_TOP,
        description="Trials to train to the end: the best by validation accuracy. It may be changed at any time, and so may seeds.",
    )
    seeds: int = Field(2, ge=1, le=MAX_SEEDS, description="Trainings of each, with seeds 1, 2, ...")
    recipe: Literal["final", "search"] = Field(
        "final",
        description="final: the training to the end as published for the space (darts 600 epochs, 36 channels, 20 layers); "
        "search: as the trials of the search. Either with all training images, and the test images at its end. When this or "
        "one of epochs, channels, layers and batchSize is changed, all trainings are made anew: results of two recipes are "
        "never mixed.",
    )
    epochs: int | None = Field(
        None, ge=1, le=10_000, description="Passes over the training images. Unset: the recipe's."
    )
    channels: int | None = Field(None, ge=1, le=1024, description="Channels of the first cells. Unset: the recipe's.")
    layers: int | None = Field(None, ge=1, le=200, description="Cells one after the other. Unset: the recipe's.")
    batch_size: int | None = Field(None, ge=1, le=65_536, description="Images in a step. Unset: the recipe's.")
    deadline_seconds: int | None = Field(
        None,
        ge=1,
        le=31_536_000,
        description="Seconds after which a running attempt of a training to the end is ended, and the training has failed. "
        "Waiting for a GPU does not count. Unset: never; trial.deadlineSeconds is for the search alone.",
    )
    no_progress_seconds: int | None = Field(
        None,
        ge=30,
        le=31_536_000,
        description="Seconds without progress after which a running attempt of a training to the end is taken for hung and "
        "tried again, as trial.noProgressSeconds for the search. It must be longer than the longest epoch. Unset: never.",
    )

    def asked_of_recipe(self) -> dict[str, str | int]:
        """What it asks of the recipe, by field; whatever asks for the same belongs together. What is unset is left out, so
        that a later field changes nothing for those who do not set it."""
        asked = {name: getattr(self, name) for name in ("recipe", *_OF_RECIPE)}
        return {name: value for name, value in asked.items() if value is not None}

    def recipe_of(self, space: Space, of_search: Recipe) -> Recipe:
        """How a promoted network is trained: on all training images, and tested once, after the last epoch."""
        named = FINAL_TRAINING.get(space, {}) if self.recipe == "final" else {}
        asked = {name: value for name in _OF_RECIPE if (value := getattr(self, name)) is not None}
        recipe = of_search.model_copy(update={**named, **asked, "validation_fraction": 0.0, "test_at_end": True})
        return recipe.model_copy(update={"score_epochs": min(recipe.score_epochs, recipe.epochs)})


class PromotedResult(StatusModel):
    """What came of a trial that was trained to the end."""

    trial: str = Field(max_length=253, description="Name of the NASTrial of the search.")
    validation_accuracy: float = Field(
        ge=0,
        le=1,
        description="Validation accuracy by which it was chosen, from 0 to 1; the mean where trials are repeated.",
    )
    succeeded: int = Field(0, ge=0, description="Trainings to the end that have a result.")
    failed: int = Field(0, ge=0, description="Trainings to the end that failed, or that a person gave up.")
    test_accuracy: float | None = Field(
        None, ge=0, le=1, description="Mean of their test accuracies, from 0 to 1, once all have ended."
    )
    test_accuracy_standard_deviation: float | None = Field(
        None, ge=0, le=1, description="Sample standard deviation of them, from two on."
    )
    parameters: int | None = Field(None, ge=0, description="Trainable parameters of the network trained to the end.")


class PromotionStatus(StatusModel):
    """How far the promotion is."""

    trainings: int = Field(0, ge=0, description="Trainings to the end: top times seeds.")
    ended: int = Field(0, ge=0, description="Trainings that have ended.")
    results: Annotated[tuple[PromotedResult, ...], Field(max_length=MAX_TOP)] = Field(
        (), description="The promoted trials, best validation accuracy first."
    )
    config_map: str | None = Field(
        None,
        max_length=253,
        description="ConfigMap with the winner: the best by validation accuracy. If it is deleted or changed, it is restored "
        "within minutes.",
    )
