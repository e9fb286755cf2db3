"""The kinds of objects that the operator reads and writes, and their paths. No behaviour."""

from dataclasses import dataclass
from typing import Any, Final

from bananas_core import constants

Json = dict[str, Any]
"""An object of the API as it came; parsed into a view (`views`) before anything is decided from it."""


@dataclass(frozen=True)
class Resource:
    """A kind of object."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of an object, of a namespace's objects, or of all."""
        parts = ["/apis" if "/" in self.api_version else "/api", self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/".join(parts)


SEARCHES: Final = Resource(constants.API_VERSION, constants.SEARCH_KIND, constants.SEARCH_PLURAL)
TRIALS: Final = Resource(constants.API_VERSION, constants.TRIAL_KIND, constants.TRIAL_PLURAL)
JOBS: Final = Resource("batch/v1", "Job", "jobs")
PODS: Final = Resource("v1", "Pod", "pods")
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
EVENTS: Final = Resource("v1", "Event", "events")
CLAIMS: Final = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
NODES: Final = Resource("v1", "Node", "nodes")
QUOTAS: Final = Resource("v1", "ResourceQuota", "resourcequotas")
SERVICE_ACCOUNTS: Final = Resource("v1", "ServiceAccount", "serviceaccounts")
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")

TRIAL_STATUS: Final = "NASTrial status"
"""Kind of a finding: a status that the API server refuses."""

WATCHED: Final = (SEARCHES, TRIALS, JOBS, PODS, DEPLOYMENTS, EVENTS)
"""In the order in which they are listed: what is caused comes after its cause, so that a status that mentions a Job is
never newer than the list of Jobs."""

LABEL_SELECTOR: Final = {
    JOBS: constants.LABEL_SEARCH_UID,
    PODS: constants.LABEL_SEARCH_UID,
    DEPLOYMENTS: constants.LABEL_SEARCH_UID,
}
"""Kinds of which a cluster has many that are not ours: only those with our label are read."""
FIELD_SELECTOR: Final = {EVENTS: "involvedObject.kind=Job,reason=FailedCreate"}
"""The only word of Kubernetes on a Job whose pod is refused (quota, Pod Security, a missing priority class) is an event."""
