"""The Job of an attempt: pure, from the search's spec and the trial. `plan` decides when, `apply` sends it."""

from typing import Final

from bananas_core import constants, contract
from bananas_core.api import NASSearchSpec, NASTrialSpec
from bananas_core.api.template import TrialTemplate
from bananas_core.names import job_name
from bananas_operator import placement as placing
from bananas_operator import pod
from bananas_operator.placement import ANYWHERE, Placement
from bananas_operator.resources import Json
from bananas_operator.settings import Settings
from bananas_operator.views import SearchView, TrialView

CONTAINER: Final = "trainer"
NODE_LOSS_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def template_hash(spec: NASSearchSpec, settings: Settings) -> str:
    """Hash of everything in a Job that is not the trial's own."""
    return pod.digest(
        [
            spec.trial.template.to_kubernetes(),
            spec.trial.deadline_seconds,
            spec.data.claim if spec.data is not None else None,
            spec.checkpoints.claim if spec.checkpoints is not None else None,
            image(spec, settings),
            settings.image_pull_policy,
        ]
    )


def image(spec: NASSearchSpec, settings: Settings) -> str:
    """Image of a trial."""
    default = settings.trainer_image if spec.evaluator == "train" else settings.tables_image
    return spec.trial.template.image or default


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
    job = _job(search, spec, job_name(trial.name, attempt), labels, file, settings)
    affinity = placing.affinity(spec.trial.template.affinity, placement)
    if affinity is not None:
        job["spec"]["template"]["spec"]["affinity"] = affinity
    if placement.strictly:
        job["metadata"]["annotations"][constants.ANNOTATION_AVOIDS] = ",".join(placement.avoid)
    return _owned(job, pod.owner(constants.TRIAL_KIND, trial.name, trial.uid))


def build_sample_job(search: SearchView, spec: NASSearchSpec, settings: Settings) -> Json:
    """A Job like those of the trials, for a dry run: it shows what the API server says to the template."""
    job = _job(search, spec, f"{search.name}-dry-run", {}, "{}", settings)
    return _owned(job, pod.owner(constants.SEARCH_KIND, search.name, search.uid))


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


def _owned(job: Json, owner: Json) -> Json:
    return {**job, "metadata": {**job["metadata"], "ownerReferences": [owner]}}


def _job(
    search: SearchView, spec: NASSearchSpec, name: str, own: dict[str, str], file: str, settings: Settings
) -> Json:
    template = spec.trial.template
    labels = {**template.labels, **pod.labels(search.name, search.uid, "trial"), **own}
    annotations = {**template.annotations, constants.ANNOTATION_TEMPLATE_HASH: template_hash(spec, settings)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": search.namespace, "name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {**annotations, constants.ANNOTATION_TRIAL_FILE: file},
                },
                "spec": _pod_spec(spec, template, settings),
            },
        },
    }


def _pod_spec(spec: NASSearchSpec, template: TrialTemplate, settings: Settings) -> Json:
    fields: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "securityContext": pod.POD_SECURITY,
        "containers": [_container(spec, template, settings)],
        "volumes": _volumes(spec, template),
        **pod.placement(template),
        "tolerations": _tolerations(spec, template),
    }
    optional = {
        "activeDeadlineSeconds": spec.trial.deadline_seconds,
        "runtimeClassName": template.runtime_class_name,
        "schedulerName": template.scheduler_name,
    }
    return fields | {key: value for key, value in optional.items() if value is not None}


def _tolerations(spec: NASSearchSpec, template: TrialTemplate) -> list[Json]:
    """The template's own; and a lost node is borne as long as the search says, unless the template says it itself."""
    given = pod.tolerations(template)
    own = {toleration.get("key") for toleration in given}
    lost = [
        {
            "key": taint,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": spec.trial.node_loss_timeout_seconds,
        }
        for taint in NODE_LOSS_TAINTS
        if taint not in own and None not in own
    ]
    return given + lost


def _container(spec: NASSearchSpec, template: TrialTemplate, settings: Settings) -> Json:
    fields: Json = {
        "name": CONTAINER,
        "image": image(spec, settings),
        "imagePullPolicy": template.image_pull_policy or settings.image_pull_policy,
        "env": _environment(template),
        "volumeMounts": _mounts(spec, template),
        "terminationMessagePath": contract.TERMINATION_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",  # an image that knows no contract still says why it failed
        "securityContext": pod.CONTAINER_SECURITY,
    }
    optional: Json = {
        "resources": pod.resources(template),
        "command": list(template.command),
        "args": list(template.args),
    }
    return fields | {key: value for key, value in optional.items() if value}


def _environment(template: TrialTemplate) -> list[Json]:
    given = [variable.to_kubernetes() for variable in template.env]
    ours = {
        contract.TRIAL_FILE_VARIABLE: contract.TRIAL_FILE_PATH,
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod; the root is read-only
    }
    taken = {variable.name for variable in template.env}
    return [{"name": name, "value": value} for name, value in ours.items() if name not in taken] + given


def _volumes(spec: NASSearchSpec, template: TrialTemplate) -> list[Json]:
    path = f"metadata.annotations['{constants.ANNOTATION_TRIAL_FILE}']"
    file_name = contract.TRIAL_FILE_PATH.rpartition("/")[2]
    volumes: list[Json] = [
        {
            "name": "bananas-trial",
            "downwardAPI": {"items": [{"path": file_name, "fieldRef": {"fieldPath": path}}]},
        },
        {"name": "bananas-cache", "emptyDir": {}},
        {"name": "bananas-tmp", "emptyDir": {}},
    ]
    if spec.data is not None:
        claim = {"claimName": spec.data.claim, "readOnly": True}
        volumes.append({"name": "bananas-data", "persistentVolumeClaim": claim})
    if spec.checkpoints is not None:
        volumes.append({"name": "bananas-checkpoints", "persistentVolumeClaim": {"claimName": spec.checkpoints.claim}})
    return volumes + [volume.to_kubernetes() for volume in template.volumes]


def _mounts(spec: NASSearchSpec, template: TrialTemplate) -> list[Json]:
    mounts: list[Json] = [
        {"name": "bananas-trial", "mountPath": contract.TRIAL_FILE_PATH.rpartition("/")[0], "readOnly": True},
        {"name": "bananas-cache", "mountPath": contract.CACHE_PATH},
    ]
    if spec.data is not None:
        mounts.append({"name": "bananas-data", "mountPath": contract.DATA_PATH, "readOnly": True})
    if spec.checkpoints is not None:
        mounts.append({"name": "bananas-checkpoints", "mountPath": contract.CHECKPOINT_PATH})
    given = [mount.to_kubernetes() for mount in template.volume_mounts]
    if not any(mount.mount_path.rstrip("/") == "/tmp" for mount in template.volume_mounts):  # noqa: S108 - as above
        mounts.append({"name": "bananas-tmp", "mountPath": "/tmp"})  # noqa: S108
    return mounts + given
