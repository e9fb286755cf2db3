"""What Prometheus sees of the predictor. Written by the pod's evaluation, served by `serving`."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from bananas_core import constants
from bananas_core.api import PredictorStatus

_LABELS = ("namespace", "search")


class PredictorMetrics:
    """The predictor's metrics, in a registry of their own."""

    def __init__(self, namespace: str, search: str) -> None:
        """For one search."""
        self.registry = CollectorRegistry()
        self._labels = (namespace, search)
        self._fit_seconds = self._gauge(constants.METRIC_FIT_SECONDS, "Seconds that the last fit took.")
        self._results = self._gauge(constants.METRIC_RESULTS_SEEN, "Results that the last fit saw.")
        self._correlation = self._gauge(
            constants.METRIC_RANK_CORRELATION,
            "Spearman correlation of the forecasts with what came true, from -1 to 1.",
        )
        self._error = self._gauge(
            constants.METRIC_ABSOLUTE_ERROR, "Mean absolute error of the forecasts, as a fraction of 1."
        )
        self._proposals = Counter(
            constants.METRIC_PROPOSALS, "Trials proposed by this process.", (*_LABELS, "method"), registry=self.registry
        )

    def show(self, status: PredictorStatus) -> None:
        """Takes over a status; what is not known yet has no sample."""
        self._results.labels(*self._labels).set(status.results_seen)
        for gauge, value in (
            (self._fit_seconds, status.fit_seconds),
            (self._correlation, status.rank_correlation),
            (self._error, status.mean_absolute_error),
        ):
            if value is not None:
                gauge.labels(*self._labels).set(value)

    def proposed(self, method: str) -> None:
        """Counts a proposal."""
        self._proposals.labels(*self._labels, method).inc()

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, _LABELS, registry=self.registry)
