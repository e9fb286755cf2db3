"""Results that another search of the namespace has already: taken over instead of computed again. Pure.

Called by `admission` for a trial that is about to be admitted, where spec.trial.reuseResults asks for it. A result is the same
only if everything that it follows from is: architecture, recipe or table, seed, and the data themselves. The digest of our
data is known once a trial of ours has read them, so the first trial of a search is always done.
"""

from bananas_core.api import NASTrialStatus
from bananas_operator.attempts import stamp
from bananas_operator.survey import Survey
from bananas_operator.views import Donor, TrialView


def donor_for(trial: TrialView, survey: Survey, statuses: dict[str, NASTrialStatus]) -> Donor | None:
    """The trial whose result this one would have."""
    if not survey.observed.donors or trial.spec is None:
        return None
    digest = _data_digest(survey, statuses)
    if digest is None:
        return None
    for donor in survey.observed.donors:
        same = donor.hash == trial.hash and donor.status.data_digest == digest
        if same and (donor.spec.recipe, donor.spec.table, donor.spec.seed) == (
            trial.spec.recipe,
            trial.spec.table,
            trial.spec.seed,
        ):
            return donor
    return None


def taken_over(status: NASTrialStatus, donor: Donor, survey: Survey) -> NASTrialStatus:
    """The status of a trial that takes over a result: ended at once, without an attempt and without GPU time."""
    given = donor.status
    return status.model_copy(
        update={
            "phase": "Succeeded",
            "message": f"result of trial {donor.name} of search {donor.spec.search}",
            "validation_accuracy": given.validation_accuracy,
            "test_accuracy": given.test_accuracy,
            "parameters": given.parameters,
            "multiply_adds": given.multiply_adds,
            "device": given.device,
            "data_digest": given.data_digest,
            "reused_from": given.reused_from or donor.name,
            "admission_time": stamp(survey.now),
            "completion_time": stamp(survey.now),
        }
    )


def _data_digest(survey: Survey, statuses: dict[str, NASTrialStatus]) -> str | None:
    """Digest of the data of this search, as a trial of its own has read them."""
    own = (statuses[trial.uid] for trial in survey.observed.trials)
    return next(
        (s.data_digest for s in own if s.phase == "Succeeded" and s.reused_from is None and s.data_digest), None
    )
