"""The winner: as text that other commands read, as a drawing, as JSON."""

import json
from enum import StrEnum

from rich.console import Group, RenderableType
from rich.text import Text

from bananas_cli.errors import NoResult
from bananas_cli.formatting import origin, percent
from bananas_cli.snapshot import Snapshot, Trial
from bananas_core.spaces.drawing import draw


class BestFormat(StrEnum):
    """How the winner is written."""

    DRAWING = "drawing"
    GENOTYPE = "genotype"
    JSON = "json"


def best_trial(snapshot: Snapshot) -> Trial:
    """The trial with the best result.

    Raises:
        NoResult: where no trial has one.
    """
    ranked = snapshot.ranked()
    if not ranked:
        search = snapshot.search
        raise NoResult(
            f"{search.name} is {search.phase} and no trial has a result yet; look at it with "
            f"`kubectl nas status {search.name} -n {search.namespace}`"
        )
    return ranked[0]


def drawing_view(snapshot: Snapshot) -> RenderableType:
    """Name, accuracy and picture, for a terminal."""
    trial = best_trial(snapshot)
    parameters = trial.status.parameters
    words = [
        "validation accuracy",
        f", test accuracy {percent(trial.status.test_accuracy)}" if trial.status.test_accuracy is not None else "",
        f" · {parameters:,} parameters" if parameters is not None else "",
        f" · {origin(trial)}",
    ]
    head = Text.assemble((trial.name, "bold"), "  ", (percent(trial.accuracy), "bold green"), " ", "".join(words))
    return Group(head, Text(), Text(draw(trial.spec.architecture), no_wrap=True, overflow="fold"))


def genotype_text(snapshot: Snapshot) -> str:
    """One line that `bananas-trainer --genotype FILE` and `parse_architecture` read."""
    return best_trial(snapshot).spec.architecture.to_text()


def best_json(snapshot: Snapshot) -> str:
    """Trial, result and architecture for programs."""
    trial = best_trial(snapshot)
    return json.dumps(
        {
            "search": snapshot.search.name,
            "namespace": snapshot.search.namespace,
            "trial": trial.name,
            "validationAccuracy": trial.accuracy,
            "testAccuracy": trial.status.test_accuracy,
            "parameters": trial.status.parameters,
            "architecture": trial.spec.architecture.to_kubernetes(),
            "genotype": trial.spec.architecture.to_text(),
        },
        indent=2,
    )
