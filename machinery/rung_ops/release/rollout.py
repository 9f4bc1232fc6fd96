"""How a release takes over: the team's rules, what both releases answered, and what follows from it.

- Policy: ops/rollout.toml.
- Trial, of a canary, and Comparison, of a shadow: what it and the release that answers did in one time.
- canary_verdict(), shadow_verdict(): whether it goes on, is aborted, or has to wait.
- plan(), planned_stages(), duration_lines(): which steps are worth their time at the traffic that the
  prediction log has seen, and how long the trial takes.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
import numpy as np
import polars as pl

from rung_ops import prediction_log
from rung_ops.errors import SettingsError
from rung_ops.model.target import ONE_NUMBER, Kind, distances, finite_rows
from rung_ops.prediction_log import log_sync
from rung_ops.project.paths import policy_file
from rung_ops.project.service_settings import Positive, Share, Whole, read_slo
from rung_ops.release.history import PartOfRequests, Plan
from rung_ops.settings import converted, toml
from rung_ops.statistics.intervals import (
    FEW,
    exceeds,
    ks_lower_bound,
    wilson_upper_bound,
)


def rollout_file() -> Path:
    """Return the path of ops/rollout.toml."""
    return policy_file("rollout.toml")


Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class ShadowPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[shadow]: when what is in the shadow may answer; ops/rollout.toml says what each value means."""

    share: Share
    min_rows: Whole
    min_seconds: Seconds
    enough_seconds: Seconds
    max_failed: Share
    max_changed: Share
    changed_by: Positive


class CanaryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[canary]: when it gets more to answer; ops/rollout.toml says what each value means."""

    steps: Annotated[list[PartOfRequests], msgspec.Meta(min_length=1, max_length=20)]
    min_requests: Whole
    min_seconds: Seconds
    enough_seconds: Seconds
    max_bad_increase: Share
    max_latency_ratio: Annotated[float, msgspec.Meta(ge=1)]
    max_drift: Share

    @property
    def shares(self) -> list[float]:
        """Shares of the steps at which the canary is compared: those below 1."""
        return [step for step in self.steps if step < 1]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a release takes over.

    Attributes:
        false_abort: chance that an equally good one is aborted, in total.
        slow: seconds from which an answer is a bad one.
    """

    false_abort: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    shadow: ShadowPolicy
    canary: CanaryPolicy
    slow: Positive = 1.0

    @property
    def longest(self) -> float:
        """Seconds after which a trial has ended at any traffic, as long as requests arrive."""
        shadow = self.shadow.enough_seconds if self.shadow.share else 0.0
        return shadow + len(self.canary.shares) * self.canary.enough_seconds


def read_policy(path: Path | None = None, service: Path | None = None) -> Policy | None:
    """Read ops/rollout.toml; None if there is none, and so nothing takes over by itself."""
    path = path or rollout_file()
    if not path.exists():
        return None
    slow = read_slo(service).p99_ms / 1000
    tables = {name: _with_enough_seconds(value) for name, value in toml(path).items()}
    read = converted(tables | {"slow": slow}, Policy, f"{path.name}:")
    steps = read.canary.steps
    if steps != sorted(set(steps)):
        raise SettingsError(f"{path.name}: steps of [canary] do not rise: {steps}")
    for name, table in (("shadow", read.shadow), ("canary", read.canary)):
        if table.enough_seconds < table.min_seconds:
            raise SettingsError(
                f"{path.name}: [{name}] enough_seconds is less than min_seconds: "
                f"{table.enough_seconds:g}"
            )
    return read


def _with_enough_seconds(table: Any) -> Any:
    """Read `max_seconds` of earlier versions where `enough_seconds` is left out."""
    if not isinstance(table, dict) or "max_seconds" not in table:
        return table
    left = {name: value for name, value in table.items() if name != "max_seconds"}
    return {"enough_seconds": table["max_seconds"]} | left


# Values that are kept of an arm; then both stop, so that they stand for the same time.
KEPT = 20_000
# Batches whose time is kept of one arm, for each of the other: the one that answers most would be
# through with KEPT while the other has hardly begun, and a time of day be taken for the release.
MOST_AHEAD = 10


