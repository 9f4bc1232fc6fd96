"""A rollout says how long it takes at the traffic seen, and leaves out steps that would see nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rung_ops import prediction_log
from rung_ops.prediction_log import Batch
from rung_ops.release import rollout
from rung_ops.release.rollout import (
    CanaryPolicy,
    Policy,
    ShadowPolicy,
    Traffic,
    Trial,
    canary_verdict,
)

NOW = datetime(2026, 6, 30, tzinfo=UTC)
DAY = 86_400
SMALL = Traffic(24.0, 24.0)
TEAM = Policy(
    0.01,
    ShadowPolicy(1.0, 1000, 60, 2 * DAY, 0.01, 0.5, 2.0),
    CanaryPolicy([0.01, 0.05, 0.25, 1.0], 500, 60, 3 * DAY, 0.01, 2.0, 0.5),
)


def advice(policy: Policy, observed: Traffic | None) -> str:
    return "\n".join(rollout.duration_lines(policy, observed))


def days(requests: float, policy: Policy = TEAM) -> float:
    planned = rollout.planned_stages(policy, Traffic(requests, requests))
    return sum(stage.seconds for stage in planned) / DAY


def test_with_little_traffic_a_trial_ends_by_the_time_and_the_days_are_named() -> None:
    result = advice(TEAM, Traffic(27.0, 27.0))

    assert "At your 27 requests (27 rows) a day, the trial takes about 5 days:" in result
    assert "- shadow, 100% of the requests: 2 days, and it goes on with some 54 of 1,000" in result
    assert "- canary, 25% of the requests: 3 days, and it goes on with some 20 of 500" in result
    assert "fewer than 20 requests in their time are left out: 1%, 5%." in result
    assert "Of releases that fail 75% of the requests 19 in 20 are aborted at the last" in result


@pytest.mark.parametrize(
    ("requests", "steps"),
    [
        (1.0, (0.25, 1.0)),  # at least one step stays
        (26.0, (0.25, 1.0)),
        (133.0, (0.25, 1.0)),
        (134.0, (0.05, 0.25, 1.0)),
        (667.0, (0.01, 0.05, 0.25, 1.0)),
    ],
)
def test_steps_that_would_see_fewer_than_20_requests_are_left_out(
    requests: float, steps: tuple[float, ...]
) -> None:
    assert rollout.plan(TEAM, Traffic(requests, requests)).steps == steps


def test_no_traffic_takes_longer_than_the_longest_time() -> None:
    longest = TEAM.longest / DAY

    assert longest == 11
    assert days(27) == 5
    assert all(days(requests) <= longest for requests in (4, 27, 100, 300, 700, 1e3, 5e3, 1e5))
    assert days(0) == float("inf")


def test_a_release_that_the_gate_has_not_passed_needs_its_rows_however_long() -> None:
    plan = rollout.plan(TEAM, SMALL, passed_gate=False)

    policy = rollout.of_trial(TEAM, plan)

    assert plan.steps == (0.25, 1.0)
    assert days(SMALL.requests, policy) == pytest.approx(1000 / 24 + 500 / 6)


def test_busy_traffic_takes_minutes_and_leaves_no_step_out() -> None:
    result = advice(TEAM, Traffic(10_000_000.0, 20_000_000.0))

    assert "At your 10,000,000 requests (20,000,000 rows) a day, the trial takes" in result
    assert "about 11 minutes:" in result
    assert "left out" not in result


def test_what_no_one_asked_is_not_known() -> None:
    assert advice(TEAM, None) == (
        "No request is logged yet, so the duration of the trial is unknown.\n"
        "It takes at most 11 days from the first requests on."
    )


def test_traffic_comes_from_the_log_and_counts_callers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path))
    assert rollout.logged_traffic("production", NOW) is None

    def log(ids: list[str], arm: str, days: float) -> Batch:
        rows = pl.DataFrame({"a": [1] * len(ids)})
        when = int((NOW - timedelta(days=days)).timestamp() * 1e6)
        return Batch(when, ids, "v1", arm, rows, rows, np.zeros(len(ids)))

    batches = [log([f"case-{day}"], "serving", day) for day in range(1, 11)]
    batches += [log([f"many-{row}" for row in range(1, 11)], "canary", 10)]
    batches += [log(["x"], "shadow", 1), log(["y"], "batch", 1), log(["load-1-1"], "serving", 1)]
    batches += [log(["old"], "serving", 40)]
    prediction_log.write_predictions(
        prediction_log.assemble(batches), prediction_log.folder("production")
    )

    result = rollout.logged_traffic("production", NOW)

    assert result == Traffic(requests=1.1, rows=2.0)


@pytest.mark.parametrize(("requests", "seed"), [(40, 1), (84, 2), (300, 3)])
def test_a_failing_release_is_noticed_as_often_as_stated(requests: int, seed: int) -> None:
    """Simulate the service's own verdicts; at least 19 in 20 is what `noticed` promises."""
    draws = np.random.default_rng(seed)
    policy = rollout.of_trial(TEAM, rollout.plan(TEAM, SMALL))
    doubt = rollout.false_alarm(policy)
    failing = rollout.noticed(doubt, requests, requests, policy.canary.max_bad_increase)
    assert failing is not None and failing < 1
    result = 0
    for _ in range(200):
        trial = Trial(policy.slow)
        trial.serving.requests = requests
        trial.canary.requests = requests
        trial.canary.failed = int(draws.binomial(requests, failing))
        result += canary_verdict(trial.serving, trial.canary, policy, DAY).action == "abort"

    assert result >= 182  # fewer come once in a thousand runs at 0.95


def test_more_requests_notice_smaller_faults() -> None:
    shares = [rollout.noticed(0.002, n, n, 0.01) or 2.0 for n in (2, 20, 84, 300, 2000)]

    assert shares == sorted(shares, reverse=True)
    assert shares[-1] <= 0.05 < shares[1] < shares[0] == 2.0
    assert "Of 2 requests at the last step even one" in advice(TEAM, Traffic(3.0, 3.0))
