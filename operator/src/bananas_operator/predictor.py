"""The predictor of a search: Deployment, ServiceAccount and RoleBinding, pure. `plan` decides when, `apply` sends them."""

from typing import Final

from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_core.names import predictor_name
from bananas_core.workload import pod
from bananas_operator.resources import Json
from bananas_operator.settings import Settings
from bananas_operator.views import DeploymentView, SearchView

CONTAINER: Final = "predictor"
CLUSTER_ROLE: Final = "bananas-predictor"
REPLICAS: Final = 1


def build_deployment(search: SearchView, spec: NASSearchSpec, settings: Settings) -> Json:
    """The Deployment: one replica, never two at once, because two would propose twice."""
    labels = pod.labels(search.name, search.uid, "predictor")
    template: Json = {
        "metadata": {
            "labels": labels,
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(constants.METRICS_PORT),
                "prometheus.io/path": "/metrics",
            },
        },
        "spec": _pod_spec(search, spec, settings),
    }
    metadata = _metadata(search)
    metadata["annotations"] = {constants.ANNOTATION_TEMPLATE_HASH: pod.digest(template)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": REPLICAS,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {
                "matchLabels": {constants.LABEL_SEARCH_UID: search.uid, constants.LABEL_COMPONENT: "predictor"}
            },
            "template": template,
        },
    }


def template_hash(deployment: Json) -> str:
    """The hash that a Deployment carries."""
    return str(deployment["metadata"]["annotations"][constants.ANNOTATION_TEMPLATE_HASH])


def is_edited(
    view: DeploymentView, spec: NASSearchSpec, settings: Settings, rewritten: tuple[str, str] | None = None
) -> bool:
    """Whether somebody has changed the Deployment by hand.

    Of what the API server neither defaults nor rounds: all else would look changed for ever. A webhook may keep another image
    than it was sent: `rewritten`, both of them.
    """
    wanted = _image(spec, settings)
    kept = rewritten[1] if rewritten is not None and rewritten[0] == wanted else wanted
    return view.replicas != REPLICAS or view.image not in (wanted, kept)


def image_of(deployment: Json) -> str:
    """The image of the predictor in a Deployment, be it sent or kept."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next((str(one.get("image", "")) for one in containers if one["name"] == CONTAINER), "")


def build_service_account(search: SearchView) -> Json:
    """The predictor's identity."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(search),
        "automountServiceAccountToken": False,
    }


def build_role_binding(search: SearchView) -> Json:
    """The shipped ClusterRole, in the search's namespace only."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(search),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CLUSTER_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": predictor_name(search.name), "namespace": search.namespace}],
    }


def _metadata(search: SearchView) -> Json:
    return {
        "namespace": search.namespace,
        "name": predictor_name(search.name),
        "labels": pod.labels(search.name, search.uid, "predictor"),
        "ownerReferences": [pod.owner(constants.SEARCH_KIND, search.name, search.uid)],
    }


def _image(spec: NASSearchSpec, settings: Settings) -> str:
    return spec.predictor.image or settings.predictor_image


def _pod_spec(search: SearchView, spec: NASSearchSpec, settings: Settings) -> Json:
    given = spec.predictor
    container: Json = {
        "name": CONTAINER,
        "image": _image(spec, settings),
        "imagePullPolicy": given.image_pull_policy or settings.image_pull_policy,
        "env": [
            {"name": "BANANAS_NAMESPACE", "value": search.namespace},
            {"name": "BANANAS_SEARCH", "value": search.name},
            {"name": "BANANAS_SEARCH_UID", "value": search.uid},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir of the pod; the root is read-only
        ],
        "ports": [{"name": "metrics", "containerPort": constants.METRICS_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "metrics"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
        },
        "startupProbe": {  # an image that is slow to import
            "httpGet": {"path": "/healthz", "port": "metrics"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 60,
        },
        "livenessProbe": {  # a loop that is stuck, or watches that are dead: two minutes may be a busy node
            "httpGet": {"path": "/healthz", "port": "metrics"},
            "periodSeconds": 15,
            "timeoutSeconds": 5,
            "failureThreshold": 8,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the condition of the search quotes it
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - as above
        "securityContext": pod.CONTAINER_SECURITY,
    }
    if given.resources is not None:
        container["resources"] = pod.resources(given)
    return {
        "serviceAccountName": predictor_name(search.name),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,  # it holds no state
        "securityContext": pod.POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **pod.placement(given),
    }