class ArmFigures(msgspec.Struct):
    """What one arm answered.

    Attributes:
        requests: that it got.
        failed, slow: those that it could not answer, or answered late.
        seconds: of the typical request of each batch.
        predictions: the first one for each key, by the key's hash: one caller must not outweigh all others.
    """

    requests: int = 0
    failed: int = 0
    slow: int = 0
    seconds: list[float] = []
    predictions: dict[int, float] = {}

    @property
    def bad(self) -> int:
        """Requests that failed or were answered late."""
        return self.failed + self.slow

    def keep(self, keys: Iterable[str], predictions: Iterable[float]) -> None:
        """Keep the predictions for keys that are new."""
        for key, prediction in zip(keys, predictions, strict=True):
            digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
            self.predictions.setdefault(int.from_bytes(digest, "big"), prediction)

    def __add__(self, other: Self) -> "ArmFigures":
        """Return what the same arm answered in two processes."""
        return ArmFigures(
            self.requests + other.requests,
            self.failed + other.failed,
            self.slow + other.slow,
            self.seconds + other.seconds,
            other.predictions | self.predictions,
        )


class Trial(msgspec.Struct):
    """A canary at one of its steps, and the release that answers the others.

    Attributes:
        slow: seconds from which an answer is a bad one.
    """

    slow: float
    serving: ArmFigures = msgspec.field(default_factory=ArmFigures)
    canary: ArmFigures = msgspec.field(default_factory=ArmFigures)

    def __add__(self, other: Self) -> "Trial":
        """Return what two processes have seen."""
        return Trial(self.slow, self.serving + other.serving, self.canary + other.canary)

    def observe(
        self, arm: str, seconds: Sequence[float], keys: Sequence[str], predictions: np.ndarray
    ) -> None:
        """Record a batch that an arm, serving or canary, answered: seconds of each request, and each row."""
        of_arm, other = self.serving, self.canary
        if arm == "canary":
            of_arm, other = other, of_arm
        of_arm.requests += len(seconds)
        of_arm.slow += sum(one >= self.slow for one in seconds)
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


class Comparison(msgspec.Struct):
    """Predictions of a release in the shadow and of the one that answers, for the same rows.

    Attributes:
        compared: rows that both scored.
        failed: rows that the shadow did not score, or answered with no number.
        difference: sum over the compared rows of the distance between both predictions.
        alone, alone_failed: requests that it scored by themselves, as their callers sent them, and those
            of them with a row that failed.
        pairs: some of both predictions, the serving release's first: the bytes of arrays of floats, of shape
            (n_rows, 2 or twice the width), since all of them are shared every second.
    """

    kind: Kind = ONE_NUMBER
    compared: int = 0
    failed: int = 0
    difference: float = 0.0
    alone: int = 0
    alone_failed: int = 0
    pairs: list[bytes] = []

    def __add__(self, other: Self) -> "Comparison":
        """Return what two processes have seen."""
        return Comparison(
            self.kind,
            self.compared + other.compared,
            self.failed + other.failed,
            self.difference + other.difference,
            self.alone + other.alone,
            self.alone_failed + other.alone_failed,
            self.pairs + other.pairs,
        )

    def observe(self, serving: np.ndarray, shadow: np.ndarray, alone: bool = False) -> None:
        """Record the predictions of both for the same rows, as a release scores them.

        `alone` are those of a single request, which the shadow scored by itself. ValueError says that one
        predicts another kind, or other classes, than the other.
        """
        if shadow.shape != serving.shape:
            raise ValueError(f"its predictions have shape {shadow.shape}, not {serving.shape}")
        good = finite_rows(shadow)
        self.alone += alone
        self.alone_failed += alone and not good.all()
        self.failed += len(shadow) - int(good.sum())
        if self.compared < KEPT and good.any():
            # Added to 0.0, -0.0 has the bytes of what equals it.
            pairs = np.column_stack([serving[good], shadow[good]]).astype(float) + 0.0
            self.pairs.append(pairs.tobytes())
        self.compared += int(good.sum())
        self.difference += float(distances(shadow[good], serving[good], self.kind).sum())

    def fail(self, rows: int, alone: bool = False) -> None:
        """Record rows that the shadow could not score; `alone` as for observe()."""
        self.failed += rows
        self.alone += alone
        self.alone_failed += alone

    def changed(self, deviations: float) -> tuple[int, int]:
        """Count rows whose prediction changed by more than a number of standard deviations, and all.

        The deviation, a root mean square of distances, is that of the serving release's predictions. Rows
        that are alike count once: one that is sent again and again says nothing about the others. Nothing is
        counted if the rows are too few to know a deviation.
        """
        if not self.pairs:
            return 0, 0
        width = 2 * max(1, self.kind.width)
        # Rows as bytes: numpy compares those of floats with Python's lock held, so that nothing is answered.
        rows = np.frombuffer(b"".join(self.pairs), np.dtype((np.void, width * np.float64().nbytes)))
        serving, shadow = np.hsplit(np.unique(rows).view(float).reshape(-1, width), 2)
        if len(serving) < FEW:
            return 0, 0
        if not self.kind.width:
            serving, shadow = serving[:, 0], shadow[:, 0]
        spread = distances(serving, serving.mean(axis=0), self.kind)
        moved = distances(shadow, serving, self.kind) > deviations * np.sqrt((spread**2).mean())
        return int(moved.sum()), len(serving)


