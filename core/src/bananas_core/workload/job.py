"""The Job of an attempt, as far as it is the same for every attempt of a search: pure, from the search's spec.

Called by the operator, which adds what is the attempt's own, and by the plugin, for a dry run.
"""

from typing import Final, Protocol

from bananas_core import constants, contract
from bananas_core.api import NASSearchSpec
from bananas_core.api.template import TrialTemplate
from bananas_core.workload import Json, pod

CONTAINER: Final = "trainer"
NODE_LOSS_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Defaults(Protocol):
    """What the operator's settings say where a template says nothing."""

    @property
    def trainer_image(self) -> str:
        """Image of trials with evaluator train."""

    @property
    def tables_image(self) -> str:
        """Image of trials with evaluator table."""

    @property
    def image_pull_policy(self) -> str:
        """Where a template names none."""


class SearchIdentity(Protocol):
    """The NASSearch that a Job is of."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uid(self) -> str:
        """Its UID."""


def template_hash(spec: NASSearchSpec, defaults: Defaults, *, promoted: bool = False) -> str:
    """Hash of everything in a Job that is not the trial's own; of a training to the end, if it is `promoted`."""
    return pod.digest(
        [
            spec.trial.template.to_kubernetes(),
            _deadline_seconds(spec, promoted=promoted),
            spec.data.claim if spec.data is not None else None,
            spec.checkpoints.claim if spec.checkpoints is not None else None,
            image(spec, defaults),
            defaults.image_pull_policy,
        ]
    )


def _deadline_seconds(spec: NASSearchSpec, *, promoted: bool) -> int | None:
    """A training to the end takes much longer than a trial of the search, so it has a bound of its own or none."""
    if promoted:
        return spec.promote.deadline_seconds if spec.promote is not None else None
    return spec.trial.deadline_seconds


def image(spec: NASSearchSpec, defaults: Defaults) -> str:
    """Image of a trial."""
    default = defaults.trainer_image if spec.evaluator == "train" else defaults.tables_image
    return spec.trial.template.image or default


def build_sample_job(search: SearchIdentity, spec: NASSearchSpec, defaults: Defaults) -> Json:
    """A Job like those of the trials, for a dry run: it shows what the API server says to the template."""
    owner = pod.owner(constants.SEARCH_KIND, search.name, search.uid)
    return build_job(search, spec, f"{search.name}-dry-run", {}, "{}", owner, defaults)


def build_job(
    search: SearchIdentity,
    spec: NASSearchSpec,
    name: str,
    own: dict[str, str],
    file: str,
    owner: Json,
    defaults: Defaults,
    *,
    promoted: bool = False,
) -> Json:
    """A Job of this name, with labels of its `own`, a trial file (JSON) and an owner; `promoted`: it trains to the end."""
    template = spec.trial.template
    labels = {**template.labels, **pod.labels(search.name, search.uid, "trial"), **own}
    annotations = {
        **template.annotations,
        constants.ANNOTATION_TEMPLATE_HASH: template_hash(spec, defaults, promoted=promoted),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": search.namespace,
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
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
                "spec": _pod_spec(spec, template, defaults, _deadline_seconds(spec, promoted=promoted)),
            },
        },
    }


def _pod_spec(spec: NASSearchSpec, template: TrialTemplate, defaults: Defaults, deadline_seconds: int | None) -> Json:
    fields: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "securityContext": pod.POD_SECURITY,
        "containers": [_container(spec, template, defaults)],
        "volumes": _volumes(spec, template),
        **pod.placement(template),
        "tolerations": _tolerations(spec, template),
    }
    optional = {
        "activeDeadlineSeconds": deadline_seconds,
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


def _container(spec: NASSearchSpec, template: TrialTemplate, defaults: Defaults) -> Json:
    fields: Json = {
        "name": CONTAINER,
        "image": image(spec, defaults),
        "imagePullPolicy": template.image_pull_policy or defaults.image_pull_policy,
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
