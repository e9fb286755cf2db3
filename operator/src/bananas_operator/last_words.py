"""Pods that had ended when they were deleted, as they were last seen. Filled by `cache`, read by `observe`.

A pod that is evicted or preempted goes within a second of its end. Its last state, which says who ended it, what it cost and
perhaps a result, comes with the news of its deletion; whoever drops it knows only that a pod is gone.
"""

from collections.abc import Callable

from bananas_core import constants
from bananas_operator.resources import Json


class LastWords:
    """Ended pods that are gone, by UID."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pods: dict[str, tuple[float, Json]] = {}

    def keep(self, pod: Json) -> None:
        """Keeps a pod that has ended; of one that had not, nothing can be said."""
        if _has_ended(pod) and _search_uid(pod):
            self._pods[pod["metadata"]["uid"]] = (self._clock(), pod)

    def of(self, search_uid: str) -> list[Json]:
        """Those of a search."""
        return [pod for _, pod in self._pods.values() if _search_uid(pod) == search_uid]

    def forget(self, older_than_seconds: float) -> None:
        """Drops what has been read long ago."""
        limit = self._clock() - older_than_seconds
        self._pods = {uid: kept for uid, kept in self._pods.items() if kept[0] > limit}


def _search_uid(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(constants.LABEL_SEARCH_UID, ""))


def _has_ended(pod: Json) -> bool:
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    terminated = any("terminated" in (container.get("state") or {}) for container in containers)
    return terminated or status.get("phase") in ("Succeeded", "Failed")
