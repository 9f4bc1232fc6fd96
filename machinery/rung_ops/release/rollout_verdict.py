"""Whether a release on trial goes on, goes back, or is not known well enough: figures in, word out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rung_ops.release.rollout_policy import CanaryPolicy, Policy, ShadowPolicy
from rung_ops.release.trial_figures import ArmFigures, Comparison
from rung_ops.statistics.sequential import (
    FEW,
    exceeds,
    ks_lower_bound,
    wilson_upper_bound,
)

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


def verdict(serving: ArmFigures, canary: ArmFigures, policy: Policy, seconds: float) -> Verdict:
    """Judge a canary at one of its steps.

    It may be asked at any time and as often as one likes: the chance that a release as good as
    the serving one is ever rolled back stays below the policy's `false_abort`.

    Args:
        serving: what the serving release answered since the step began.
        canary: what the canary answered since then.
        policy: the team's.
        seconds: since the step began.
    """
    asked = policy.canary
    doubt = false_alarm(policy)
    limit = wilson_upper_bound(serving.bad, serving.requests) + asked.max_bad_increase
    if exceeds(canary.bad, canary.requests, limit, doubt):
        return Verdict(
            "abort",
            f"{canary.bad} of {canary.requests} requests failed ({canary.failed}) or took longer "
            f"than {policy.slow * 1000:g} ms ({canary.slow}); of the serving release's "
            f"{serving.bad} of {serving.requests}",
        )
    if serving.seconds:
        bound = max(FLOOR, asked.max_latency_ratio * float(np.median(serving.seconds)))
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
    if certain > asked.max_drift:
        return Verdict(
            "abort",
            f"its predictions lie {distance:.2f} from the serving release's (Kolmogorov-Smirnov), "
            f"certainly more than {asked.max_drift:g}",
        )
    return _in_time(canary.requests, asked.min_requests, seconds, asked, "requests")


def shadow_verdict(comparison: Comparison, policy: Policy, seconds: float) -> Verdict:
    """Judge a release in the shadow; otherwise as verdict().

    Args:
        comparison: what both said of the same rows.
        policy: the team's.
        seconds: since the shadow began.
    """
    asked = policy.shadow
    doubt = false_alarm(policy)
    rows = comparison.compared + comparison.failed
    if exceeds(comparison.failed, rows, asked.max_failed, doubt):
        return Verdict("abort", f"it could not score {comparison.failed} of {rows} rows")
    moved, compared = comparison.changed(asked.changed_by)
    if exceeds(moved, compared, asked.max_changed, doubt):
        return Verdict(
            "abort",
            f"{moved} of {compared} predictions differ from the serving release's by more than "
            f"{asked.changed_by:g} standard deviations",
        )
    return _in_time(comparison.compared, asked.min_rows, seconds, asked, "rows")


def false_alarm(policy: Policy) -> float:
    """Divide the chance of a false abort among all tests of a rollout (Bonferroni)."""
    return policy.false_abort / (OF_SHADOW + OF_STEP * max(1, len(policy.canary.shares)))


def _in_time(
    have: int, wanted: int, seconds: float, asked: ShadowPolicy | CanaryPolicy, what: str
) -> Verdict:
    """Judge what nothing speaks against by how much of it there is, and by the time it took.

    The tests before hold whenever one stops looking, so that they may end early by the time.
    """
    enough = asked.enough_seconds
    if have >= wanted and seconds >= asked.min_seconds:
        return Verdict("advance", f"nothing speaks against it in {have} {what}")
    if enough is not None and seconds >= enough:
        wanted = min(wanted, FEW)
        if have >= wanted:
            how = f"{have} {what} and {span(seconds)}"
            return Verdict("advance", f"nothing speaks against it in {how}")
    missing = f"{asked.min_seconds - seconds:.0f} more seconds"
    if have < wanted:
        rate = have / seconds if seconds > 0 else 0.0
        when = f", about {span((wanted - have) / rate)} at this rate" if rate else ""
        missing = f"{wanted - have} more of {wanted} {what}{when}"
        if enough is not None and seconds < enough:
            missing += f", or {span(enough - seconds)}"
    if seconds > asked.max_seconds:
        return Verdict("abort", f"{span(seconds)} were not enough to judge it: {missing}")
    return Verdict("wait", missing)


def span(seconds: float) -> str:
    """Say a time in its largest unit that is there twice."""
    for size, unit in (
        (30.44 * 86_400, "months"),
        (86_400, "days"),
        (3600, "hours"),
        (60, "minutes"),
    ):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
