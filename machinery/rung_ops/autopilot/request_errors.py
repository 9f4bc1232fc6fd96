"""The share of requests that the service failed to answer, by release, from /metrics.

The counters run since the start of the service and are not labelled by release. So each pass keeps
its reading; the difference of two readings with the same release and process counts for the release.
"""

import math
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from rung_ops.serving import access
from rung_ops.statistics.intervals import wilson_interval

TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Rate:
    """Failed requests of all requests."""

    failed: int
    requests: int

    @property
    def share(self) -> float:
        """Share of failed requests, in [0, 1]; 0 without requests."""
        return self.failed / self.requests if self.requests else 0.0


def reading(url: str, serving: str) -> dict[str, Any] | None:
    """Read the counters of a service.

    Args:
        url: of the service, without a path.
        serving: the serving release.

    Returns:
        release, process (its start time), answered, failed; None if the service does not answer.
    """
    request = access.authorized_request(
        f"{url.rstrip('/')}/metrics"
    )  # METRICS_TOKENS may guard them
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, ValueError, urllib.error.URLError):
        return None
    counts: dict[str, float] = {"answered": 0.0, "failed": 0.0}
    process = None
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == "process_start_time_seconds":
            process = sample.value
        outcome = sample.labels.get("outcome")
        if sample.name == "service_requests_total" and outcome in counts:
            counts[str(outcome)] += sample.value
    return {"release": serving, "process": process} | {key: int(n) for key, n in counts.items()}


def rate(readings: Sequence[dict[str, Any]], release: str) -> Rate:
    """Sum the differences of consecutive readings of the same release and process."""
    failed = answered = 0
    for first, second in pairwise(readings):
        same = first["release"] == second["release"] == release
        if same and first["process"] == second["process"]:
            failed += second["failed"] - first["failed"]
            answered += second["answered"] - first["answered"]
    return Rate(failed, failed + answered)


def rise(before: Rate, after: Rate, level: float) -> tuple[float, float]:
    """Compute the confidence interval of the rise of a share, by Newcombe's method.

    Args:
        before, after: of at least one request each.
        level: confidence level, in (0, 1).

    Returns:
        The lower and the upper bound, in [-1, 1].
    """
    deviations = NormalDist().inv_cdf((1 + level) / 2)
    low_before, high_before = wilson_interval(before.failed, before.requests, deviations)
    low_after, high_after = wilson_interval(after.failed, after.requests, deviations)
    rise = after.share - before.share
    down = math.hypot(after.share - low_after, high_before - before.share)
    up = math.hypot(high_after - after.share, before.share - low_before)
    return rise - down, rise + up
