"""Why a container has not started though its pod has a node: perhaps a volume. Called by `observe`; it only reads.

No field of a pod tells a volume that cannot be mounted, only Events do, and those of all pods are too many to watch. So
they are asked for, of few pods at a time, once a container is late.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from bananas_operator.client import KubernetesApi
from bananas_operator.errors import ApiError
from bananas_operator.resources import EVENTS, Json
from bananas_operator.settings import Settings
from bananas_operator.views import ContainerEnded, ContainerRunning, JobView, PodView

log = structlog.get_logger()

FAILURES: Final = ("FailedMount", "FailedAttachVolume")
STEPS: Final = (*FAILURES, "SuccessfulAttachVolume", "Pulling", "Pulled", "Created")
"""What a kubelet tells on the way to a container, as far as it shows whether the volumes are there. The last word counts: it
tells a failure again at each try, and one that has passed is followed by the next step."""
AT_ONCE: Final = 3
"""Pods asked about in one pass: of hundreds that wait, the first few have the reason of all."""


class MountQuestions:
    """Asks, and remembers the answers until the container has started."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api = api
        self._pause = timedelta(seconds=settings.mount_seconds)
        self._told: dict[str, tuple[datetime, str | None]] = {}

    async def explain(
        self, namespace: str, jobs: tuple[JobView, ...], now: datetime
    ) -> tuple[tuple[JobView, ...], datetime | None]:
        """The Jobs, those whose pod waits for a volume with that said; and when to ask again."""
        late = [job.pod for job in jobs if job.pod is not None and _waits_on_its_node(job.pod)]
        due = {pod.uid: self._due(pod) for pod in late}
        asked = [pod for pod in late if due[pod.uid] <= now][:AT_ONCE]
        answers = await asyncio.gather(*(self._ask(namespace, pod) for pod in asked))
        for pod, answer in zip(asked, answers, strict=True):
            self._told[pod.uid] = (now, answer)
        self._forget(now)
        again = min((self._due(pod) for pod in late), default=None)
        return tuple(self._explained(job) for job in jobs), again if again is None or again > now else now + self._pause

    def _due(self, pod: PodView) -> datetime:
        told = self._told.get(pod.uid)
        return (told[0] if told is not None else pod.created) + self._pause

    def _explained(self, job: JobView) -> JobView:
        told = self._told.get(job.pod.uid) if job.pod is not None else None
        if job.pod is None or told is None or not _waits_on_its_node(job.pod):
            return job
        return replace(job, pod=replace(job.pod, mount_problem=told[1]))

    def _forget(self, now: datetime) -> None:
        self._told = {uid: told for uid, told in self._told.items() if now < told[0] + 10 * self._pause}

    async def _ask(self, namespace: str, pod: PodView) -> str | None:
        try:
            page = await self._api.list_page(EVENTS, namespace, [("fieldSelector", f"involvedObject.uid={pod.uid}")])
        except ApiError as error:  # a pass must not fail for want of an explanation
            log.info("events not listed", namespace=namespace, pod=pod.name, error=str(error))
            return None
        events = [event for event in page.get("items") or () if _is_about(event, pod)]
        newest = max(events, key=lambda event: int(event["metadata"]["resourceVersion"]), default=None)
        failed = newest is not None and newest["reason"] in FAILURES
        return str(newest.get("message", ""))[:1000] if newest is not None and failed else None


def _is_about(event: Json, pod: PodView) -> bool:
    return event.get("reason") in STEPS and event.get("involvedObject", {}).get("uid") == pod.uid


def _waits_on_its_node(pod: PodView) -> bool:
    started = isinstance(pod.state, ContainerRunning | ContainerEnded)
    named = pod.state is not None and not started and getattr(pod.state, "reason", "") not in ("", "ContainerCreating")
    return pod.node is not None and pod.phase == "Pending" and not started and not named and pod.deletion is None
