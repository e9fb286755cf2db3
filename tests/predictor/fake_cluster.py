"""A cluster in memory for the predictor's loop, with an operator that does what a test tells it.

Not an API server: that is what the tests of `api_server` and those on the real cluster are for.
"""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from bananas_core import constants
from bananas_predictor.errors import AlreadyExistsError, ClusterError, NotFoundError
from bananas_predictor.objects import Raw

NAMESPACE = "team"
SEARCH = "lemon"
UID = "0a1b"


def search_object(*, trials: int = 12, parallelism: int = 2, initial: int = 4, **spec: Any) -> Raw:
    """A NASSearch that looks up in the toy table of NAS-Bench-201."""
    return {
        "metadata": {"name": SEARCH, "namespace": NAMESPACE, "uid": UID, "creationTimestamp": "2026-03-04T12:00:00Z"},
        "spec": {
            "space": "nasbench201",
            "evaluator": "table",
            "strategy": {"initialTrials": initial, "candidates": 50, "ensembleSize": 2},
            "budget": {"trials": trials},
            "parallelism": parallelism,
            **spec,
        },
    }


class FakeCluster:
    """`Cluster`, and what a test does behind the predictor's back."""

    def __init__(self, search: Raw | None = None) -> None:
        self.search_raw: Raw | None = search or search_object()
        self.store: dict[str, Raw] = {}
        """What the API server has."""
        self.view: dict[str, Raw] = {}
        """What the predictor has seen."""
        self.statuses: list[Raw] = []
        """Every status write."""
        self.create_errors: list[ClusterError] = []
        """Raised by the next creates, in turn."""
        self.status_errors: list[ClusterError] = []
        self.lose_answers = 0
        """So many creates succeed on the server while their answer is lost."""
        self.is_lagging = False
        """While True the view shows nothing new."""
        self.creates = 0
        self.others: dict[str, tuple[Raw, tuple[Raw, ...]]] = {}
        """Other searches of the namespace, with their trials."""
        self.idle: Callable[[], None] | None = None
        """Called when the predictor waits: the test's turn."""
        self._version = 0
        self._changed = asyncio.Event()
        self._changed.set()

    # --- Cluster ---

    async def wait(self, timeout_seconds: float | None) -> None:
        if self.idle is not None and not self._changed.is_set():
            self.idle()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def search(self) -> Raw | None:
        return deepcopy(self.search_raw)

    def trials(self) -> tuple[Raw, ...]:
        return tuple(deepcopy(list(self.view.values())))

    async def create_trial(self, trial: Raw) -> Raw:
        await asyncio.sleep(0)
        self.creates += 1
        if self.create_errors:
            raise self.create_errors.pop(0)
        name = trial["metadata"]["name"]
        if name in self.store:
            raise AlreadyExistsError(name)
        created = deepcopy(trial)
        created["metadata"]["uid"] = f"uid-{name}"
        self._bump(created)
        self.store[name] = created
        if self.lose_answers:
            self.lose_answers -= 1
            raise AlreadyExistsError(name)  # the client sent it again
        if not self.is_lagging:
            self.view[name] = created
        return deepcopy(created)

    async def read_trial(self, name: str) -> Raw:
        await asyncio.sleep(0)
        if name not in self.store:
            raise NotFoundError(name)
        raw = self.store[name]
        if raw["metadata"].get("labels", {}).get(constants.LABEL_SEARCH_UID) == UID:
            self.view[name] = raw
        return deepcopy(raw)

    async def read_other(self, search: str) -> tuple[Raw, tuple[Raw, ...]]:
        await asyncio.sleep(0)
        if search not in self.others:
            raise NotFoundError(search)
        return deepcopy(self.others[search])

    async def apply_search_status(self, search: Raw) -> None:
        await asyncio.sleep(0)
        if self.status_errors:
            raise self.status_errors.pop(0)
        self.statuses.append(search["status"]["predictor"])
        assert self.search_raw is not None
        self.search_raw.setdefault("status", {})["predictor"] = search["status"]["predictor"]

    # --- the test's hands ---

    def touch(self) -> None:
        """Something has changed."""
        if not self.is_lagging:
            self.view = dict(self.store)
        self._changed.set()

    def has_said(self, text: str) -> bool:
        """Whether a status had a message with this text."""
        return any(text in status["message"] for status in self.statuses)

    def phases(self) -> list[str]:
        """Phases of all trials, by index."""
        return [phase_of(raw) for raw in self.by_index()]

    def by_index(self) -> list[Raw]:
        """All trials of any owner that have an index, by index."""
        return sorted(self.store.values(), key=lambda raw: raw["spec"]["index"])

    def set_status(self, raw: Raw, **status: Any) -> None:
        """As the operator does."""
        raw["status"] = {**raw.get("status", {}), **status}
        self._bump(raw)

    def _bump(self, raw: Raw) -> None:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)

    def admit(self) -> None:
        """Admits what parallelism and budget allow, lowest index first."""
        assert self.search_raw is not None
        spec = self.search_raw["spec"]
        phases = self.phases()
        in_flight = phases.count("Running")
        admitted = len(phases) - phases.count("Pending") - phases.count("Cancelled")
        for raw in self.by_index():
            if phase_of(raw) == "Pending" and in_flight < spec["parallelism"] and admitted < spec["budget"]["trials"]:
                self.set_status(raw, phase="Running")
                in_flight, admitted = in_flight + 1, admitted + 1


def phase_of(raw: Raw) -> str:
    """Phase of a trial."""
    return str(raw.get("status", {}).get("phase", "Pending"))
