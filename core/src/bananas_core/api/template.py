"""The pods of a search, as far as the user may shape them: an allow-list of pod fields.

What would let a trial out of its box (host paths, host namespaces, privilege, another ServiceAccount) is present in the
schema only to be refused with a reason: a field that is merely absent would be pruned in silence for clients that do
not ask for strict validation.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bananas_core.model import PRESERVE_UNKNOWN, Model, cel

Name = Annotated[str, Field(min_length=1, max_length=253)]
Key = Annotated[str, Field(min_length=1, max_length=316)]
Value = Annotated[str, Field(max_length=4096)]
Quantity = int | Annotated[str, Field(max_length=64)]
Kubernetes = dict[str, Any]


def _refused(name: str, why: str, **schema: Any) -> Any:
    return Field(
        None,
        alias=name,
        description=f"Refused: {why}.",
        json_schema_extra=cel(("false", f"{name} is refused: {why}; remove it"), **schema),
    )


class LocalReference(Model):
    """A secret of the search's namespace."""

    name: Name = Field(description="Name of the object.")


class Resources(Model):
    """Resources of the container, as in a pod."""

    requests: Annotated[dict[Key, Quantity], Field(max_length=32)] = Field(
        {}, description="What the container is promised."
    )
    limits: Annotated[dict[Key, Quantity], Field(max_length=32)] = Field(
        {},
        description="What the container may use; GPUs go here, as nvidia.com/gpu, nvidia.com/mig-... or amd.com/gpu. These are "
        "what GPU seconds and budget.gpuHours count; each slice of a GPU (MIG) counts as one.",
    )


class Toleration(Model):
    """A toleration, as in a pod."""

    key: str | None = Field(
        None, max_length=316, description="Key of the taint; unset with operator Exists is every taint."
    )
    operator: str | None = Field(
        None,
        pattern="^(Exists|Equal|Lt|Gt)$",
        max_length=8,
        description="Exists or Equal; Lt or Gt where the cluster has them.",
    )
    value: str | None = Field(None, max_length=316, description="Value of the taint.")
    effect: str | None = Field(
        None,
        pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$",
        max_length=16,
        description="NoSchedule, PreferNoSchedule or NoExecute; unset is every effect.",
    )
    toleration_seconds: int | None = Field(None, ge=0, description="Seconds that a NoExecute taint is tolerated.")


class KeyReference(Model):
    """A key of a ConfigMap or Secret."""

    name: Name = Field(description="Name of the object.")
    key: Name = Field(description="Key in it.")
    optional: bool | None = Field(None, description="Whether the object or key may be absent.")


class ValueFrom(Model):
    """Where the value of a variable comes from."""

    secret_key_ref: KeyReference | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeyReference | None = Field(None, description="A key of a ConfigMap.")


class EnvironmentVariable(Model):
    """An environment variable of the trainer's container."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!self.name.startsWith('BANANAS_')",
            "env names that begin with BANANAS_ belong to the operator; choose another",
        ),
        ("!(has(self.value) && has(self.valueFrom))", "env takes either value or valueFrom, not both"),
    )

    name: str = Field(pattern="^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253, description="Name of the variable.")
    value: Value | None = Field(None, description="Its value.")
    value_from: ValueFrom | None = Field(None, description="Where its value comes from.")


class Volume(Model):
    """A volume of the trainer's pod: configMap, secret, emptyDir or persistentVolumeClaim."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!self.name.startsWith('bananas-')",
            "volume names that begin with bananas- belong to the operator; choose another",
        ),
        (
            "(has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0) "
            "+ (has(self.persistentVolumeClaim) ? 1 : 0) == 1",
            "a volume must be exactly one of configMap, secret, emptyDir, persistentVolumeClaim",
        ),
    )

    name: str = Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, description="Name of the volume.")
    config_map: Kubernetes | None = Field(
        None, description="A ConfigMap, as in a pod.", json_schema_extra=PRESERVE_UNKNOWN
    )
    secret: Kubernetes | None = Field(None, description="A Secret, as in a pod.", json_schema_extra=PRESERVE_UNKNOWN)
    empty_dir: Kubernetes | None = Field(
        None, description="Scratch space, as in a pod.", json_schema_extra=PRESERVE_UNKNOWN
    )
    persistent_volume_claim: Kubernetes | None = Field(
        None, description="A claim, as in a pod.", json_schema_extra=PRESERVE_UNKNOWN
    )
    host_path: Kubernetes | None = _refused("hostPath", "a trial must not reach the node's files", **PRESERVE_UNKNOWN)


