"""Objects of the API parsed into views."""

from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_core.api.trial import Origin
from bananas_core.model import Model
from bananas_operator.parse import first_problem, job_view, pod_view, read_status, search_view, trial_view
from bananas_operator.views import ContainerEnded

from .builders import ARCHITECTURES, at, search, spec, trial


def trial_object(**changes: Any) -> dict[str, Any]:
    found = trial(0)
    assert found.spec is not None
    return {
        "metadata": {
            "name": "s-0",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {constants.LABEL_ARCHITECTURE: found.hash},
        },
        "spec": {**found.spec.to_kubernetes(), **changes},
    }


def test_a_trial_that_fits_its_search_has_no_problem() -> None:
    view = trial_view(trial_object(), search())
    assert (view.problem, view.hash, view.status.phase) == (None, ARCHITECTURES[0].hash(), "Pending")


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"spec": {"search": "other"}}, constants.REASON_INVALID_TRIAL, "spec.search is other"),
        ({"spec": {"index": 5}}, constants.REASON_INVALID_TRIAL, "s-5"),
        ({"spec": {"architecture": {"space": "darts"}}}, constants.REASON_INVALID_TRIAL, "spec.architecture"),
        ({"spec": {"table": {"secondsPerTrial": 9}}}, constants.REASON_RECIPE_MISMATCH, "spec.table"),
        ({"spec": {"recipe": {}}}, constants.REASON_RECIPE_MISMATCH, "spec.table"),
        ({"label": "0" * 32}, constants.REASON_INVALID_TRIAL, constants.LABEL_ARCHITECTURE),
    ],
)
def test_a_trial_that_does_not_fit_has_a_problem_that_names_the_field(
    change: dict[str, Any], reason: str, says: str
) -> None:
    item = trial_object(**change.get("spec", {}))
    if "label" in change:
        item["metadata"]["labels"][constants.LABEL_ARCHITECTURE] = change["label"]
    view = trial_view(item, search())
    assert view.problem is not None
    assert view.problem.reason == reason
    assert says in view.problem.message


def test_a_trial_of_another_space_does_not_fit() -> None:
    other = search(spec(space="nasbench101"))
    view = trial_view(trial_object(), other)
    assert view.problem is not None
    assert view.problem.reason == constants.REASON_RECIPE_MISMATCH


def test_a_spec_that_cannot_be_read_names_field_and_value() -> None:
    metadata = {"namespace": "lab", "name": "s", "uid": "u", "resourceVersion": "1", "generation": 3}
    item = {"metadata": metadata, "spec": {"space": "nasbench201", "evaluator": "table", "parallelism": -1}}
    view = search_view(item)
    assert view.spec is None
    assert view.problem is not None
    assert "spec.parallelism" in view.problem
    assert "-1" in view.problem


def test_a_pod_is_read_with_its_gpus_and_its_containers_end() -> None:
    item = {
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"},
        "spec": {
            "nodeName": "n1",
            "containers": [
                {"name": "sidecar", "image": "s"},
                {"name": "trainer", "image": "t", "resources": {"limits": {"nvidia.com/gpu": "2", "cpu": "500m"}}},
            ],
        },
        "status": {
            "phase": "Failed",
            "reason": "Evicted",
            "message": "low on memory",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "message": "evicted"}],
            "containerStatuses": [
                {"name": "sidecar", "state": {"running": {"startedAt": "2026-01-01T12:00:00Z"}}},
                {
                    "name": "trainer",
                    "state": {
                        "terminated": {
                            "exitCode": 75,
                            "reason": "Error",
                            "startedAt": "2026-01-01T12:00:01Z",
                            "finishedAt": "2026-01-01T12:00:09Z",
                        }
                    },
                },
            ],
        },
    }
    view = pod_view(item, "trainer")
    assert (view.gpus, view.node, view.image, view.disrupted) == (2, "n1", "t", "evicted")
    assert view.state == ContainerEnded(75, "Error", "", at(1), at(9))


