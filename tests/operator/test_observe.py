"""What a pass sees, from the cache."""

from dataclasses import replace
from typing import Any, cast

from bananas_core import constants
from bananas_operator.cache import Cache
from bananas_operator.memory import Memory
from bananas_operator.observe import Observer
from bananas_operator.resources import JOBS, PODS, TRIALS

from .builders import SETTINGS, search, spec, trial


def test_trials_are_parsed_once_for_each_version_whatever_a_person_changes_in_the_search() -> None:
    cache = Cache(clock=lambda: 0.0)
    observer = Observer(cast(Any, None), cache, Memory(), SETTINGS)

    def put(version: str, **status: Any) -> None:
        given = trial(0).spec
        assert given is not None
        metadata = {
            "namespace": "lab",
            "name": "s-0",
            "uid": "trial-0",
            "resourceVersion": version,
            "labels": {constants.LABEL_SEARCH_UID: "search-uid"},
            "ownerReferences": [{"uid": "search-uid", "controller": True}],
        }
        cache.put(TRIALS, {"metadata": metadata, "spec": given.to_kubernetes(), "status": status}, "watch")

    put("1")
    (first,) = observer._trials(search())
    scaled = search(spec(parallelism=9, budget={"trials": 9}), generation=2)
    assert observer._trials(scaled)[0] is first
    assert observer._trials(replace(scaled, spec=None))[0] is not first, "there is nothing to compare it with"
    put("2", phase="Queued")
    assert observer._trials(scaled)[0].status.phase == "Queued"


def labelled(kind: str, uid: str, version: str, owner: str, component: str = "trial", **status: Any) -> dict[str, Any]:
    labels = {
        constants.LABEL_SEARCH_UID: "search-uid",
        constants.LABEL_TRIAL_UID: "trial-0",
        constants.LABEL_ATTEMPT: "1",
        constants.LABEL_COMPONENT: component,
    }
    metadata = {"namespace": "lab", "name": uid, "uid": uid, "resourceVersion": version, "labels": labels}
    metadata |= {"creationTimestamp": "2026-01-01T12:00:00Z", "ownerReferences": [{"uid": owner, "controller": True}]}
    return {"kind": kind, "metadata": metadata, "status": status}


def pod_in(version: str, state: dict[str, Any], phase: str) -> dict[str, Any]:
    containers = [{"name": "trainer", "state": state, "restartCount": 0}]
    return labelled("Pod", "pod-0", version, "job-0", phase=phase, containerStatuses=containers)


RUNS = {"running": {"startedAt": "2026-01-01T12:00:00Z"}}
ENDED = {"terminated": {"exitCode": 75, "startedAt": "2026-01-01T12:00:00Z", "finishedAt": "2026-01-01T12:00:09Z"}}


def seen_after_deletion(last: dict[str, Any]) -> Any:
    """What is seen of an attempt whose pod was running, and was then deleted in this state."""
    cache = Cache(clock=lambda: 0.0)
    cache.put(JOBS, labelled("Job", "job-0", "1", "trial-0"), "watch")
    cache.put(PODS, pod_in("2", RUNS, "Running"), "watch")
    cache.remove(PODS, last)
    (job,) = Observer(cast(Any, None), cache, Memory(), SETTINGS)._jobs(search())
    return job.pod


def test_what_a_pod_said_at_last_is_known_though_only_its_deletion_was_told() -> None:
    """Evicted pods are gone within a second: the watch gives the news of end and deletion as one."""
    pod = seen_after_deletion(pod_in("3", ENDED, "Failed"))
    assert pod is not None
    assert pod.phase == "Failed"
    assert pod.state.exit_code == 75


def test_of_a_pod_that_was_deleted_before_its_end_nothing_is_known() -> None:
    assert seen_after_deletion(pod_in("3", RUNS, "Running")) is None


def test_last_words_are_forgotten_after_a_while() -> None:
    clock = [0.0]
    cache = Cache(clock=lambda: clock[0])
    cache.remove(PODS, pod_in("3", ENDED, "Failed"))
    clock[0] = 100
    cache.forget_gone(200)
    assert len(cache.last_words.of("search-uid")) == 1
    assert cache.last_words.of("another") == []
    clock[0] = 301
    cache.forget_gone(200)
    assert cache.last_words.of("search-uid") == []
