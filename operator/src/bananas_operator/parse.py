"""Objects of the API parsed into views, once: the only place that reads plain dicts of pods, Jobs, trials and searches.

Called by `observe`. A field that Kubernetes may leave out gets its meaning here; what cannot be parsed at all becomes a
`Problem` of the view, never an exception, because one bad object must not hide the others.
"""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.api.trial import TableSpec
from bananas_core.names import promoted_name, promoted_number, trial_name
from bananas_core.workload import capacity
from bananas_core.workload.trials import asked_at, is_of_promotion
from bananas_operator.resources import Json
from bananas_operator.views import (
    ContainerEnded,
    ContainerRunning,
    ContainerState,
    ContainerWaiting,
    DeploymentView,
    Donor,
    JobView,
    PodView,
    Problem,
    SearchView,
    TrialView,
)


def time(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text)


def maybe_time(text: str | None) -> datetime | None:
    """A time that may be absent."""
    return time(text) if text else None


def controller_uid(item: Json) -> str | None:
    """UID of the controller that owns an object."""
    owners = item["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


S = TypeVar("S", NASSearchStatus, NASTrialStatus)


def read_status(model: type[S], raw: Json) -> tuple[S, str | None]:
    """A status, and the first field of it that cannot be read, if there is one; the others are kept.

    A field that is merely unknown is of a later release and passed over, as it is when the status is written.
    """
    given, problem = deepcopy(raw), None
    while True:
        try:
            return model.model_validate(given), problem
        except ValidationError as error:
            for found in error.errors(include_url=False):
                place = found["loc"]
                if found["type"] == "extra_forbidden":
                    _remove(given, place)
                    continue
                problem = problem or _problem_of(found, "status")
                if not place or given.pop(str(place[0]), None) is None:
                    return model(), problem


def _remove(given: Any, place: tuple[int | str, ...]) -> None:
    for part in place[:-1]:
        given = given[part]
    given.pop(place[-1], None)


def search_view(item: Json) -> SearchView:
    """A search; a spec that the core refuses becomes its problem. Of a status that cannot be read the rest is taken."""
    metadata = item["metadata"]
    spec: NASSearchSpec | None = None
    problem: str | None = None
    try:
        spec = NASSearchSpec.model_validate(item.get("spec") or {})
    except ValidationError as error:
        problem = first_problem(error, "spec")
    return SearchView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        status=read_status(NASSearchStatus, item.get("status") or {})[0],  # what is lost is found anew from the trials
        spec=spec,
        problem=problem,
        deleting="deletionTimestamp" in metadata,
    )


def trial_view(item: Json, search: SearchView) -> TrialView:
    """A trial of a search; what keeps it from being admitted becomes its problem."""
    metadata, raw = item["metadata"], item.get("status") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    spec: NASTrialSpec | None = None
    problem: Problem | None = None
    digest = ""
    try:
        spec = NASTrialSpec.model_validate(item.get("spec") or {})
        digest = spec.architecture.hash()
        problem = _trial_problem(metadata, spec, digest, search)
    except ValidationError as error:
        problem = Problem(constants.REASON_INVALID_TRIAL, first_problem(error, "spec"))
    status, unread = read_status(NASTrialStatus, raw)
    if unread is not None and status.phase != raw.get("phase"):
        status = status.model_copy(update={"phase": "Running"})  # nobody knows: it takes its place
    return TrialView(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        index=spec.index if spec is not None else 2**31,
        status=status,
        spec=spec,
        hash=digest,
        problem=problem,
        unreadable=Problem(constants.REASON_INVALID_STATUS, unread) if unread is not None else None,
        deleting="deletionTimestamp" in metadata,
        cancelled=bool(annotations.get(constants.ANNOTATION_CANCEL)),
        retried_at=asked_at(annotations.get(constants.ANNOTATION_RETRY)),
    )


