"""A rollout says how long it takes at the traffic seen, and what to set where that is too long."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
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
    ShadowPolicy(0.25, 1000, 60, 3 * DAY, 0.01, 0.5, 2.0),
    CanaryPolicy([0.01, 0.05, 0.25, 1.0], 500, 60, 3 * DAY, 0.01, 2.0, 0.5),
)


def advice(policy: Policy, observed: Traffic | None) -> str:
    return "\n".join(rollout.duration_lines(policy, observed))


def as_suggested(policy: Policy, observed: Traffic) -> Policy:
    """Set what was proposed, as somebody would who copies it."""
    result = "\n".join(rollout.suggestion(policy, observed))
    times = [int(each) for each in re.findall(r"_seconds = (\d+)", result)]
    shadow = {"share": 1.0, "enough_seconds": times[0], "max_seconds": times[1]}
    canary = {"steps": [0.5, 1.0], "enough_seconds": times[2], "max_seconds": times[3]}
    return msgspec.structs.replace(
        policy,
        shadow=msgspec.structs.replace(policy.shadow, **shadow),
        canary=msgspec.structs.replace(policy.canary, **canary),
    )


def test_with_little_traffic_it_says_that_no_release_gets_through() -> None:
    result = advice(TEAM, SMALL)

    assert "At your 24 requests (24 rows) a day" in result
    assert (
        "- shadow, 25% of the requests: 1,000 rows take 5 months, and it is rolled back after 3 days"
    ) in result
    assert "- canary, 1% of the requests: 500 requests take 68 months, and it is rolled" in result
    assert "So no release gets through" in result
    assert "[shadow]: share = 1.0, enough_seconds = 259200, max_seconds = 518400" in result
    assert "[canary]: steps = [0.5, 1.0], enough_seconds = 604800, max_seconds = 1209600" in result


@pytest.mark.parametrize("requests", [0.5, 3.0, 24.0, 100.0])
def test_the_proposal_passes_a_good_release(requests: float) -> None:
    observed = Traffic(requests, requests)
    policy = as_suggested(TEAM, observed)

    result = advice(policy, observed)

    assert "So no release" not in result
    assert "In all " in result
    assert all(stage.seconds is not None for stage in rollout.planned_stages(policy, observed))


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        (
            24.0,
            "At most 10 days in all, and 84 requests for the canary. Of releases that fail 40% of",
        ),
        (
            2e3,
            "At most 10 days in all, and 500 requests for the canary. Of releases that fail 10% of",
        ),
    ],
)
def test_what_is_proposed_says_what_it_would_notice(requests: float, message: str) -> None:
    assert message in advice(TEAM, Traffic(requests, requests))


def test_busy_traffic_takes_as_long_as_the_policy_asks() -> None:
    result = advice(TEAM, Traffic(10_000_000.0, 20_000_000.0))

    assert "At your 10,000,000 requests (20,000,000 rows) a day" in result
    assert result.endswith("In all 11 minutes.")
    assert "set in" not in result


def test_what_no_one_asked_is_not_known() -> None:
    assert advice(TEAM, None) == (
        "No request is logged yet, so the duration of the rollout is unknown."
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
    policy = as_suggested(TEAM, SMALL)
    doubt = policy.false_abort / 5
    failing = rollout.noticed(doubt, requests, requests, policy.canary.max_bad_increase)
    assert failing < 1
    result = 0
    for _ in range(200):
        trial = Trial(policy.slow)
        trial.serving.requests = requests
        trial.canary.requests = requests
        trial.canary.failed = int(draws.binomial(requests, failing))
        result += canary_verdict(trial.serving, trial.canary, policy, DAY).action == "abort"

    assert result >= 182  # fewer come once in a thousand runs at 0.95


def test_more_requests_notice_smaller_faults() -> None:
    shares = [rollout.noticed(0.002, n, n, 0.01) for n in (20, 84, 300, 2000)]

    assert shares == sorted(shares, reverse=True)
    assert shares[-1] <= 0.05 < shares[0]
