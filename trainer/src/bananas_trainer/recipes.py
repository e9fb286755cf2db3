"""The recipes by name: `search`, `proxy` and `final`, every number with its unit and where it comes from.

Called by `bananas-trainer train --recipe NAME` and `bananas-trainer recipes`. A search names its numbers in its spec; what it
leaves out is `search`.
"""

from typing import Any, Final, NamedTuple

from bananas_core.api.recipe import Recipe

_DARTS: Final = "arXiv 1806.09055, section 3.2 and its code"
_BANANAS: Final = "arXiv 1910.11858, section 6 and its code"
_OURS: Final = "ours"


class Setting(NamedTuple):
    """A field of a recipe."""

    value: Any
    unit: str
    source: str


SEARCH: Final = {
    "epochs": Setting(50, "epochs", _BANANAS),
    "channels": Setting(36, "channels", _BANANAS),
    "layers": Setting(20, "cells", _BANANAS),
    "stem": Setting("cifar", "", _DARTS),
    "batch_size": Setting(96, "images", _DARTS),
    "validation_fraction": Setting(
        0.3, "of the training images", f"{_BANANAS} train on the first 70 %; {_OURS}: 30 % of each class, by a seed"
    ),
    "score_epochs": Setting(5, "last epochs, averaged", _BANANAS),
    "auxiliary": Setting(True, "", _DARTS),
    "auxiliary_weight": Setting(0.4, "of the loss", _DARTS),
    "cutout": Setting(16, "pixels", "arXiv 1708.04552, as in arXiv 1806.09055"),
    "crop_padding": Setting(4, "pixels", _DARTS),
    "flip": Setting(True, "", _DARTS),
    "drop_path": Setting(0.2, "probability at the end", _DARTS),
    "learning_rate": Setting(0.025, "at the start, cosine to 0", _DARTS),
    "momentum": Setting(0.9, "of a step", _DARTS),
    "weight_decay": Setting(3e-4, "of a weight, in a step", _DARTS),
    "gradient_clip": Setting(5.0, "norm", _DARTS),
    "halve_batch": Setting(True, "", f"{_OURS}: rather two halves of a batch than a network without a result"),
    "precision": Setting("float32", "", "the originals; bfloat16 is for GPUs that have it"),
    "test_at_end": Setting(False, "", "a search never opens the test images"),
}
"""The training of a candidate in a search, as the paper has it."""

PROXY: Final = {
    **SEARCH,
    "epochs": Setting(12, "epochs", f"{_OURS}: as the short runs of arXiv 1902.09635 and 2001.00326"),
    "channels": Setting(16, "channels", "arXiv 1806.09055, its search phase"),
    "layers": Setting(8, "cells", "arXiv 1806.09055, its search phase"),
    "batch_size": Setting(64, "images", "arXiv 1806.09055, its search phase"),
    "drop_path": Setting(0.0, "probability at the end", f"{_OURS}: a short training does not overfit"),
    "auxiliary": Setting(False, "", f"{_OURS}: it helps depth, and 8 cells are not deep"),
    "score_epochs": Setting(
        2, "last epochs, averaged", f"{_OURS}: the last two of twelve are near the end of the cosine"
    ),
}
"""A cheap training that ranks candidates: about 1/60 of the multiply-adds of `search`."""

FINAL: Final = {
    **SEARCH,
    "epochs": Setting(600, "epochs", f"{_DARTS}; arXiv 1910.11858 the same"),
    "validation_fraction": Setting(0.0, "of the training images", f"{_DARTS}: all 50,000 train"),
    "test_at_end": Setting(True, "", f"{_OURS}: once, after the last epoch; the originals look after every epoch"),
}
"""The training of a winner to the end."""

NAMED: Final = {"search": SEARCH, "proxy": PROXY, "final": FINAL}


def fields_of(name: str) -> dict[str, Any]:
    """The fields of a named recipe, in snake case."""
    return {field: setting.value for field, setting in NAMED[name].items()}


def recipe_of(name: str) -> Recipe:
    """A named recipe, for the digits."""
    return Recipe.model_validate(fields_of(name))