def donor_of(item: Json) -> Donor | None:
    """A trial of another search as far as its result goes; None without one, or where it cannot be read."""
    if (item.get("status") or {}).get("phase") != "Succeeded":
        return None
    try:
        spec = NASTrialSpec.model_validate(item.get("spec") or {})
        status = NASTrialStatus.model_validate(item.get("status") or {})
    except ValidationError:
        return None
    if status.validation_accuracy is None or spec.origin.method == "promotion":
        return None
    return Donor(item["metadata"]["name"], spec.architecture.hash(), spec, status)


def _trial_problem(metadata: Json, spec: NASTrialSpec, digest: str, search: SearchView) -> Problem | None:
    label = (metadata.get("labels") or {}).get(constants.LABEL_ARCHITECTURE, digest)
    if label != digest:
        return Problem(
            constants.REASON_INVALID_TRIAL,
            f"label {constants.LABEL_ARCHITECTURE} is {label}, the hash of spec.architecture is {digest}",
        )
    promoted = spec.origin.method == "promotion"
    want_name = promoted_name(search.name, spec.index, spec.seed) if promoted else trial_name(search.name, spec.index)
    named = promoted_number(metadata["name"], want_name) is not None if promoted else metadata["name"] == want_name
    if spec.search != search.name or not named:
        return Problem(
            constants.REASON_INVALID_TRIAL,
            f"spec.search is {spec.search} and the name {metadata['name']}; want {search.name} and {want_name}",
        )
    if search.spec is None:
        return None
    if spec.architecture.space != search.spec.space:
        return Problem(
            constants.REASON_RECIPE_MISMATCH,
            f"spec.architecture.space is {spec.architecture.space}, the search's space is {search.spec.space}",
        )
    if promoted:
        annotated = (metadata.get("annotations") or {}).get(constants.ANNOTATION_PROMOTION_HASH)
        matches, field = is_of_promotion(spec, annotated, search.spec), "recipe"
    elif search.spec.evaluator == "train":
        matches, field = spec.recipe == search.spec.trial.recipe and spec.table is None, "recipe"
    else:
        matches, field = spec.table == (search.spec.table or TableSpec()) and spec.recipe is None, "table"
    if not matches:
        return Problem(constants.REASON_RECIPE_MISMATCH, f"spec.{field} is not that of the search")
    return None


def job_view(item: Json, pod: PodView | None, refusal: str | None) -> JobView | None:
    """A Job of a trial; None if its labels are not ours."""
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    attempt = labels.get(constants.LABEL_ATTEMPT, "")
    if not attempt.isdecimal() or int(attempt) < 1:
        return None
    conditions = _true_conditions(item)
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        trial_uid=labels.get(constants.LABEL_TRIAL_UID, ""),
        attempt=int(attempt),
        created=time(metadata["creationTimestamp"]),
        template_hash=(metadata.get("annotations") or {}).get(constants.ANNOTATION_TEMPLATE_HASH, ""),
        deleting="deletionTimestamp" in metadata,
        suspended=bool((item.get("spec") or {}).get("suspend")) or "Suspended" in conditions,
        resumed=_resumed(item),
        complete="Complete" in conditions,
        failed="Failed" in conditions,
        failed_message=conditions.get("Failed", ""),
        pod=pod,
        refusal=refusal,
        avoids=tuple(filter(None, (metadata.get("annotations") or {}).get(constants.ANNOTATION_AVOIDS, "").split(","))),
    )


def _resumed(item: Json) -> datetime | None:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((maybe_time(c.get("lastTransitionTime")) for c in conditions if _is_resumption(c)), None)


def _is_resumption(condition: Json) -> bool:
    return (condition["type"], condition["status"]) == ("Suspended", "False")


