"""What the pods of trials and predictors have in common: the restricted security level, placement, labels. Pure."""

import json
from hashlib import sha256
from typing import Any, Final

from bananas_core import constants
from bananas_core.api.template import PodPlacement
from bananas_core.model import Model
from bananas_core.workload import Json

USER: Final = 65532
"""User and group of every pod of ours ("nonroot" of distroless images); fixed, so that attempts on a shared volume agree
and images whose own user is root can be used."""

POD_SECURITY: Final[Json] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final[Json] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def labels(search_name: str, search_uid: str, component: str) -> dict[str, str]:
    """Labels of everything that belongs to a search."""
    return {
        constants.LABEL_NAME: constants.APP_NAME,
        constants.LABEL_COMPONENT: component,
        constants.LABEL_SEARCH: search_name,
        constants.LABEL_SEARCH_UID: search_uid,
    }


def owner(kind: str, name: str, uid: str) -> Json:
    """Reference to the controlling NASSearch or NASTrial."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def placement(given: PodPlacement) -> Json:
    """Where a pod may run, as fields of its spec; what is not given is left out."""
    fields: dict[str, Any] = {
        "nodeSelector": given.node_selector,
        "tolerations": tolerations(given),
        "affinity": given.affinity,
        "priorityClassName": given.priority_class_name,
        "imagePullSecrets": [_plain(secret) for secret in given.image_pull_secrets],
    }
    return {key: value for key, value in fields.items() if value}


def tolerations(given: PodPlacement) -> list[Json]:
    """The taints that are tolerated."""
    return [_plain(toleration) for toleration in given.tolerations]


def resources(given: PodPlacement) -> Json:
    """Resources of the container."""
    return (
        {key: value for key, value in _plain(given.resources).items() if value} if given.resources is not None else {}
    )


def digest(value: Any) -> str:
    """Hash of what an object was made from, to see that it would be made differently now."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _plain(model: Model) -> Json:
    return model.to_kubernetes()
