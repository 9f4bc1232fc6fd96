"""How long a rollout takes at the traffic that the prediction log has seen."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from rung_ops import prediction_log
from rung_ops.release.rollout_policy import CanaryPolicy, Policy, ShadowPolicy
from rung_ops.release.rollout_verdict import OF_SHADOW, OF_STEP, span
from rung_ops.statistics.sequential import FEW, exceeds, wilson_upper_bound

DAYS = 28  # of the log that are read: four whole weeks
DAY = 86_400.0
ANSWERED = ["serving", "canary"]
FAILING = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # shares of failing requests that are tried
NOTICED = 0.95
SHADOW_DAYS, CANARY_DAYS, CANARY_SHARE = 3, 7, 0.5  # at least, where little traffic is expected


@dataclass(frozen=True)
class Traffic:
    """What callers ask in a day, on average: requests, and the rows in them."""

    requests: float
    rows: float


@dataclass(frozen=True)
class Stage:
    """One stage of a rollout.

    Attributes:
        name: shadow or canary.
        share: of the requests that the new release gets, in (0, 1].
        wanted: requests or rows, as `unit` says, that it needs.
        rate: of these in a day.
        settings: of the stage.
    """

    name: str
    share: float
    wanted: int
    unit: str
    rate: float
    settings: ShadowPolicy | CanaryPolicy

    @property
    def needs(self) -> float:
        """Seconds until there are enough, without limits."""
        return self.wanted / self.rate * DAY if self.rate else math.inf

    @property
    def seconds(self) -> float | None:
        """Seconds until the next stage; None if it is rolled back for lack of traffic."""
        settings = self.settings
        after = max(self.needs, settings.min_seconds)
        if settings.enough_seconds is not None and self.rate:
            after = min(after, max(settings.enough_seconds, FEW / self.rate * DAY))
        return after if after <= settings.max_seconds else None

    def __str__(self) -> str:
        line = f"{self.name}, {self.share:.0%} of the requests: {self.wanted:,} {self.unit} "
        line += f"take {span(self.needs)}" if self.rate else "never come"
        if self.seconds is None:
            return f"{line}, and it is rolled back after {span(self.settings.max_seconds)}"
        if self.seconds < self.needs:
            rows_by_then = self.rate * self.seconds / DAY
            return f"{line}, and it goes on after {span(self.seconds)} with some {rows_by_then:.0f}"
        return line


def traffic(environment: str, now: datetime) -> Traffic | None:
    """Count what callers asked in the last days; None if nothing is logged.

    Args:
        environment: such as production.
        now: the end of these days, with a time zone.
    """
    since = now - timedelta(days=DAYS)
    asked = prediction_log.read(prediction_log.folder(environment), since, now).filter(
        pl.col("arm").is_in(ANSWERED), ~pl.col("id").str.starts_with(prediction_log.LOAD_TEST)
    )
    # The rows of one request have its id with a number behind it.
    request = pl.struct("time", pl.col("id").str.replace(r"-\d+$", ""))
    counted = asked.select(
        pl.len().alias("rows"), request.n_unique().alias("requests"), pl.col("time").min()
    ).collect()
    rows, requests, first = counted.row(0)
    if not rows:
        return None
    days = max(1.0, (now - first).total_seconds() / DAY)
    return Traffic(requests / days, rows / days)


def stages(policy: Policy, traffic: Traffic) -> list[Stage]:
    """List the stages of a rollout, in their order."""
    shadow, canary = policy.shadow, policy.canary
    stages_in_order = []
    if shadow.share:
        rate = traffic.rows * shadow.share
        stages_in_order.append(Stage("shadow", shadow.share, shadow.min_rows, "rows", rate, shadow))
    return stages_in_order + [
        Stage("canary", share, canary.min_requests, "requests", traffic.requests * share, canary)
        for share in canary.shares
    ]


def lines(policy: Policy, traffic: Traffic | None) -> Iterator[str]:
    """Say how long each stage takes; where it takes too long, what to set instead."""
    if traffic is None:
        yield "No request is logged yet, so the duration of the rollout is unknown."
        return
    planned = stages(policy, traffic)
    yield (
        f"At your {_number(traffic.requests)} requests ({_number(traffic.rows)} rows) a day, each stage "
        "of ops/rollout.toml takes:"
    )
    for stage in planned:
        yield f"- {stage}"
    if all(stage.seconds is not None for stage in planned):
        yield f"In all {span(sum(stage.seconds or 0.0 for stage in planned))}."
        return
    yield "So no release gets through. For so little traffic, set in ops/rollout.toml:"
    yield from (f"    {line}" for line in suggestion(policy, traffic))


def suggestion(policy: Policy, traffic: Traffic) -> Iterator[str]:
    """Propose stages that end by the time, and say how bad a release is rolled back then."""
    shadow = max(SHADOW_DAYS, math.ceil(2 * FEW / traffic.rows))
    canary = max(CANARY_DAYS, math.ceil(2 * FEW / (traffic.requests * CANARY_SHARE)))
    yield f"[shadow]: share = 1.0, {_times(shadow)}"
    yield f"[canary]: steps = [{CANARY_SHARE}, 1.0], {_times(canary)}"
    requests = min(int(traffic.requests * CANARY_SHARE * canary), policy.canary.min_requests)
    doubt = policy.false_abort / (OF_SHADOW + OF_STEP)  # one step, as proposed
    failing = noticed(doubt, requests, requests, policy.canary.max_bad_increase)
    yield (
        f"At most {shadow + canary} days in all, and {requests} requests for the canary. Of releases "
        f"that fail {failing:.0%} of them 19 in 20 are rolled back, of those as good as the one that "
        f"answers {policy.false_abort:.0%}. Keep `patience_days` in ops/autopilot.toml above these "
        "days, and the service running: a step starts again when it restarts."
    )


def noticed(doubt: float, requests: int, others: int, increase: float) -> float:
    """Find the least share of failing requests that is almost always noticed.

    Args:
        doubt: chance of a false alarm of the test.
        requests: that the canary gets.
        others: that the serving release gets meanwhile; none of them fails.
        increase: by which the canary may fail more.

    Returns:
        One of FAILING. Looks before the last one are left out, so that it is rather too large.
    """
    limit = wilson_upper_bound(0, others) + increase
    from scipy.special import bdtrc  # few deployments propose anything

    most = next(
        (bad - 1 for bad in range(requests + 1) if exceeds(bad, requests, limit, doubt)), requests
    )  # failing requests that go unnoticed
    return next((share for share in FAILING if bdtrc(most, requests, share) > NOTICED), 1.0)


def _times(days: int) -> str:
    return f"enough_seconds = {days * DAY:.0f}, max_seconds = {2 * days * DAY:.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
