"""How a release takes over: the team's rules, what both releases answered, and what follows from it.

- ops/rollout.toml as the team set it: Policy.
- What is known of a release on trial and of the one that answers, over the same time: Trial for a canary,
  Comparison for a shadow.
- Whether it goes on, goes back, or is not known well enough: canary_verdict(), shadow_verdict().
- How long that takes at the traffic that the prediction log has seen: duration_lines().
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import polars as pl

from rung_ops import prediction_log
from rung_ops.errors import SettingsError
from rung_ops.model.target import ONE_NUMBER, Kind, distances, finite_rows
from rung_ops.project.paths import policy_file
from rung_ops.project.service_settings import Positive, Share, Whole, read_slo, service_file
from rung_ops.settings import converted, toml
from rung_ops.statistics.sequential import (
    FEW,
    exceeds,
    ks_lower_bound,
    wilson_upper_bound,
)


def rollout_file() -> Path:
    """Return the path of ops/rollout.toml."""
    return policy_file("rollout.toml")


Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Step = Annotated[float, msgspec.Meta(gt=0, le=1)]


class ShadowPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[shadow]: when what is in the shadow may answer; ops/rollout.toml says what each value means."""

    share: Share
    min_rows: Whole
    min_seconds: Seconds
    max_seconds: Seconds
    max_failed: Share
    max_changed: Share
    changed_by: Positive
    enough_seconds: Seconds | None = None


class CanaryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[canary]: when it gets more to answer; ops/rollout.toml says what each value means."""

    steps: Annotated[list[Step], msgspec.Meta(min_length=1, max_length=20)]
    min_requests: Whole
    min_seconds: Seconds
    max_seconds: Seconds
    max_bad_increase: Share
    max_latency_ratio: Annotated[float, msgspec.Meta(ge=1)]
    max_drift: Share
    enough_seconds: Seconds | None = None

    @property
    def shares(self) -> list[float]:
        """Shares of the steps at which the canary is compared: those below 1."""
        return [step for step in self.steps if step < 1]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a release takes over.

    Attributes:
        false_abort: chance that an equally good one is rolled back, in total.
        slow: seconds from which an answer is a bad one.
    """

    false_abort: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    shadow: ShadowPolicy
    canary: CanaryPolicy
    slow: Positive = 1.0


def read_policy(path: Path | None = None, service: Path | None = None) -> Policy | None:
    """Read ops/rollout.toml; None if there is none, and so nothing takes over by itself.

    Raises:
        SettingsError: it is not valid TOML, or has an unknown name or a wrong value.
    """
    path = rollout_file() if path is None else path
    service = service_file() if service is None else service
    if not path.exists():
        return None
    slow = read_slo(service).p99_ms / 1000
    read = converted(toml(path) | {"slow": slow}, Policy, f"{path.name}:")
    steps = read.canary.steps
    if steps != sorted(set(steps)):
        raise SettingsError(f"{path.name}: steps of [canary] do not rise: {steps}")
    for name, table in (("shadow", read.shadow), ("canary", read.canary)):
        enough = table.enough_seconds
        if enough is not None and not table.min_seconds <= enough <= table.max_seconds:
            wrong = "less than min" if enough < table.min_seconds else "more than max"
            raise SettingsError(
                f"{path.name}: [{name}] enough_seconds is {wrong}_seconds: {enough:g}"
            )
    return read


# Values that are kept of an arm; then both stop, so that they stand for the same time.
KEPT = 20_000
# Batches whose time is kept of one arm, for each of the other: the one that answers most would be
# through with KEPT while the other has hardly begun, and a time of day be taken for the release.
MOST_AHEAD = 10


class ArmFigures:
    """What one arm answered.

    Attributes:
        requests: that it got.
        failed: those that it could not answer.
        slow: those that it answered late.
        seconds: of the typical request of each batch.
        predictions: the first one for each key: one caller must not outweigh all others.
    """

    def __init__(self) -> None:
        self.requests = self.failed = self.slow = 0
        self.seconds: list[float] = []
        self.predictions: list[float] = []
        self._keys: set[str] = set()

    @property
    def bad(self) -> int:
        """Requests that failed or were answered late."""
        return self.failed + self.slow

    def keep(self, keys: Iterable[str], predictions: Iterable[float]) -> None:
        """Keep the predictions for keys that are new."""
        counted = self._keys
        for key, prediction in zip(keys, predictions, strict=True):
            if key not in counted:
                counted.add(key)
                self.predictions.append(prediction)


