"""/metrics: what searches are at, computed from their status at each scrape, and how the operator itself does.

A search that is deleted vanishes with the next scrape, because nothing is kept here.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bananas_core import constants
from bananas_core.api import NASSearchStatus
from bananas_operator.cache import Cache
from bananas_operator.election import Election
from bananas_operator.parse import search_view
from bananas_operator.views import SearchView

LABELS = ("namespace", "search")


class PassMetrics:
    """How passes go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            constants.METRIC_RECONCILE_SECONDS,
            "Seconds of a pass over a search.",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self._errors = Counter(
            constants.METRIC_RECONCILE_ERRORS, "Passes that failed, by error.", ("error",), registry=registry
        )

        self._refused = Counter(
            constants.METRIC_REFUSED_WRITES,
            "Writes that the API server refused for good.",
            ("action",),
            registry=registry,
        )

    def refused(self, action: str) -> None:
        """Counts a write that was refused."""
        self._refused.labels(action).inc()

    def timed(self) -> AbstractContextManager[object]:
        """Times a pass."""
        timer: AbstractContextManager[object] = self._seconds.time()
        return timer

    def failed(self, error: str) -> None:
        """Counts a pass that failed."""
        self._errors.labels(error).inc()


class SearchCollector(Collector):
    """One family for each number of a search's status."""

    def __init__(self, cache: Cache, election: Election) -> None:
        self._cache = cache
        self._election = election

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All families, from the cache as it is now."""
        searches = [search_view(item) for item in self._cache.searches()] if self._election.leads else []
        numbers: tuple[tuple[str, str, Callable[[SearchView], float | None]], ...] = (
            (constants.METRIC_BUDGET_TRIALS, "Trials that may be admitted.", _budget),
            (constants.METRIC_PARALLELISM, "Trials that may be in flight at once.", _parallelism),
            (constants.METRIC_FREE_SLOTS, "Slots without a trial, while the search runs.", _free_slots),
            (constants.METRIC_BEST_ACCURACY, "Best validation accuracy, from 0 to 1.", _best),
            (constants.METRIC_GPU_SECONDS, "GPU seconds of all ended attempts.", lambda s: s.status.gpu_seconds.used),
            (
                constants.METRIC_GPU_SECONDS_WASTED,
                "GPU seconds of attempts that gave no result.",
                lambda s: s.status.gpu_seconds.wasted,
            ),
        )
        for name, text, number in numbers:
            family = GaugeMetricFamily(name, text, labels=LABELS)
            for search in searches:
                value = number(search)
                if value is not None:
                    family.add_metric((search.namespace, search.name), value)
            yield family
        yield _trials(searches)
        yield _interruptions(searches)
        yield _conditions(searches)


def make_registry(cache: Cache, election: Election) -> CollectorRegistry:
    """A registry of our own with everything of the operator; of searches the leader alone tells, else all counts twice."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Gauge(
        constants.METRIC_LEADER, "1 on the replica that acts and tells of searches, else 0.", registry=registry
    ).set_function(lambda: election.leads)
    registry.register(SearchCollector(cache, election))
    return registry


def _trials(searches: list[SearchView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(constants.METRIC_TRIALS, "Trials by phase.", labels=(*LABELS, "phase"))
    for search in searches:
        for phase, number in search.status.trials.model_dump().items():
            family.add_metric((search.namespace, search.name, phase.capitalize()), number)
    return family


def _interruptions(searches: list[SearchView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        constants.METRIC_INTERRUPTIONS, "Attempts that were ended from outside, by cause.", labels=(*LABELS, "cause")
    )
    for search in searches:
        counts = search.status.interruptions
        family.add_metric((search.namespace, search.name, "preemption"), counts.preemptions)
        family.add_metric((search.namespace, search.name, "other"), counts.total - counts.preemptions)
    return family


def _conditions(searches: list[SearchView]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        constants.METRIC_CONDITION,
        "1 where a condition is true, else 0.",
        labels=(*LABELS, "condition", "reason"),
    )
    for search in searches:
        for condition in search.status.conditions:
            labels = (search.namespace, search.name, condition.type, condition.reason)
            family.add_metric(labels, 1 if condition.status == "True" else 0)
    return family


def _budget(search: SearchView) -> float | None:
    return search.spec.budget.trials if search.spec is not None else None


def _parallelism(search: SearchView) -> float | None:
    return search.spec.parallelism if search.spec is not None else None


def _free_slots(search: SearchView) -> float | None:
    if search.spec is None:
        return None
    return 0 if _rests(search.status) else max(0, search.spec.parallelism - search.status.in_flight)


def _rests(status: NASSearchStatus) -> bool:
    return status.phase in ("Complete", "Failed", "Suspended")


def _best(search: SearchView) -> float | None:
    return search.status.best.validation_accuracy if search.status.best is not None else None