def test_a_pod_without_any_status_is_pending() -> None:
    item = {"metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"}}
    view = pod_view(item, "trainer")
    assert (view.phase, view.state, view.node, view.gpus) == ("Pending", None, None, 0)


def test_the_first_problem_of_a_model_is_told_with_its_path() -> None:
    assert issubclass(Origin, Model)
    with pytest.raises(ValueError, match="method") as caught:
        Origin.model_validate({"method": "guess"})
    assert first_problem(caught.value, "spec.origin").startswith("spec.origin.method:")  # type: ignore[arg-type]


def test_a_status_of_a_later_release_is_read_without_what_is_not_known() -> None:
    status, problem = read_status(
        NASTrialStatus,
        {"phase": "Running", "attempts": 2, "novel": {"x": 1}, "progress": {"epoch": 1, "epochs": 3, "speed": 9}},
    )
    assert problem is None
    assert (status.phase, status.attempts) == ("Running", 2)
    assert status.progress is not None
    assert status.progress.epoch == 1


def test_of_a_status_that_cannot_be_read_the_rest_is_kept_and_the_field_named() -> None:
    status, problem = read_status(NASTrialStatus, {"phase": "Exploded", "attempts": 2, "retries": "many"})
    assert problem is not None
    assert problem.startswith("status.phase: ")
    assert "Exploded" in problem
    assert (status.attempts, status.retries) == (2, 0)


@pytest.mark.parametrize("raw", [{"progress": 3}, {"failure": {"reason": 5}}, {"attempts": -1}, {"": 1, "phase": None}])
def test_no_status_whatever_keeps_the_others_from_being_read(raw: dict[str, Any]) -> None:
    assert read_status(NASTrialStatus, raw)[0].settled_attempt == 0


def test_a_trial_whose_phase_cannot_be_read_takes_its_place() -> None:
    found = trial_view({**trial_object(), "status": {"phase": "Exploded"}}, search())
    assert found.in_flight
    assert found.unreadable is not None
    assert found.unreadable.reason == constants.REASON_INVALID_STATUS


@pytest.mark.parametrize(
    ("annotations", "want"),
    [
        ({}, (False, None)),
        ({constants.ANNOTATION_CANCEL: "2026-01-01T12:00:09Z"}, (True, None)),
        ({constants.ANNOTATION_CANCEL: ""}, (False, None)),
        ({constants.ANNOTATION_RETRY: "2026-01-01T12:00:09Z"}, (False, at(9))),
        ({constants.ANNOTATION_RETRY: "2026-01-01T12:00:09"}, (False, None)),
        ({constants.ANNOTATION_RETRY: "now"}, (False, None)),
    ],
)
def test_what_a_person_wants_of_a_trial_is_read(annotations: dict[str, str], want: Any) -> None:
    found = trial_object()
    found["metadata"]["annotations"] = annotations
    view = trial_view(found, search())
    assert (view.cancelled, view.retried_at) == want


@pytest.mark.parametrize(
    ("suspend", "condition", "want"),
    [
        (None, None, (False, None)),
        (True, None, (True, None)),
        (False, "True", (True, None)),  # the Job controller has not let it go yet
        (False, "False", (False, at(9))),
        (True, "False", (True, at(9))),
    ],
)
def test_whether_a_job_is_held_back_is_read(suspend: bool | None, condition: str | None, want: Any) -> None:
    conditions = [{"type": "Suspended", "status": condition, "lastTransitionTime": "2026-01-01T12:00:09Z"}]
    job = {
        "metadata": {
            "name": "s-0-1",
            "uid": "j",
            "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": {constants.LABEL_ATTEMPT: "1", constants.LABEL_TRIAL_UID: "u"},
        },
        "spec": {} if suspend is None else {"suspend": suspend},
        "status": {"conditions": conditions if condition else []},
    }
    view = job_view(job, None, None)
    assert view is not None
    assert (view.suspended, view.resumed) == want
