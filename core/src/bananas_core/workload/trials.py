"""What operator and plugin must read alike in a trial: what people ask for in annotations, and whether a promotion counts it.

Pure. If the plugin judged otherwise than the operator, it would promise what never happens.
"""

from datetime import datetime

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASTrialSpec, NASTrialStatus
from bananas_core.api.promotion import Promotion
from bananas_core.workload.pod import digest


def asked_at(text: str | None) -> datetime | None:
    """The time in an annotation that a person may have typed; one that is none, or has no zone, asks for nothing."""
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return when if when.tzinfo is not None else None


def is_retried(status: NASTrialStatus, asked: datetime | None) -> bool:
    """Whether a person has asked for another go since the last attempt ended."""
    settled = status.settled_time
    return asked is not None and (settled is None or asked > datetime.fromisoformat(settled))


def promotion_hash(promote: Promotion) -> str:
    """Of what a promotion asks of the recipe: in an annotation of each training that is made for it."""
    return digest(promote.asked_of_recipe())


def is_of_promotion(trial: NASTrialSpec, annotated: str | None, search: NASSearchSpec) -> bool:
    """Whether a training was made for what spec.promote asks now, be it by another release, whose recipe may differ.

    `annotated` is the hash in its annotation; one that was made before there was such an annotation has none.
    """
    promote = search.promote
    if promote is None:
        return True  # nothing is asked for: it is withdrawn, whatever its recipe
    if annotated is None:
        return trial.recipe == promote.recipe_of(search.space, search.trial.recipe)
    return annotated == promotion_hash(promote)


def is_void(status: NASTrialStatus, asked: datetime | None) -> bool:
    """Whether a training will never have a result and another may take its place: withdrawn, or failed and to be tried again."""
    if status.phase == "Cancelled":
        return status.reason != constants.REASON_CANCELLED_BY_USER
    return status.phase == "Failed" and is_retried(status, asked)
