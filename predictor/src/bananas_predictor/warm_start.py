"""Results of another search that this one starts with (`spec.warmStartFrom`). Pure; called by the evaluation by trials.

They are learnt from and not proposed again, and count for no budget. Only what was there when this search was made is taken,
so that the same proposals follow whenever the predictor is killed and begins anew.
"""

from collections.abc import Sequence

import numpy as np

from bananas_core.api import NASSearchSpec
from bananas_core.api.trial import TableSpec
from bananas_core.spaces import Architecture
from bananas_predictor.errors import InputError
from bananas_predictor.objects import SearchObject, TrialObject
from bananas_predictor.search import Known


def known_results(own: SearchObject, other: SearchObject, trials: Sequence[TrialObject]) -> tuple[Known, ...]:
    """What the other search knew when this one was made, in the order of its trials.

    Raises:
        InputError: naming the field in which the searches differ, or saying that there was no result yet.
    """
    for field, ours, theirs in _compared(own.spec, other.spec):
        if ours != theirs:
            raise InputError(
                f"spec.warmStartFrom.search is {other.name}, but its {field} differs from this search's: their accuracies "
                "cannot be compared. Name a search with the same, or make a new one without warmStartFrom"
            )
    results: dict[str, list[float]] = {}
    architectures: dict[str, Architecture] = {}
    for trial in sorted(trials, key=lambda trial: trial.spec.index):
        accuracy = _result_before(own.created, other, trial)
        if accuracy is not None:
            key = trial.spec.architecture.hash()
            architectures.setdefault(key, trial.spec.architecture)
            results.setdefault(key, []).append(accuracy)
    if not results:
        raise InputError(
            f"spec.warmStartFrom.search is {other.name}, which had no result when this search was made. Make a new NASSearch "
            "once it has some, or one without warmStartFrom"
        )
    return tuple(Known(architectures[key], float(np.mean(values))) for key, values in results.items())


def _result_before(time: str, other: SearchObject, trial: TrialObject) -> float | None:
    """The result of a trial of the other search, if it had one at that time."""
    status = trial.status
    is_its = trial.controller_uid == other.uid and trial.spec.origin.method != "promotion"
    if not is_its or status.phase != "Succeeded" or status.completion_time is None:
        return None
    # Times as the API server writes them, to the second and in UTC: they sort as they are.
    return status.validation_accuracy if status.completion_time <= time else None


def _compared(own: NASSearchSpec, other: NASSearchSpec) -> list[tuple[str, object, object]]:
    pairs = [
        ("space", own.space, other.space),
        ("customSpace", own.custom_space, other.custom_space),
        ("evaluator", own.evaluator, other.evaluator),
        ("data.claim", own.data, other.data),
    ]
    if own.evaluator == "train":
        return [*pairs, ("trial.recipe", own.trial.recipe, other.trial.recipe)]
    table, of_other = own.table or TableSpec(), other.table or TableSpec()
    return [*pairs, ("table.file", table.file, of_other.file)]
