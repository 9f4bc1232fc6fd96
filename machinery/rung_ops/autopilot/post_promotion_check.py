"""Check whether a promoted release is worse than the previous one, or one on trial than the serving one.

Both are scored on the same rows and outcomes: the release that answered them by its logged predictions, the
other one by predicting them now. So a harder month does not count against the new release.
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
from rung_ops.autopilot.decide import OutcomeVerdict, Rollback, Trial
from rung_ops.autopilot.labelled_rows import ARM, PREDICTION, RELEASE
from rung_ops.contract import forecast
from rung_ops.gate import rules
from rung_ops.model import released as serving_release
from rung_ops.model import source_import
from rung_ops.model.added_columns import PREDICTION_TIME
from rung_ops.model.target import unpacked
from rung_ops.project import paths
from rung_ops.project.paths import params
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release.history import State
from rung_ops.release.state import events
from rung_ops.serving import access
from rung_ops.statistics import time_blocks
from rung_ops.statistics.intervals import wilson_interval
from rung_ops.statistics.jackknife import GROUPS, NotComparableError, half_width
from rung_ops.training import estimator

IN_GROUP = 5  # outcomes in each group of the jackknife


def verdict(
    state: State,
    answers: pl.DataFrame,
    readings: Sequence[dict[str, Any]],
    now: datetime,
    policy: Rollback,
) -> OutcomeVerdict | None:
    """Compare the serving release with the previous one; None if none was promoted of late."""
    before = predecessor(state)
    if state.serving is None or before is None:
        return None
    if failing := _of_errors(before, state.serving, readings, policy):
        return failing
    if answers.is_empty():
        return None
    own = answers.filter(pl.col(RELEASE) == state.serving)
    since = own.filter(pl.col(ARM) == "serving")[PREDICTION_TIME].min()
    if since is None or now - since > timedelta(days=policy.watch_days):  # type: ignore[operator]
        return None
    if own.height < policy.least_rows:
        says = f"{state.serving} has {own.height:,} known outcomes; "
        return OutcomeVerdict(False, f"{says}{policy.least_rows:,} are needed to judge it")
    return _of_quality(before, state.serving, own, policy)


def on_trial(
    trial: Trial, serving: str, answers: pl.DataFrame, policy: Rollback
) -> OutcomeVerdict | None:
    """Compare the release on trial with the serving one, by outcomes since its trial began.

    It may have learned from a world that has passed since: the gate has seen older rows. The outcomes of a
    forecast count from its TIME, as those of the first horizon were predicted before the trial.

    Returns:
        None where too few outcomes are known yet.
    """
    if answers.is_empty():
        return None
    rows = answers.filter(pl.col(RELEASE) == serving)
    times = forecast.known_at(rows) if forecast.declared() else rows[PREDICTION_TIME]
    rows = rows.filter(times.dt.convert_time_zone("UTC") >= trial.since)
    if rows.height < least_on_trial(policy):
        return None
    return _of_quality(serving, trial.release, rows, policy, time_blocks.FEW)


def least_on_trial(policy: Rollback) -> int:
    """Return how many outcomes judge a release on trial; with little traffic it has no more."""
    groups = time_blocks.FEW if forecast.declared() else GROUPS
    return max(1, min(policy.least_rows, IN_GROUP * groups))


def predecessor(state: State) -> str | None:
    """Return the release before the serving one, if that was promoted."""
    last, serving = None, None
    for event in events(paths.environment(paths.PRODUCTION)):
        if event["detail"].get("serving", serving) != serving:
            last, serving = event["event"], event["detail"]["serving"]
    return state.previous[0] if state.previous and last in ("serve", "promote") else None


def _of_errors(
    before: str, now: str, readings: Sequence[dict[str, Any]], policy: Rollback
) -> OutcomeVerdict | None:
    earlier, since = rate(readings, before), rate(readings, now)
    if not policy.error_rate or not earlier.requests or not since.requests:
        return None
    low, high = rise(earlier, since, policy.level)
    if low <= policy.error_rate:
        return None
    return OutcomeVerdict(
        True,
        f"{now} failed to answer {since.share:.2%} of {since.requests:,} requests, and {before} "
        f"{earlier.share:.2%} of {earlier.requests:,}: the rise of {low:.2%} to {high:.2%} is "
        f"above {policy.error_rate:.2%}",
    )


def _of_quality(
    before: str, now: str, own: pl.DataFrame, policy: Rollback, blocks: int = time_blocks.LEAST
) -> OutcomeVerdict:
    """Compare two releases on rows that one of them answered."""
    folder = paths.environment(paths.PRODUCTION)
    answered_by = own[RELEASE][0]
    other = before if answered_by == now else now
    try:
        key = paths.public_key().read_bytes()
        loaded = serving_release.load(paths.bundle(folder, other), key, ANY_SPEED)
        rows = own.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
        predicted = loaded.score(rows)[1]
        actual = estimator.truth(own)
        answered = unpacked(own[PREDICTION], estimator.kind())
    except source_import.FAULTS as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return OutcomeVerdict(False, f"{other} cannot be compared on the same rows: {reason}")
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1
    served, earlier = (answered, predicted) if other == before else (predicted, answered)

    def gain(chosen: np.ndarray) -> float:
        figure = contract.score(actual[chosen], served[chosen])[metric]
        return float(sign * (figure - contract.score(actual[chosen], earlier[chosen])[metric]))

    try:
        group = time_blocks.groups(own, settings["seed"], GROUPS, blocks)
    except NotComparableError as error:
        return OutcomeVerdict(False, f"{now} is not compared: {error}")
    estimate, half = interval(gain, group, policy.level)
    if not np.isfinite(half):
        return OutcomeVerdict(
            False, f"{metric} of {now} is not defined on its {len(actual):,} outcomes"
        )
    # A loss that the gate lets pass is none here either: with many rows the smallest one is certain.
    figure = float(contract.score(actual, earlier)[metric])
    margin = rules.allowed_loss(rules.read().margin, figure, settings["score"]["higher_is_better"])
    worse = estimate + half < -margin.amount
    low, high = sorted((sign * (estimate - half), sign * (estimate + half)))
    return OutcomeVerdict(
        worse,
        f"{now} is {'worse' if worse else 'not certainly worse'} than {before} was by more than "
        f"{margin}: on the same {len(actual):,} rows {metric} differs by {sign * estimate:+.4f} "
        f"({low:+.4f} to {high:+.4f}, {policy.level:.0%} interval)",
    )


def interval(
    gain: Callable[[np.ndarray], float], group: np.ndarray, level: float
) -> tuple[float, float]:
    """Estimate a gain, and half the width of its confidence interval; NaN where it is not defined."""
    half = half_width(gain, group, level)
    return (gain(np.arange(len(group))), half) if math.isfinite(half) else (math.nan, math.nan)


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
    """Read what a service has answered and failed since its `process` started; None without an answer."""
    # METRICS_TOKENS may guard them.
    request = access.authorized_request(f"{url.rstrip('/')}/metrics")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, ValueError, urllib.error.URLError):
        return None
    counts: dict[str, float] = {"answered": 0.0, "failed": 0.0}
    process = None  # the sum, where several workers answer: it changes with any of them
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == "process_start_time_seconds":
            process = (process or 0.0) + sample.value
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
    """Compute the confidence interval of the rise of a share, by Newcombe's method."""
    deviations = NormalDist().inv_cdf((1 + level) / 2)
    low_before, high_before = wilson_interval(before.failed, before.requests, deviations)
    low_after, high_after = wilson_interval(after.failed, after.requests, deviations)
    rise = after.share - before.share
    down = math.hypot(after.share - low_after, high_before - before.share)
    up = math.hypot(high_after - after.share, before.share - low_before)
    return rise - down, rise + up