Action = Literal["wait", "advance", "abort"]

# Of a shadow: rows that fail, requests that fail by themselves, predictions that move. Of a step: bad
# answers, latency, drift.
OF_SHADOW, OF_STEP = 3, 3
FLOOR = 0.005  # seconds; below this, doubled latencies do not matter
TYPICAL = 0.5  # share of the batches that may take longer than the limit: the limit of a median


@dataclass(frozen=True)
class TrialVerdict:
    """What to do with a release on trial, and why: what is wrong, or what is still missing."""

    action: Action
    reason: str


def canary_verdict(
    serving: ArmFigures, canary: ArmFigures, policy: Policy, seconds: float
) -> TrialVerdict:
    """Judge a canary at one of its steps, by what both arms answered in the seconds since it began.

    Call it at any time, as often as needed: the chance that a release as good as the serving one is ever
    aborted stays below the policy's `false_abort`.
    """
    limits = policy.canary
    doubt = false_alarm(policy)
    limit = wilson_upper_bound(serving.bad, serving.requests) + limits.max_bad_increase
    if exceeds(canary.bad, canary.requests, limit, doubt):
        return TrialVerdict(
            "abort",
            f"{canary.bad} of {canary.requests} requests failed ({canary.failed}) or took longer "
            f"than {policy.slow * 1000:g} ms ({canary.slow}); of the serving release's "
            f"{serving.bad} of {serving.requests}",
        )
    if serving.seconds:
        bound = max(FLOOR, limits.max_latency_ratio * float(np.median(serving.seconds)))
        late = sum(each > bound for each in canary.seconds)
        if exceeds(late, len(canary.seconds), TYPICAL, doubt):
            return TrialVerdict(
                "abort",
                f"the typical request takes {np.median(canary.seconds) * 1000:.1f} ms, with the "
                f"serving release {np.median(serving.seconds) * 1000:.1f} ms",
            )
    distance, certain = ks_lower_bound(
        np.array(list(serving.predictions.values())),
        np.array(list(canary.predictions.values())),
        doubt,
    )
    if certain > limits.max_drift:
        return TrialVerdict(
            "abort",
            f"its predictions lie {distance:.2f} from the serving release's (Kolmogorov-Smirnov), "
            f"certainly more than {limits.max_drift:g}",
        )
    answered = canary.requests - canary.failed
    return _in_time(canary.requests, answered, limits.min_requests, seconds, limits, "requests")


