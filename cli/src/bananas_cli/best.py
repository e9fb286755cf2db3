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
    return _winner(snapshot)[0]


def _winner(snapshot: Snapshot) -> tuple[Trial, str]:
    """The trial, and its accuracy in words."""
    winner = snapshot.winner()
    if winner is None:
        search = snapshot.search
        raise NoResult(
            f"{search.name} is {search.phase} and no trial has a result yet; look at it with "
            f"`kubectl nas status {search.name} -n {search.namespace}`"
        )
    return winner


def drawing_view(snapshot: Snapshot) -> RenderableType:
    """Name, accuracy and picture, for a terminal."""
    trial, accuracy = _winner(snapshot)
    parameters = trial.status.parameters
    words = [
        "validation accuracy",
        f", test accuracy {percent(trial.status.test_accuracy)}" if trial.status.test_accuracy is not None else "",
        f" · {parameters:,} parameters" if parameters is not None else "",
        f" · {origin(trial)}",
    ]
    head = Text.assemble((trial.name, "bold"), "  ", (accuracy, "bold green"), " ", "".join(words))
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
