"""Why a container has not started: asked of few pods, seldom, and the last word counts."""

from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from bananas_operator.client import KubernetesApi
from bananas_operator.errors import ServerError
from bananas_operator.mounts import AT_ONCE, MountQuestions
from bananas_operator.views import ContainerWaiting, JobView, PodView

from .builders import SETTINGS, at, job, pod, running

CREATING = ContainerWaiting("ContainerCreating", "")


class Events:
    """An API server that knows events only."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.broken = False

    async def list_page(self, _resource: Any, _namespace: str, query: list[tuple[str, str]]) -> dict[str, Any]:
        self.asked.append(dict(query)["fieldSelector"])
        if self.broken:
            raise ServerError("down", status=500)
        return {"items": self.items}

    def tell(self, reason: str, message: str = "", uid: str = "pod-uid") -> None:
        version = str(len(self.items) + 1)
        about = {"kind": "Pod", "uid": uid}
        item = {"metadata": {"resourceVersion": version}, "reason": reason, "message": message, "involvedObject": about}
        self.items.append(item)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def questions(events: Events) -> MountQuestions:
    return MountQuestions(cast(KubernetesApi, events), SETTINGS)


async def problem(questions: MountQuestions, the_pod: PodView, seconds: float) -> str | None:
    (found,), _ = await questions.explain("lab", (job(the_pod=the_pod),), at(seconds))
    assert found.pod is not None
    return found.pod.mount_problem


async def test_a_volume_that_cannot_be_mounted_is_told_once_the_container_is_late(
    events: Events, questions: MountQuestions
) -> None:
    events.tell("FailedMount", 'configmap "absent" not found')
    assert await problem(questions, pod(CREATING), 5) is None
    assert events.asked == []
    assert await problem(questions, pod(CREATING), 10) == 'configmap "absent" not found'
    assert events.asked == ["involvedObject.uid=pod-uid"]


async def test_the_question_comes_again_only_after_a_while(events: Events, questions: MountQuestions) -> None:
    times: list[datetime | None] = []
    for seconds in (5, 10, 11, 19, 20):
        times.append((await questions.explain("lab", (job(the_pod=pod(CREATING)),), at(seconds)))[1])
    assert len(events.asked) == 2
    assert times == [at(10), at(20), at(20), at(20), at(30)]


async def test_a_failure_that_has_passed_is_none(events: Events, questions: MountQuestions) -> None:
    events.tell("FailedMount", "failed to sync configmap cache")
    events.tell("Pulling", "Pulling image")
    assert await problem(questions, pod(CREATING), 10) is None


async def test_an_event_of_another_pod_tells_nothing(events: Events, questions: MountQuestions) -> None:
    events.tell("FailedMount", "x", uid="other")
    events.tell("FailedScheduling", "y")
    assert await problem(questions, pod(CREATING), 10) is None


@pytest.mark.parametrize(
    "the_pod",
    [
        pod(running(0)),
        pod(ContainerWaiting("ImagePullBackOff", "")),
        pod(None, node=None),
        pod(CREATING, deletion=at(9)),
    ],
    ids=["runs", "waits for its image", "has no node", "is being deleted"],
)
async def test_nothing_is_asked_of_a_pod_that_does_not_wait_for_volumes(
    events: Events, questions: MountQuestions, the_pod: PodView
) -> None:
    assert await problem(questions, the_pod, 100) is None
    assert events.asked == []


async def test_of_many_pods_that_wait_few_are_asked_at_once(events: Events, questions: MountQuestions) -> None:
    jobs: tuple[JobView, ...] = tuple(
        job(index, the_pod=replace(pod(CREATING), uid=f"pod-{index}")) for index in range(50)
    )
    await questions.explain("lab", jobs, at(10))
    assert len(events.asked) == AT_ONCE


async def test_a_pass_does_not_fail_because_a_question_does(events: Events, questions: MountQuestions) -> None:
    events.broken = True
    assert await problem(questions, pod(CREATING), 10) is None
    events.broken = False
    events.tell("FailedMount", "absent")
    assert await problem(questions, pod(CREATING), 20) == "absent"
