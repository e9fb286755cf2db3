"""What the operator's benchmark computes: waits of free slots, writes by kind, progress a minute."""

from typing import Any

import pytest

from bench.containers import parse
from bench.plain_loop import manifest_of
from bench.slots import Waits, count_writes, most_in_a_minute, ours, progress_writes, slot_waits

OPERATOR = "system:serviceaccount:bananas-system:bananas-operator"


def event(verb: str = "patch", resource: str = "nastrials", name: str = "s-0", **more: Any) -> dict[str, Any]:
    return {
        "verb": verb,
        "user": {"username": more.pop("user", OPERATOR)},
        "objectRef": {"resource": resource, "namespace": "lab", "name": name, **more.pop("ref", {})},
        "responseStatus": {"code": more.pop("code", 200)},
        "requestURI": more.pop("uri", "/apis"),
        **more,
    }


def test_the_slot_that_came_free_first_is_filled_first() -> None:
    spans = [(0, 10), (0, 12), (11, 21), (14, 24), (22, 30)]
    assert slot_waits(spans, 2) == [1, 2, 1]


def test_more_containers_than_slots_are_no_measurement() -> None:
    with pytest.raises(ValueError, match="more than 2"):
        slot_waits([(0, 10), (0, 12), (5, 15), (11, 20)], 2)


def test_median_and_p95() -> None:
    want = Waits(101, 50, 95)
    assert Waits.of(list(range(101))) == want


def test_only_successful_writes_of_operator_and_predictors_count() -> None:
    assert ours(event(), OPERATOR, "lab")
    assert ours(event(user="system:serviceaccount:lab:s-predictor"), OPERATOR, "lab")
    for other in (
        event(user="system:kube-scheduler"),
        event(verb="get"),
        event(code=409),
        event(ref={"namespace": "elsewhere"}),
        event(uri="/apis?dryRun=All"),
    ):
        assert not ours(other, OPERATOR, "lab")


def test_events_and_leases_are_counted_apart() -> None:
    events = [
        event(ref={"subresource": "status"}),
        event("create", "events"),
        event("update", "leases"),
        event("create"),
    ]
    got = count_writes(events)
    assert got.by_kind == {"create nastrials": 1, "patch nastrials/status": 1}
    assert got.total == 2
    assert got.apart == {"create events": 1, "update leases": 1}


def test_a_progress_write_changes_nothing_but_progress() -> None:
    states = [
        (0, {"phase": "Running"}),
        (60, {"phase": "Running", "progress": {"epoch": 1}}),
        (125, {"phase": "Running", "progress": {"epoch": 4}}),
        (130, {"phase": "Succeeded", "progress": {"epoch": 5}}),
    ]
    events = [event(time=when, responseObject={"status": status}) for when, status in states]
    assert progress_writes(events) == {"s-0": [60, 125]}


@pytest.mark.parametrize(("times", "want"), [([], 0), ([0, 60], 1), ([0, 59.9, 100], 2)])
def test_progress_writes_in_a_minute(times: list[float], want: int) -> None:
    assert most_in_a_minute(times) == want


def test_jobs_that_are_deleted_together_are_one_write() -> None:
    together = event("deletecollection", "jobs")
    del together["objectRef"]["name"]
    assert ours(together, OPERATOR, "lab")
    assert count_writes([together]).by_kind == {"deletecollection jobs": 1}


def test_a_line_of_containerd_is_read_to_the_nanosecond() -> None:
    line = (
        "2026-11-25 16:00:01.5 +0000 UTC k8s.io /tasks/exit "
        '{"container_id":"a","id":"a","pid":7,"exited_at":"2026-11-25T16:00:00.123456789Z"}'
    )
    parsed = parse(line)
    assert parsed is not None
    topic, when, body = parsed
    assert (topic, body["container_id"]) == ("/tasks/exit", "a")
    assert when % 60 == pytest.approx(0.123456789, abs=1e-5)
    assert parse("nonsense") is None


def test_the_loops_job_is_the_operators_without_what_ties_it_to_the_trial() -> None:
    labels = {"nas.bananas.dev/search-uid": "u", "controller-uid": "c"}
    job = {
        "metadata": {"name": "s-0-1", "ownerReferences": [{}], "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "selector": {"matchLabels": {"controller-uid": "c"}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"nas.bananas.dev/trial-file": "{}"}},
                "spec": {"containers": [{"name": "trainer"}]},
            },
        },
    }
    made = manifest_of(job, "lab")
    assert "selector" not in made["spec"]
    assert not any("nas.bananas.dev/search" in key for key in made["spec"]["template"]["metadata"]["labels"])
    assert made["spec"]["template"]["spec"] == job["spec"]["template"]["spec"]
    assert made["spec"]["template"]["metadata"]["annotations"] == {"nas.bananas.dev/trial-file": "{}"}
    assert job["spec"]["selector"], "the original is untouched"