class VolumeMount(Model):
    """Where a volume is seen in the trainer's container."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.mountPath != '/bananas' && !self.mountPath.startsWith('/bananas/')",
            "mountPath must not lie under /bananas, which holds the trial file, data and checkpoints",
        ),
    )

    name: str = Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, description="Name of the volume.")
    mount_path: str = Field(pattern="^/[^:]*$", max_length=1024, description="Absolute path in the container.")
    read_only: bool | None = Field(None, description="Whether the container may only read.")
    sub_path: str | None = Field(None, max_length=1024, description="Path inside the volume.")


Labels = Annotated[dict[Key, Annotated[str, Field(max_length=63)]], Field(max_length=64)]
Annotations = Annotated[dict[Key, Value], Field(max_length=64)]
_OURS = "!self.exists(k, k.startsWith('nas.bananas.dev/'))"


class PodPlacement(Model):
    """Where a pod may run and with what: shared by trials and predictor."""

    resources: Resources | None = Field(None, description="Resources of the container.")
    node_selector: Labels = Field({}, description="Labels that the node must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        (), description="Taints that are tolerated."
    )
    affinity: Kubernetes | None = Field(None, description="Affinity, as in a pod.", json_schema_extra=PRESERVE_UNKNOWN)
    priority_class_name: str | None = Field(None, max_length=253, description="Priority class of the pod.")
    image: str | None = Field(
        None, min_length=1, max_length=1024, description="Image of the container. Unset: the one this release ships."
    )
    image_pull_policy: str | None = Field(
        None, pattern="^(Always|IfNotPresent|Never)$", max_length=12, description="Always, IfNotPresent or Never."
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Field(max_length=16)] = Field(
        (), description="Secrets for the image registry."
    )


class TrialTemplate(PodPlacement):
    """The pod of a trial. One container, `trainer`; everything that is not listed here is the operator's."""

    command: Annotated[tuple[Value, ...], Field(max_length=64)] = Field(
        (), description="Program. Empty: the image's own."
    )
    args: Annotated[tuple[Value, ...], Field(max_length=64)] = Field(
        (), description="Its arguments. Empty: the image's own."
    )
    env: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=64)] = Field(
        (), description="Environment variables."
    )
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16)] = Field((), description="Further volumes.")
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=16)] = Field(
        (), description="Where they are seen."
    )
    labels: Labels = Field(
        {},
        description="Labels of Job and pod, for queues and policies.",
        json_schema_extra=cel((_OURS, "labels that begin with nas.bananas.dev/ belong to the operator; remove them")),
    )
    annotations: Annotations = Field(
        {},
        description="Annotations of Job and pod.",
        json_schema_extra=cel(
            (_OURS, "annotations that begin with nas.bananas.dev/ belong to the operator; remove them")
        ),
    )
    runtime_class_name: str | None = Field(None, max_length=253, description="Runtime class, as in a pod.")
    scheduler_name: str | None = Field(None, max_length=253, description="Scheduler. Unset: the cluster's default.")
    termination_grace_period_seconds: int = Field(
        30,
        ge=0,
        le=3600,
        description="Seconds between SIGTERM, upon which the trainer writes a checkpoint, and SIGKILL.",
    )
    host_network: bool | None = _refused("hostNetwork", "a trial must not join the node's network")
    host_pid: bool | None = _refused("hostPID", "a trial must not see the node's processes")
    host_ipc: bool | None = _refused("hostIPC", "a trial must not share the node's memory")
    service_account_name: str | None = _refused(
        "serviceAccountName", "a trial runs without Kubernetes credentials", maxLength=253
    )
    security_context: Kubernetes | None = _refused(
        "securityContext", "the operator sets the restricted Pod Security level", **PRESERVE_UNKNOWN
    )