def shadow_verdict(comparison: Comparison, policy: Policy, seconds: float) -> TrialVerdict:
    """Judge a release in the shadow; otherwise as canary_verdict()."""
    limits = policy.shadow
    doubt = false_alarm(policy)
    rows = comparison.compared + comparison.failed
    if exceeds(comparison.failed, rows, limits.max_failed, doubt):
        return TrialVerdict("abort", f"it could not score {comparison.failed} of {rows} rows")
    failed, alone = comparison.alone_failed, comparison.alone
    if exceeds(failed, alone, limits.max_failed, doubt):
        return TrialVerdict(
            "abort", f"it could not score {failed} of {alone} requests as their callers sent them"
        )
    moved, different = comparison.changed(limits.changed_by)
    if exceeds(moved, different, limits.max_changed, doubt):
        return TrialVerdict(
            "abort",
            f"{moved} of {different} predictions differ from the serving release's by more than "
            f"{limits.changed_by:g} standard deviations",
        )
    compared = comparison.compared
    return _in_time(compared, compared, limits.min_rows, seconds, limits, "rows")


def false_alarm(policy: Policy) -> float:
    """Divide the chance of a false abort among all tests of a rollout (Bonferroni)."""
    return policy.false_abort / (OF_SHADOW + OF_STEP * max(1, len(policy.canary.shares)))


def _in_time(
    have: int,
    answered: int,
    wanted: int,
    seconds: float,
    limits: ShadowPolicy | CanaryPolicy,
    what: str,
) -> TrialVerdict:
    """Judge what nothing speaks against by how much of it was seen, and by the time it took.

    The tests before hold whenever they stop, so that they may end early by the time.
    """
    if have >= wanted and seconds >= limits.min_seconds:
        return TrialVerdict("advance", f"nothing speaks against it in {have} {what}")
    if seconds >= limits.enough_seconds:
        if answered:
            return TrialVerdict(
                "advance", f"nothing speaks against it in {have} {what} and {span(seconds)}"
            )
        return TrialVerdict(
            "wait", f"its {span(limits.enough_seconds)} are over, and it has answered no {what} yet"
        )
    if have >= wanted:
        return TrialVerdict("wait", f"{limits.min_seconds - seconds:.0f} more seconds")
    rate = have / seconds if seconds > 0 else 0.0
    when = f", about {span((wanted - have) / rate)} at this rate" if rate else ""
    if limits.enough_seconds < math.inf:
        when += f", or {span(limits.enough_seconds - seconds)}"
    return TrialVerdict("wait", f"{wanted - have} more of {wanted} {what}{when}")


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


@dataclass(frozen=True)
class Traffic:
    """What callers ask in a day, on average: requests, and the rows in them."""

    requests: float
    rows: float


@dataclass(frozen=True)
class Stage:
    """One stage of a trial.

    Attributes:
        name: shadow or canary.
        share: of the requests that the new release gets, in (0, 1].
        wanted: requests or rows, as `unit` says, after which it ends early.
        rate: of these in a day.
    """

    name: str
    share: float
    wanted: int
    unit: str
    rate: float
    settings: ShadowPolicy | CanaryPolicy

    @property
    def seconds(self) -> float:
        """Seconds until the next stage, as expected; infinite without traffic."""
        if not self.rate:
            return math.inf
        first = DAY / self.rate  # until one has come, without which it waits
        enough = max(self.settings.enough_seconds, first)
        return max(min(self.wanted / self.rate * DAY, enough), self.settings.min_seconds)

    @property
    def expected(self) -> int:
        """Number of requests or rows by its end."""
        return round(self.rate * self.seconds / DAY) if self.rate else 0

    def __str__(self) -> str:
        line = f"{self.name}, {self.share:.0%} of the requests: "
        if not self.rate:
            return f"{line}it waits for the first"
        if self.expected >= self.wanted:
            return f"{line}{span(self.seconds)} for {self.wanted:,} {self.unit}"
        some = f"some {self.expected:,} of {self.wanted:,} {self.unit}"
        return f"{line}{span(self.seconds)}, and it goes on with {some}"


