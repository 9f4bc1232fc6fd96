"""What other parts of the service count, as metrics for Prometheus."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rung_ops.release.rollout import Comparison


class Logs(Protocol):
    """What of a prediction log is counted."""

    written: int
    dropped: int
    failures: int
    restarts: int

    @property
    def waiting(self) -> int: ...


class Shadows(Protocol):
    """What of a shadow is counted."""

    comparison: Comparison
    dropped: int


class Lookups(Protocol):
    """What of the look-ups of entity features is counted."""

    def metrics(self) -> Iterator[Metric]: ...


def of_log(log: Logs) -> Iterator[Metric]:
    """Give what is counted of a prediction log."""
    rows = CounterMetricFamily(
        "prediction_log_rows",
        "Rows of the prediction log: written, or dropped.",
        labels=["outcome"],
    )
    rows.add_metric(["written"], log.written)
    rows.add_metric(["dropped"], log.dropped)
    yield rows
    yield CounterMetricFamily(
        "prediction_log_failures", "Attempts to write it that failed.", value=log.failures
    )
    yield CounterMetricFamily(
        "prediction_log_restarts", "Times that its writer was found dead.", value=log.restarts
    )
    yield GaugeMetricFamily(
        "prediction_log_waiting_rows", "Rows that wait in memory to be written.", value=log.waiting
    )


def of_shadow(shadow: Shadows) -> Iterator[Metric]:
    """Give what is counted of a shadow."""
    rows = CounterMetricFamily(
        "shadow_rows",
        "Rows offered to the shadow release, by what became of them.",
        labels=["outcome"],
    )
    rows.add_metric(["compared"], shadow.comparison.compared)
    rows.add_metric(["dropped"], shadow.dropped)
    rows.add_metric(["failed"], shadow.comparison.failed)
    yield rows
    yield CounterMetricFamily(
        "shadow_difference",
        "Sum over compared rows of the distance between both releases' predictions.",
        value=shadow.comparison.difference,
    )
