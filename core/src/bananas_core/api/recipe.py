"""How a candidate network is trained. Defaults are the search-time training of the BANANAS paper (arXiv 1910.11858)."""

from typing import ClassVar, Literal

from pydantic import Field

from bananas_core.model import Model

Dataset = Literal["digits", "npz", "cifar10", "cifar100", "folder"]


class Recipe(Model):
    """Training of one network; every program that trains reads these fields and no others."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "(self.dataset == 'digits') != has(self.file)",
            "file must be set where dataset is npz, cifar10, cifar100 or folder (its name on the data volume), and only there",
        ),
        ("self.scoreEpochs <= self.epochs", "scoreEpochs must not exceed epochs"),
    )

    dataset: Dataset = Field(
        "digits",
        description="Images to train on: digits (8x8 handwritten digits that come with scikit-learn, no volume needed), "
        "npz (arrays x_train, y_train, x_test, y_test in a file on the data volume, or the same with images as JPEG), "
        "cifar10 or cifar100 (the folder cifar-10-batches-py or cifar-100-python there), or folder (images as "
        "train/CLASS/NAME.png and test/CLASS/NAME.png there).",
    )
    file: str | None = Field(
        None,
        max_length=253,
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        description="File or folder of the data set, relative to the data volume; for every dataset but digits.",
    )
    classes: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="Number of classes; the data must have exactly these labels. Unset: as the data.",
    )
    validation_fraction: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="Part of the training images kept for validation, between 0 and 1. Outside of searches it may be 0, "
        "with testAtEnd.",
    )
    test_at_end: bool = Field(
        False,
        description="Whether the test images are opened, once, after the last epoch. In a search it must be false.",
    )
    epochs: int = Field(50, ge=1, le=10_000, description="Passes over the training images.")
    batch_size: int = Field(96, ge=1, le=65_536, description="Images in a step.")
    channels: int = Field(36, ge=1, le=1024, description="Channels of the first cells; doubled at each reduction.")
    layers: int = Field(20, ge=1, le=200, description="Cells one after the other.")
    stem: Literal["cifar", "imagenet"] = Field(
        "cifar",
        description="First layers of a network of space darts: cifar keeps the size of the image, imagenet divides it by 8.",
    )
    auxiliary: bool = Field(True, description="Whether an auxiliary classifier helps the training.")
    auxiliary_weight: float = Field(0.4, ge=0, le=10, description="Weight of the auxiliary loss.")
    cutout: int = Field(
        16, ge=0, le=1024, description="Side of the square cut out of training images, in pixels; 0 is none."
    )
    crop_padding: int = Field(
        4, ge=0, le=64, description="Zero pixels around a training image before a random crop; 0 is none."
    )
    flip: bool = Field(True, description="Whether training images are mirrored at random.")
    drop_path: float = Field(
        0.2, ge=0, lt=1, description="Probability to drop a path in the last epoch; grows linearly from 0."
    )
    learning_rate: float = Field(0.025, gt=0, le=100, description="Learning rate at the start; cosine to 0.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(3e-4, ge=0, le=10, description="Weight decay of SGD.")
    gradient_clip: float = Field(5.0, gt=0, le=1e6, description="Largest norm of the gradient.")
    score_epochs: int = Field(
        5, ge=1, le=1000, description="Last epochs whose mean validation accuracy is the trial's accuracy."
    )
    halve_batch: bool = Field(
        True,
        description="Whether a batch that exceeds the device's memory is tried once more in two halves whose gradients are "
        "added up.",
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Type of the activations.")