class Trial:
    """A canary at one of its steps, and the release that answers the others.

    Args:
        slow: seconds from which an answer is a bad one.
    """

    def __init__(self, slow: float) -> None:
        self.serving = ArmFigures()
        self.canary = ArmFigures()
        self._slow = slow

    def observe(
        self, arm: str, seconds: Sequence[float], keys: Sequence[str], predictions: np.ndarray
    ) -> None:
        """Record a batch that was answered.

        Args:
            arm: serving or canary.
            seconds: for each request in it.
            keys: for each row.
            predictions: one number for each row, shape (n_rows,).
        """
        of_arm, other = self.serving, self.canary
        if arm == "canary":
            of_arm, other = other, of_arm
        of_arm.requests += len(seconds)
        of_arm.slow += sum(one >= self._slow for one in seconds)
        mine, others = len(of_arm.seconds), len(other.seconds)
        if seconds and max(mine, others) < KEPT and mine < MOST_AHEAD * (others + 1):
            of_arm.seconds.append(math.fsum(seconds) / len(seconds))
        if max(len(self.canary.predictions), len(self.serving.predictions)) < KEPT:
            of_arm.keep(keys, predictions.tolist())

    def fail(self, arm: str, requests: int = 1) -> None:
        """Record requests that could not be answered."""
        of_arm = self.canary if arm == "canary" else self.serving
        of_arm.requests += requests
        of_arm.failed += requests


class Comparison:
    """Predictions of a release in the shadow and of the one that answers, for the same rows.

    Attributes:
        compared: rows that both scored.
        failed: rows that the shadow did not score, or answered with no number.
        difference: sum over the compared rows of the distance between both predictions.
    """

    def __init__(self, kind: Kind = ONE_NUMBER) -> None:
        self._kind = kind
        self.compared = self.failed = 0
        self.difference = 0.0
        self._serving: list[np.ndarray] = []
        self._shadow: list[np.ndarray] = []
        self._kept = 0

    def observe(self, serving: np.ndarray, shadow: np.ndarray) -> None:
        """Record the predictions of both for the same rows, as a release scores them.

        Raises:
            ValueError: one predicts another kind, or other classes, than the other.
        """
        if shadow.shape != serving.shape:
            raise ValueError(f"its predictions have shape {shadow.shape}, not {serving.shape}")
        good = finite_rows(shadow)
        self.failed += len(shadow) - int(good.sum())
        self.compared += int(good.sum())
        self.difference += float(distances(shadow[good], serving[good], self._kind).sum())
        if self._kept < KEPT:
            self._serving.append(serving[good])
            self._shadow.append(shadow[good])
            self._kept += int(good.sum())

    def fail(self, rows: int) -> None:
        """Record rows that the shadow could not score."""
        self.failed += rows

    def changed(self, deviations: float) -> tuple[int, int]:
        """Count rows whose prediction changed by more than a number of standard deviations.

        The deviation, a root mean square of distances, is that of the serving release's
        predictions. Rows that are alike count once: one that is sent again and again says nothing
        about the others.

        Returns:
            How many did, and of how many; nothing if the rows are too few to know a deviation.
        """
        known = len(self._shadow)  # another thread appends to it, last of all
        if not known:
            return 0, 0
        both = np.column_stack(
            [np.concatenate(self._serving[:known]), np.concatenate(self._shadow[:known])]
        )
        serving, shadow = np.hsplit(np.unique(both, axis=0), 2)
        if len(serving) < FEW:
            return 0, 0
        if not self._kind.width:
            serving, shadow = serving[:, 0], shadow[:, 0]
        spread = distances(serving, serving.mean(axis=0), self._kind)
        moved = distances(shadow, serving, self._kind) > deviations * np.sqrt((spread**2).mean())
        return int(moved.sum()), len(serving)


Action = Literal["wait", "advance", "abort"]

# Of a shadow: rows that fail, predictions that move. Of a step: bad answers, latency, drift.
OF_SHADOW, OF_STEP = 2, 3
FLOOR = 0.005  # seconds; below this, doubled latencies do not matter
TYPICAL = 0.5  # share of the batches that may take longer than the limit: the limit of a median


@dataclass(frozen=True)
class Verdict:
    """What to do with a release on trial, and why: what is wrong, or what is still missing."""

    action: Action
    reason: str


def canary_verdict(
    serving: ArmFigures, canary: ArmFigures, policy: Policy, seconds: float
) -> Verdict:
    """Judge a canary at one of its steps.

    Call it at any time, as often as needed: the chance that a release as good as
    the serving one is ever rolled back stays below the policy's `false_abort`.

    Args:
        serving: what the serving release answered since the step began.
        canary: what the canary answered since then.
        policy: the team's.
        seconds: since the step began.
    """
    limits = policy.canary
    doubt = false_alarm(policy)
    limit = wilson_upper_bound(serving.bad, serving.requests) + limits.max_bad_increase
    if exceeds(canary.bad, canary.requests, limit, doubt):
        return Verdict(
            "abort",
            f"{canary.bad} of {canary.requests} requests failed ({canary.failed}) or took longer "
            f"than {policy.slow * 1000:g} ms ({canary.slow}); of the serving release's "
            f"{serving.bad} of {serving.requests}",
        )
    if serving.seconds:
        bound = max(FLOOR, limits.max_latency_ratio * float(np.median(serving.seconds)))
        late = sum(each > bound for each in canary.seconds)
        if exceeds(late, len(canary.seconds), TYPICAL, doubt):
            return Verdict(
                "abort",
                f"the typical request takes {np.median(canary.seconds) * 1000:.1f} ms, with the "
                f"serving release {np.median(serving.seconds) * 1000:.1f} ms",
            )
    distance, certain = ks_lower_bound(
        np.array(serving.predictions), np.array(canary.predictions), doubt
    )
    if certain > limits.max_drift:
        return Verdict(
            "abort",
            f"its predictions lie {distance:.2f} from the serving release's (Kolmogorov-Smirnov), "
            f"certainly more than {limits.max_drift:g}",
        )
    return _in_time(canary.requests, limits.min_requests, seconds, limits, "requests")


