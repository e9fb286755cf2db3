"""What a cluster says to a search that is not there yet: the ground on which a plan stands. Called by `command`.

Everything is asked, nothing made: what is sent is sent as a dry run. What may not be asked is unknown, and no error.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from bananas_cli.cluster import Cluster
from bananas_cli.connection import APPLY_PATCH, OURS, Query
from bananas_cli.errors import CliError, Invalid, NotFound, Refused, Unreadable
from bananas_cli.manifest import Manifest
from bananas_cli.snapshot import RawObject, Search, Snapshot, parse_search, parse_snapshot
from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_core.workload import Json
from bananas_core.workload.job import build_sample_job
from bananas_core.workload.surroundings import (
    ClaimView,
    NodeView,
    QuotaView,
    claim_view,
    named_claims,
    node_view,
    quantity,
    quota_view,
)

OPERATOR_NAMESPACE: Final = "bananas-system"
OPERATOR: Final = "bananas-operator"
UNKNOWN_IMAGE: Final = "image-of-the-operator"
"""Stands in the dry run for an image that is not known."""
STRICT_DRY_RUN: Final[Query] = (("dryRun", "All"), ("fieldValidation", "Strict"))
FIELD_MANAGER: Final = ("fieldManager", "kubectl-nas")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API server says to an object."""

    state: Literal["accepted", "refused", "unknown"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class OperatorView:
    """The operator's Deployment: what it takes where a template says nothing."""

    trainer_image: str = UNKNOWN_IMAGE
    tables_image: str = UNKNOWN_IMAGE
    image_pull_policy: str = "IfNotPresent"
    found: Literal["running", "not running", "absent", "unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class ClaimFound:
    """A claim that the search names."""

    field: str
    name: str
    view: ClaimView | None = None
    """None where it is not there, or not to be asked for."""
    phase: str = ""
    storage: str = ""
    trouble: Literal["", "absent", "in the file", "unknown"] = ""


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of a quota is used now."""

    name: str
    hard: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Identity:
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that was asked. Fits `bananas_core.workload.surroundings.Surroundings`."""

    namespace: str
    exists: bool
    """Whether a search of the name is there: applying the file changes it."""
    search: Verdict
    job: Verdict
    pod: Verdict
    sample: Json | None
    operator: OperatorView
    claims_found: tuple[ClaimFound, ...] = ()
    nodes: tuple[NodeView, ...] | None = None
    quotas: tuple[QuotaView, ...] | None = None
    quota_use: tuple[QuotaUse, ...] = ()
    image_on: tuple[str, ...] = ()
    """Nodes that say they have the trial's image."""
    like: Snapshot | None = None
    """A search with the same recipe that has results."""
    warm_start: Literal["found", "absent", "unknown"] = "unknown"
    """Whether the search of spec.warmStartFrom is there."""
    lacks_namespace: bool = False
    """Then nothing else could be tried."""

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """Those that are there."""
        return tuple(found.view for found in self.claims_found if found.view is not None)


def survey(cluster: Cluster, manifest: Manifest, like: str | None) -> Ground:
    """Asks for everything. `like` names the search to take times from.

    Raises:
        NotFound: there is no search of that name.
        CliError: the API server cannot be asked at all.
    """
    namespace, spec = cluster.namespace, manifest.spec
    exists, search = _search_verdict(cluster, manifest)
    untold = Verdict("unknown", manifest.problem)
    if spec is None:
        return Ground(namespace, exists, search, untold, untold, None, OperatorView())
    operator = _operator(cluster)
    lacks = f'namespaces "{namespace}" not found' in search.message
    untried = Verdict("unknown", f"there is no namespace {namespace}") if lacks else None
    sample = _unowned(build_sample_job(_Identity(namespace, manifest.name, "dry-run"), spec, operator))
    nodes, images = _nodes(cluster)
    quotas, use = _quotas(cluster)
    job = untried or _dry_run(cluster, f"/apis/batch/v1/namespaces/{namespace}/jobs", sample)
    if job.state == "refused":
        untried = Verdict("unknown", "its Job is refused")
    image = sample["spec"]["template"]["spec"]["containers"][0]["image"]
    return Ground(
        namespace=namespace,
        exists=exists,
        search=search,
        job=job,
        pod=untried or _dry_run(cluster, f"/api/v1/namespaces/{namespace}/pods", _pod_of(sample)),
        sample=sample,
        operator=operator,
        claims_found=tuple(_claim(cluster, manifest, field, name) for field, name in named_claims(spec)),
        nodes=nodes,
        quotas=quotas,
        quota_use=use,
        image_on=tuple(node for node, there in images.items() if image in there),
        like=_like(cluster, spec, like),
        warm_start=_warm_start(cluster, spec),
        lacks_namespace=lacks,
    )


def _search_verdict(cluster: Cluster, manifest: Manifest) -> tuple[bool, Verdict]:
    """Whether it is there, and what the API server says to making or changing it."""
    path = f"{OURS}/{cluster.namespace}/{constants.SEARCH_PLURAL}"
    metadata = {**manifest.raw["metadata"], "namespace": cluster.namespace}
    body = {**manifest.raw, "metadata": metadata}
    try:
        cluster.connection.request("GET", f"{path}/{manifest.name}")
    except NotFound:
        return False, _dry_run(cluster, path, body)
    except Refused:
        return False, _dry_run(cluster, path, body)  # whoever may create need not be allowed to read
    query = [*STRICT_DRY_RUN, FIELD_MANAGER, ("force", "true")]
    return True, _verdict(cluster, "PATCH", f"{path}/{manifest.name}", body, query, APPLY_PATCH)


def _dry_run(cluster: Cluster, path: str, body: RawObject) -> Verdict:
    return _verdict(cluster, "POST", path, body, [*STRICT_DRY_RUN, FIELD_MANAGER], "application/json")


def _verdict(cluster: Cluster, method: str, path: str, body: RawObject, query: Query, content_type: str) -> Verdict:
    try:
        cluster.connection.request(method, path, query=query, body=body, content_type=content_type)
    except Refused as error:
        return Verdict("unknown", str(error))
    except (Invalid, NotFound) as error:
        return Verdict("refused", str(error))
    return Verdict("accepted")


def _unowned(job: Json) -> Json:
    """Owned by nobody: the owner is not there, and a person may not block its deletion."""
    return {**job, "metadata": {k: v for k, v in job["metadata"].items() if k != "ownerReferences"}}


def _pod_of(job: Json) -> Json:
    """The pod of a Job: quota, Pod Security and limits speak to pods only."""
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "name": job["metadata"]["name"], "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _operator(cluster: Cluster) -> OperatorView:
    path = f"/apis/apps/v1/namespaces/{OPERATOR_NAMESPACE}/deployments/{OPERATOR}"
    try:
        deployment = cluster.connection.request("GET", path)
    except NotFound:
        return OperatorView(found="absent")
    except Refused:
        return OperatorView()
    containers = deployment["spec"]["template"]["spec"]["containers"]
    told = {variable["name"]: variable.get("value") for one in containers for variable in one.get("env") or ()}
    return OperatorView(
        trainer_image=told.get("BANANAS_TRAINER_IMAGE") or UNKNOWN_IMAGE,
        tables_image=told.get("BANANAS_TABLES_IMAGE") or UNKNOWN_IMAGE,
        image_pull_policy=told.get("BANANAS_IMAGE_PULL_POLICY") or "IfNotPresent",
        found="running" if (deployment.get("status") or {}).get("availableReplicas") else "not running",
    )


def _claim(cluster: Cluster, manifest: Manifest, field: str, name: str) -> ClaimFound:
    try:
        raw = cluster.connection.request("GET", f"/api/v1/namespaces/{cluster.namespace}/persistentvolumeclaims/{name}")
    except NotFound:
        in_file = ("PersistentVolumeClaim", name) in manifest.others
        return ClaimFound(field, name, trouble="in the file" if in_file else "absent")
    except Refused:
        return ClaimFound(field, name, trouble="unknown")
    status = raw.get("status") or {}
    wanted = ((raw.get("spec") or {}).get("resources") or {}).get("requests") or {}
    storage = (status.get("capacity") or {}).get("storage") or wanted.get("storage") or ""
    return ClaimFound(field, name, claim_view(field, raw), str(status.get("phase", "")), str(storage))


def _nodes(cluster: Cluster) -> tuple[tuple[NodeView, ...] | None, dict[str, frozenset[str]]]:
    """The nodes, and the images that each says it has."""
    try:
        items = cluster.connection.request("GET", "/api/v1/nodes")["items"]
    except Refused:
        return None, {}
    images = {
        item["metadata"]["name"]: frozenset(
            name for image in (item.get("status") or {}).get("images") or () for name in image.get("names") or ()
        )
        for item in items
    }
    return tuple(node_view(item) for item in items), images


def _quotas(cluster: Cluster) -> tuple[tuple[QuotaView, ...] | None, tuple[QuotaUse, ...]]:
    try:
        items = cluster.connection.request("GET", f"/api/v1/namespaces/{cluster.namespace}/resourcequotas")["items"]
    except Refused:
        return None, ()
    views = [(view, item) for item in items if (view := quota_view(item)) is not None]
    used = tuple(
        QuotaUse(
            view.name,
            dict(view.hard),
            {name: quantity(text) for name, text in ((item.get("status") or {}).get("used") or {}).items()},
        )
        for view, item in views
    )
    return tuple(view for view, _ in views), used


def _warm_start(cluster: Cluster, spec: NASSearchSpec) -> Literal["found", "absent", "unknown"]:
    if spec.warm_start_from is None:
        return "unknown"
    path = f"{OURS}/{cluster.namespace}/{constants.SEARCH_PLURAL}/{spec.warm_start_from.search}"
    try:
        cluster.connection.request("GET", path)
    except NotFound:
        return "absent"
    except Refused:
        return "unknown"
    return "found"


def _like(cluster: Cluster, spec: NASSearchSpec, named: str | None) -> Snapshot | None:
    """The search to take times from: the named one, or of those with the same recipe the one with most results."""
    if named is not None:
        raw = cluster.search(named)
        return parse_snapshot(raw, cluster.trials(parse_search(raw).uid))
    try:
        items = cluster.connection.request("GET", f"{OURS}/{cluster.namespace}/{constants.SEARCH_PLURAL}")["items"]
        found = [search for item in items if (search := _same_recipe(item, spec)) is not None]
        if not found:
            return None
        best, raw = max(found, key=lambda pair: pair[0].status.trials.succeeded)
        return parse_snapshot(raw, cluster.trials(best.uid)) if best.status.trials.succeeded else None
    except CliError:
        return None


def _same_recipe(item: RawObject, spec: NASSearchSpec) -> tuple[Search, RawObject] | None:
    raw = {**item, "kind": constants.SEARCH_KIND}
    try:
        search = parse_search(raw)
    except Unreadable:
        return None
    other = search.spec
    same = (other.space, other.evaluator, other.trial.recipe) == (spec.space, spec.evaluator, spec.trial.recipe)
    return (search, raw) if same else None