def logged_traffic(environment: str, now: datetime) -> Traffic | None:
    """Count what callers asked in the DAYS before `now`; None if nothing is logged."""
    since = now - timedelta(days=DAYS)
    log = log_sync.downloaded(environment, since)
    answered = prediction_log.read(log, since, now).filter(
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


def plan(policy: Policy, traffic: Traffic | None, passed_gate: bool = True) -> Plan:
    """Decide how a trial that begins now goes, at the traffic that is expected, if anything is known of it.

    No time ends a stage of a release that the gate has not passed.
    """
    return Plan(tuple(_steps(policy.canary, traffic)), passed_gate)


def of_trial(policy: Policy, plan: Plan | None) -> Policy:
    """Return the policy of a trial: the team's, with what its plan says; None leaves it as it is."""
    if plan is None:
        return policy
    replace = msgspec.structs.replace
    never = {} if plan.passed_gate else {"enough_seconds": math.inf}
    shadow = replace(policy.shadow, **never)
    canary = replace(policy.canary, steps=list(plan.steps), **never)
    return replace(policy, shadow=shadow, canary=canary)


def _steps(canary: CanaryPolicy, traffic: Traffic | None) -> list[float]:
    """Leave out the steps at which the canary would get too few requests in its time.

    At least one step below 1 stays, the largest, so that no release answers everything unseen.
    """
    if traffic is None:
        return canary.steps
    in_time = traffic.requests * canary.enough_seconds / DAY
    worth = [share for share in canary.shares if share * in_time >= FEW] or canary.shares[-1:]
    return [*worth, *(step for step in canary.steps if step >= 1)]


def planned_stages(policy: Policy, traffic: Traffic) -> list[Stage]:
    """List the stages of a trial at some traffic, in their order."""
    shadow, canary = policy.shadow, policy.canary
    rate = traffic.rows * shadow.share
    stages = [Stage("shadow", shadow.share, shadow.min_rows, "rows", rate, shadow)]
    stages += [
        Stage("canary", share, canary.min_requests, "requests", traffic.requests * share, canary)
        for share in _steps(canary, traffic)
        if share < 1
    ]
    return [stage for stage in stages if stage.share]


def duration_lines(policy: Policy, traffic: Traffic | None) -> Iterator[str]:
    """Say how long each stage takes, and what it would notice."""
    if traffic is None:
        yield "No request is logged yet, so the duration of the trial is unknown."
        if policy.longest < math.inf:
            yield f"It takes at most {span(policy.longest)} from the first requests on."
        return
    planned = planned_stages(policy, traffic)
    yield (
        f"At your {_number(traffic.requests)} requests ({_number(traffic.rows)} rows) a day, the trial "
        f"takes about {span(sum(stage.seconds for stage in planned))}:"
    )
    for stage in planned:
        yield f"- {stage}"
    steps = _steps(policy.canary, traffic)
    if left_out := [f"{share:.0%}" for share in policy.canary.shares if share not in steps]:
        yield f"Steps with fewer than {FEW} requests in their time are left out: {', '.join(left_out)}."
    if planned and (last := planned[-1]).name == "canary" and last.expected:
        requests = min(last.expected, last.wanted)
        others = round(requests * (1 - last.share) / last.share)
        doubt = false_alarm(of_trial(policy, Plan(tuple(steps))))
        failing = noticed(doubt, requests, others, policy.canary.max_bad_increase)
        if failing is None:
            yield f"Of {requests} requests at the last step even one that fails all is not certain."
            return
        yield (
            f"Of releases that fail {failing:.0%} of the requests 19 in 20 are aborted at the last step, "
            f"of those as good as the one that answers {policy.false_abort:.0%} in the whole trial."
        )


def noticed(doubt: float, requests: int, others: int, increase: float) -> float | None:
    """Find the least of FAILING that is almost always noticed; None if even failing all is not.

    Looks before the last one are left out, so that it is rather too large.

    Args:
        doubt: chance of a false alarm of the test.
        requests: that the canary gets.
        others: that the serving release gets meanwhile; none of them fails.
        increase: by which the canary may fail more.
    """
    limit = wilson_upper_bound(0, others) + increase
    from scipy.special import bdtrc  # few deployments propose anything

    most = next(
        (bad - 1 for bad in range(requests + 1) if exceeds(bad, requests, limit, doubt)), requests
    )  # failing requests that go unnoticed
    return next((share for share in FAILING if bdtrc(most, requests, share) > NOTICED), None)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