def pod_view(item: Json, container: str) -> PodView:
    """A pod, and of its containers the one of this name."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    disruption = conditions.get("DisruptionTarget", {})
    scheduled = conditions.get("PodScheduled", {})
    ready = conditions.get("Ready", {})
    unready = maybe_time(ready.get("lastTransitionTime")) if ready.get("status") == "False" else None
    state: Json = next((s for s in status.get("containerStatuses") or () if s["name"] == container), {})
    wanted: Json = next((c for c in spec.get("containers") or () if c["name"] == container), {})
    last = (state.get("lastState") or {}).get("terminated") or {}
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        created=time(metadata["creationTimestamp"]),
        deletion=maybe_time(metadata.get("deletionTimestamp")),
        phase=status.get("phase", "Pending"),
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        disrupted=(disruption.get("message") or disruption.get("reason") or "disrupted")
        if disruption.get("status") == "True"
        else None,
        disruption=disruption.get("reason") or "" if disruption.get("status") == "True" else "",
        silent_since=_silent_since(metadata, ready, state.get("state") or {}),
        unschedulable=scheduled.get("message") or scheduled.get("reason")
        if scheduled.get("status") == "False"
        else None,
        node=spec.get("nodeName"),
        image=wanted.get("image", ""),
        gpus=_gpus(wanted),
        available=ready.get("status") == "True",
        unready_since=unready,
        state=_state(state.get("state") or {}),
        restarts=state.get("restartCount", 0),
        last_message=_last_line(last.get("message", "")) or last.get("reason", ""),
    )


def _silent_since(metadata: Json, ready: Json, state: Json) -> datetime | None:
    """When the node controller lost the pod's node.

    It turns `Ready` of its pods to False; a kubelet that lives turns it back, for our containers have no readiness probe.
    Only a pod that ends is not ready in the hands of its own kubelet.
    """
    told_by_kubelet = ready.get("status") != "False" or ready.get("reason")  # the node controller gives no reason
    if "running" not in state or told_by_kubelet or not ready.get("lastTransitionTime"):
        return None
    since = time(ready["lastTransitionTime"])
    if "deletionTimestamp" not in metadata:
        return since
    asked = time(metadata["deletionTimestamp"]) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return since if since < asked else None


def _last_line(text: str) -> str:
    """What a person needs of a traceback: its end."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""


def deployment_view(item: Json, pods: tuple[PodView, ...], image: str) -> DeploymentView:
    """A predictor's Deployment, with the image that its spec says."""
    metadata, spec = item["metadata"], item.get("spec") or {}
    conditions = _true_conditions(item)
    return DeploymentView(
        name=metadata["name"],
        uid=metadata["uid"],
        created=time(metadata["creationTimestamp"]),
        template_hash=(metadata.get("annotations") or {}).get(constants.ANNOTATION_TEMPLATE_HASH, ""),
        deleting="deletionTimestamp" in metadata,
        replicas=spec.get("replicas", 1),
        image=image,
        available="Available" in conditions,
        refusal=conditions.get("ReplicaFailure"),
        pods=pods,
    )


def _true_conditions(item: Json) -> dict[str, str]:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return {c["type"]: c.get("message") or c.get("reason") or "" for c in conditions if c["status"] == "True"}


def _gpus(container: Json) -> float:
    return capacity.gpus((container.get("resources") or {}).get("limits") or {})


def _state(state: Json) -> ContainerState | None:
    if "terminated" in state:
        ended = state["terminated"]
        return ContainerEnded(
            exit_code=ended["exitCode"],
            reason=ended.get("reason") or "",
            message=ended.get("message") or "",
            started=maybe_time(ended.get("startedAt")),
            finished=maybe_time(ended.get("finishedAt")),
        )
    if "running" in state:
        return ContainerRunning(time(state["running"]["startedAt"]))
    if "waiting" in state:
        return ContainerWaiting(state["waiting"].get("reason") or "", state["waiting"].get("message") or "")
    return None


def first_problem(error: ValidationError, root: str) -> str:
    """The first field that is wrong, with its value and what would be right."""
    return _problem_of(error.errors(include_url=False)[0], root)


def _problem_of(first: ErrorDetails, root: str) -> str:
    value = first["input"]
    shown = f" (is {value!r})" if not isinstance(value, dict | list | BaseModel) else ""
    return f"{'.'.join((root, *(str(part) for part in first['loc'])))}: {first['msg']}{shown}"