def shadow_verdict(comparison: Comparison, policy: Policy, seconds: float) -> Verdict:
    """Judge a release in the shadow; otherwise as verdict().

    Args:
        comparison: what both said of the same rows.
        policy: the team's.
        seconds: since the shadow began.
    """
    limits = policy.shadow
    doubt = false_alarm(policy)
    rows = comparison.compared + comparison.failed
    if exceeds(comparison.failed, rows, limits.max_failed, doubt):
        return Verdict("abort", f"it could not score {comparison.failed} of {rows} rows")
    moved, compared = comparison.changed(limits.changed_by)
    if exceeds(moved, compared, limits.max_changed, doubt):
        return Verdict(
            "abort",
            f"{moved} of {compared} predictions differ from the serving release's by more than "
            f"{limits.changed_by:g} standard deviations",
        )
    return _in_time(comparison.compared, limits.min_rows, seconds, limits, "rows")


def false_alarm(policy: Policy) -> float:
    """Divide the chance of a false abort among all tests of a rollout (Bonferroni)."""
    return policy.false_abort / (OF_SHADOW + OF_STEP * max(1, len(policy.canary.shares)))


def _in_time(
    have: int, wanted: int, seconds: float, limits: ShadowPolicy | CanaryPolicy, what: str
) -> Verdict:
    """Judge what nothing speaks against by how much of it there is, and by the time it took.

    The tests before hold whenever one stops looking, so that they may end early by the time.
    """
    enough = limits.enough_seconds
    if have >= wanted and seconds >= limits.min_seconds:
        return Verdict("advance", f"nothing speaks against it in {have} {what}")
    if enough is not None and seconds >= enough:
        wanted = min(wanted, FEW)
        if have >= wanted:
            how = f"{have} {what} and {span(seconds)}"
            return Verdict("advance", f"nothing speaks against it in {how}")
    missing = f"{limits.min_seconds - seconds:.0f} more seconds"
    if have < wanted:
        rate = have / seconds if seconds > 0 else 0.0
        when = f", about {span((wanted - have) / rate)} at this rate" if rate else ""
        missing = f"{wanted - have} more of {wanted} {what}{when}"
        if enough is not None and seconds < enough:
            missing += f", or {span(enough - seconds)}"
    if seconds > limits.max_seconds:
        return Verdict("abort", f"{span(seconds)} were not enough to judge it: {missing}")
    return Verdict("wait", missing)


def span(seconds: float) -> str:
    """Write a time in the largest unit of which it has at least two."""
    for size, unit in (
        (30.44 * 86_400, "months"),
        (86_400, "days"),
        (3600, "hours"),
        (60, "minutes"),
    ):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


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


def logged_traffic(environment: str, now: datetime) -> Traffic | None:
    """Count what callers asked in the last days; None if nothing is logged.

    Args:
        environment: such as production.
        now: the end of these days, with a time zone.
    """
    since = now - timedelta(days=DAYS)
    answered = prediction_log.read(prediction_log.folder(environment), since, now).filter(
        pl.col("arm").is_in(ANSWERED), ~pl.col("id").str.starts_with(prediction_log.LOAD_TEST)
    )
    # The rows of one request have its id with a number behind it.
    request = pl.struct("time", pl.col("id").str.replace(r"-\d+$", ""))
    counted = answered.select(
        pl.len().alias("rows"), request.n_unique().alias("requests"), pl.col("time").min()
    ).collect()
    rows, requests, first = counted.row(0)
    if not rows:
        return None
    days = max(1.0, (now - first).total_seconds() / DAY)
    return Traffic(requests / days, rows / days)


def planned_stages(policy: Policy, traffic: Traffic) -> list[Stage]:
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


def duration_lines(policy: Policy, traffic: Traffic | None) -> Iterator[str]:
    """Say how long each stage takes; where it takes too long, what to set instead."""
    if traffic is None:
        yield "No request is logged yet, so the duration of the rollout is unknown."
        return
    planned = planned_stages(policy, traffic)
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
