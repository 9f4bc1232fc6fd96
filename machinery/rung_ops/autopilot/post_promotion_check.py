"""Check whether a promoted release is worse than the previous one.

Both are scored on the same rows and outcomes: the new release by its logged predictions, the
previous one by predicting the rows now. So a harder month does not count against the new release.

Requests that failed are counted by the service at /metrics, since its start and without the release.
So each pass keeps its reading; the difference of two readings with the same release and process
counts for the release.
"""

import math
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from rung_ops import contract
from rung_ops.autopilot.decide import Verdict
from rung_ops.autopilot.labelled_rows import ARM, PREDICTION, RELEASE, TIME
from rung_ops.autopilot.policy import Rollback
from rung_ops.gate import rules
from rung_ops.model import released as serving_release
from rung_ops.model import source_import
from rung_ops.model.target import unpacked
from rung_ops.project import release_folders
from rung_ops.project.paths import params
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release.state import State, events
from rung_ops.serving import access
from rung_ops.statistics import time_blocks
from rung_ops.statistics.intervals import wilson_interval
from rung_ops.statistics.jackknife import (
    GROUPS,
    NotComparableError,
    half_width,
)
from rung_ops.training import estimator


def verdict(
    state: State,
    answers: pl.DataFrame,
    readings: Sequence[dict[str, Any]],
    now: datetime,
    policy: Rollback,
) -> Verdict | None:
    """Compare the serving release with the previous one.

    Args:
        state: of production.
        answers: from rung_ops.autopilot.labelled_rows.
        readings: from rung_ops.autopilot.post_promotion_check, oldest first.
        now: time of the check, with a time zone.
        policy: [rollback] of ops/autopilot.toml.

    Returns:
        None if there is nothing to compare: no promotion, one before the watch period, or one
        that was rolled back.
    """
    before = predecessor(state)
    if state.serving is None or before is None:
        return None
    failing = _of_errors(before, state.serving, readings, policy)
    if failing:
        return failing
    if answers.is_empty():
        return None
    own = answers.filter(pl.col(RELEASE) == state.serving)
    since = own.filter(pl.col(ARM) == "serving")[TIME].min()
    if since is None or now - since > timedelta(days=policy.watch_days):  # type: ignore[operator]
        return None
    if own.height < policy.least_rows:
        says = f"{state.serving} has {own.height:,} known outcomes; "
        return Verdict(False, f"{says}{policy.least_rows:,} are needed to judge it")
    return _of_quality(before, state.serving, own, policy)


def predecessor(state: State) -> str | None:
    """Return the release before the serving one, if that was promoted."""
    last, serving = None, None
    for event in events(release_folders.environment(release_folders.PRODUCTION)):
        if event["detail"].get("serving", serving) != serving:
            last, serving = event["event"], event["detail"]["serving"]
    return state.previous[0] if state.previous and last in ("serve", "promote") else None


def _of_errors(
    before: str, now: str, readings: Sequence[dict[str, Any]], policy: Rollback
) -> Verdict | None:
    earlier, since = rate(readings, before), rate(readings, now)
    if not policy.error_rate or not earlier.requests or not since.requests:
        return None
    low, high = rise(earlier, since, policy.level)
    if low <= policy.error_rate:
        return None
    return Verdict(
        True,
        f"{now} failed to answer {since.share:.2%} of {since.requests:,} requests, and {before} "
        f"{earlier.share:.2%} of {earlier.requests:,}: the rise of {low:.2%} to {high:.2%} is "
        f"above {policy.error_rate:.2%}",
    )


def _of_quality(before: str, now: str, own: pl.DataFrame, policy: Rollback) -> Verdict | None:
    folder = release_folders.environment(release_folders.PRODUCTION)
    try:
        loaded = serving_release.load(
            release_folders.bundle(folder, before),
            release_folders.public_key().read_bytes(),
            ANY_SPEED,
        )
        rows = own.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
        earlier = loaded.score(rows)[1]
    except source_import.FAULTS as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return Verdict(False, f"{before} cannot be compared on the same rows: {reason}")
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1
    actual = estimator.truth(own)
    served = unpacked(own[PREDICTION], estimator.kind())

    def gain(chosen: np.ndarray) -> float:
        figure = contract.score(actual[chosen], served[chosen])[metric]
        return float(sign * (figure - contract.score(actual[chosen], earlier[chosen])[metric]))

    try:
        group = time_blocks.groups(own, settings["seed"], GROUPS)
    except NotComparableError as error:
        return Verdict(False, f"{now} is not compared: {error}")
    estimate, half = interval(gain, group, policy.level)
    if not np.isfinite(half):
        return Verdict(False, f"{metric} of {now} is not defined on its {len(actual):,} outcomes")
    # A loss that the gate lets pass is none here either: with many rows the smallest one is certain.
    figure = float(contract.score(actual, earlier)[metric])
    margin = rules.allowed_loss(rules.read().margin, figure, settings["score"]["higher_is_better"])
    worse = estimate + half < -margin.amount
    return Verdict(
        worse,
        f"{now} is {'worse' if worse else 'not certainly worse'} than {before} was by more than "
        f"{margin}: on the same {len(actual):,} rows {metric} differs by {sign * estimate:+.4f} "
        f"({_ends(sign, estimate, half)}, {policy.level:.0%} interval)",
    )


def interval(
    gain: Callable[[np.ndarray], float], group: np.ndarray, level: float
) -> tuple[float, float]:
    """Estimate a gain on the same rows, and half the width of its confidence interval.

    Args:
        gain: takes the numbers of some rows.
        group: the number of each row's group, shape (n_rows,), as standard_error() takes it.
        level: of the interval, in (0, 1).

    Returns:
        Both NaN where the gain is not defined.
    """
    half = half_width(gain, group, level)
    return (gain(np.arange(len(group))), half) if math.isfinite(half) else (math.nan, math.nan)


def _ends(sign: int, estimate: float, half: float) -> str:
    low, high = sorted((sign * (estimate - half), sign * (estimate + half)))
    return f"{low:+.4f} to {high:+.4f}"


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
