"""Names of the objects that a search makes: deterministic, so that every create is idempotent."""

import re
from typing import Final

MAX_SEARCH_NAME: Final = 40
"""Characters. A Job's name must have at most 63: this, `-`, five digits, `-final-20-r99` and `-` leave three for the number of the
attempt. A pod's own suffix needs none of them: the API server shortens what it stands behind."""


def trial_name(search: str, index: int) -> str:
    """Name of the trial with this index (from 0) of a search."""
    return f"{search}-{index}"


def promoted_name(search: str, index: int, seed: int, number: int = 1) -> str:
    """Name of the trial that trains the network of another trial (its index) to the end; `number` counts those made anew."""
    return f"{search}-{index}-final-{seed}" + (f"-r{number}" if number > 1 else "")


def promoted_number(name: str, first: str) -> int | None:
    """Which of the trainings that a promotion has made under a name this is, from 1; None if it is none of them."""
    base, number = numbered(name)
    return number if base == first else None


def numbered(name: str) -> tuple[str, int]:
    """The first name of a training to the end, and its number; any other name is the first of its own."""
    found = re.fullmatch(r"(.+?)-r([1-9][0-9]*)", name)
    return (name, 1) if found is None or found[2] == "1" else (found[1], int(found[2]))


def is_promotions_job(name: str, search: str) -> bool:
    """Whether a Job of a search is an attempt of its promotion, by its name alone: the trial may be gone."""
    return re.fullmatch(rf"{re.escape(search)}-[0-9]+-final-[0-9]+(-r[0-9]+)?-[0-9]+", name) is not None


def best_name(search: str) -> str:
    """Name of the ConfigMap that holds the winner of a search."""
    return f"{search}-best"


def job_name(trial: str, attempt: int) -> str:
    """Name of the Job of an attempt (from 1) of a trial."""
    return f"{trial}-{attempt}"


def predictor_name(search: str) -> str:
    """Name of the Deployment, ServiceAccount and RoleBinding of a search's predictor."""
    return f"{search}-predictor"
