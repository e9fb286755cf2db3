"""Names of the objects that a search makes: deterministic, so that every create is idempotent."""

import re
from typing import Final

MAX_SEARCH_NAME: Final = 40
"""Characters. A Job's name must fit a pod's hostname of 63: name, `-`, five digits, `-`, attempt, and the pod's own suffix."""


def trial_name(search: str, index: int) -> str:
    """Name of the trial with this index (from 0) of a search."""
    return f"{search}-{index}"


def promoted_name(search: str, index: int, seed: int, number: int = 1) -> str:
    """Name of the trial that trains the network of another trial (its index) to the end; `number` counts those made anew."""
    return f"{search}-{index}-final-{seed}" + (f"-r{number}" if number > 1 else "")


def promoted_number(name: str, first: str) -> int | None:
    """Which of the trainings that a promotion has made under a name this is, from 1; None if it is none of them."""
    found = re.fullmatch(rf"{re.escape(first)}(?:-r([1-9][0-9]*))?", name)
    if found is None or found[1] == "1":
        return None
    return int(found[1] or 1)


def best_name(search: str) -> str:
    """Name of the ConfigMap that holds the winner of a search."""
    return f"{search}-best"


def job_name(trial: str, attempt: int) -> str:
    """Name of the Job of an attempt (from 1) of a trial."""
    return f"{trial}-{attempt}"


def predictor_name(search: str) -> str:
    """Name of the Deployment, ServiceAccount and RoleBinding of a search's predictor."""
    return f"{search}-predictor"
