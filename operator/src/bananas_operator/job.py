"""The Job of an attempt: what is the attempt's own, added to what all of a search have in common. Pure.

`plan` decides when, `apply` sends it.
"""

from bananas_core import constants, contract
from bananas_core.api import NASSearchSpec, NASTrialSpec
from bananas_core.names import job_name
from bananas_core.workload import Json, pod
from bananas_core.workload.job import build_job as job_of
from bananas_operator import placement as placing
from bananas_operator.placement import ANYWHERE, Placement
from bananas_operator.settings import Settings
from bananas_operator.views import SearchView, TrialView


def build_job(
    search: SearchView,
    spec: NASSearchSpec,
    trial: TrialView,
    attempt: int,
    settings: Settings,
    placement: Placement = ANYWHERE,
) -> Json:
    """The Job of an attempt of an admitted trial."""
    assert trial.spec is not None  # a trial that does not parse is never admitted
    file = trial_file(search, spec, trial, trial.spec, attempt, settings)
    labels = {
        constants.LABEL_TRIAL: trial.name,
        constants.LABEL_TRIAL_UID: trial.uid,
        constants.LABEL_ATTEMPT: str(attempt),
        **placing.labels(placement),
    }
    owner = pod.owner(constants.TRIAL_KIND, trial.name, trial.uid)
    name = job_name(trial.name, attempt)
    job = job_of(search, spec, name, labels, file, owner, settings, promoted=trial.promoted)
    affinity = placing.affinity(spec.trial.template.affinity, placement)
    if affinity is not None:
        job["spec"]["template"]["spec"]["affinity"] = affinity
    if placement.strictly:
        job["metadata"]["annotations"][constants.ANNOTATION_AVOIDS] = ",".join(placement.avoid)
    return job


def trial_file(
    search: SearchView,
    spec: NASSearchSpec,
    trial: TrialView,
    trial_spec: NASTrialSpec,
    attempt: int,
    settings: Settings,
) -> str:
    """The trial file of an attempt, as JSON."""
    directory = trial.status.checkpoint_directory or trial.name
    file = contract.TrialFile(
        version=1,
        namespace=search.namespace,
        search=search.name,
        trial=trial.name,
        trial_uid=trial.uid,
        attempt=attempt,
        architecture=trial_spec.architecture,
        seed=trial_spec.seed,
        recipe=trial_spec.recipe,
        table=trial_spec.table,
        data_dir=contract.DATA_PATH if spec.data is not None else None,
        checkpoint_dir=f"{contract.CHECKPOINT_PATH}/{search.uid}/{directory}" if spec.checkpoints is not None else None,
        cache_dir=contract.CACHE_PATH,
        termination_file=contract.TERMINATION_PATH,
        progress_url=settings.progress_address,
    )
    return file.model_dump_json(by_alias=True, exclude_none=True)
