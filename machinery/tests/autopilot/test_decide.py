"""The rules lead to the action they are written for, and say why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from rung_ops.autopilot import decide
from rung_ops.autopilot.decide import (
    Facts,
    Limits,
    OutcomeVerdict,
    Patience,
    PauseAfterRefusal,
    Policy,
    Quality,
    Retrain,
    Rollback,
    Service,
    Trial,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULES = Policy(
    service=Service(url=""),
    retrain=Retrain(
        drifted_features=2,
        prediction_drift=True,
        quality_drop=0.02,
        model_age_days=90,
        new_rows=5000,
    ),
    limits=Limits(least_new_rows=100, days_between=28, most=3, per_days=365),
    refused=PauseAfterRefusal(days=30, new_rows=2000),
    trial=Patience(patience_days=14),
    rollback=Rollback(least_rows=500, watch_days=90, level=0.99, error_rate=0.01),
)
WELL = Quality("auc", True, 0.71, 0.69, 0.73, at_release=0.70, rows=4000)
CALM = Facts(
    now=NOW,
    serving="v1",
    knows_until=NOW - timedelta(days=30),
    drifted=("hour",),
    prediction_drifted=False,
    quality=WELL,
    new_rows=1000,
)


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def decided(**facts: Any) -> tuple[str, str]:
    """Decide on calm facts but for those given: the action, and its reasons as one text."""
    made = decide.decide(replace(CALM, **facts), RULES)
    return made.action, "; ".join(made.reasons)


def test_nothing_is_done_without_a_reason_and_each_rule_says_what_it_saw() -> None:
    action, reasons = decided()

    assert action == decide.NOTHING
    for part in (
        "1 feature has drifted (hour) (threshold: 2)",
        "predictions have not drifted",
        "auc in production is 0.7100 (0.6900 to 0.7300, 4,000 rows) against 0.7000 at release",
        "made of data until 2026-05-02, 30 days ago",
        "1,000 labelled rows are new",
    ):
        assert part in reasons


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"drifted": ("hour", "weekday")}, "2 features have drifted (hour, weekday)"),
        ({"prediction_drifted": True}, "the predictions have drifted"),
        ({"quality": replace(WELL, figure=0.66, low=0.65, high=0.67)}, "worse by more than 0.02"),
        ({"knows_until": days_ago(91)}, "91 days ago"),
        ({"new_rows": 5000}, "5,000 labelled rows are new (threshold: 5,000)"),
    ],
)
def test_each_rule_alone_is_a_reason_to_train(facts: dict[str, Any], reason: str) -> None:
    action, reasons = decided(**facts)

    assert action == decide.RETRAIN
    assert reason in reasons


def test_quality_counts_with_its_whole_interval_and_in_its_direction() -> None:
    unsure = replace(WELL, figure=0.66, low=0.63, high=0.69)
    error = Quality("rmse", False, 0.35, 0.34, 0.36, at_release=0.30, rows=4000)

    assert decided(quality=unsure)[0] == decide.NOTHING
    assert decided(quality=error)[0] == decide.RETRAIN
    assert decided(quality=replace(error, low=0.305))[0] == decide.NOTHING
    assert decided(quality=replace(error, figure=0.2, low=0.1, high=0.3))[0] == decide.NOTHING


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"new_rows": 99}, "99 labelled rows are new; 100 are needed"),
        ({"trainings": (days_ago(27),)}, "the last training was 27 days ago (minimum: 28)"),
        (
            {"trainings": (days_ago(300), days_ago(200), days_ago(100))},
            "there were 3 trainings in the last 365 days (limit: 3)",
        ),
        (
            {"refused": days_ago(10), "new_rows": 3000},
            "the last version was refused 10 days ago (minimum: 30)",
        ),
        (
            {"refused": days_ago(10), "set_back": "aborted", "new_rows": 3000},
            "the last version was aborted 10 days ago (minimum: 30)",
        ),
        (
            {"refused": days_ago(40)},
            "the last version was refused, and 1,000 of 2,000 needed labelled rows are new",
        ),
    ],
)
def test_each_limit_holds_a_training_back_and_says_what_it_would_be_for(
    facts: dict[str, Any], reason: str
) -> None:
    action, reasons = decided(prediction_drifted=True, **facts)

    assert action == decide.NOTHING
    assert f"held back, as {reason}" in reasons
    assert "the predictions have drifted" in reasons


def test_limits_that_are_kept_hold_nothing_back() -> None:
    old = (days_ago(400), days_ago(390), days_ago(28))

    assert decided(prediction_drifted=True, trainings=old)[0] == decide.RETRAIN
    assert decided(prediction_drifted=True, refused=days_ago(30), new_rows=2000)[0] == (
        decide.RETRAIN
    )


def test_a_rule_that_is_off_says_nothing() -> None:
    off = Retrain(0, False, 0.0, 0, 0)
    everything = replace(CALM, drifted=("a", "b", "c"), prediction_drifted=True, new_rows=10**6)

    made = decide.decide(everything, structs.replace(RULES, retrain=off))

    assert made.action == decide.NOTHING
    assert made.reasons == ("every rule of [retrain] is off",)


def test_what_no_one_could_measure_is_not_a_reason() -> None:
    action, reasons = decided(drifted=None, prediction_drifted=None, quality=None)

    assert action == decide.NOTHING
    assert "it is unknown whether features have drifted" in reasons
    assert "too few outcomes are known" in reasons


def test_a_release_that_is_worse_is_rolled_back_before_anything_else() -> None:
    worse = OutcomeVerdict(True, "v2 is worse than v1 was")
    action, reasons = decided(
        verdict=worse, trial=Trial("v3", "canary", days_ago(1)), prediction_drifted=True
    )

    assert (action, reasons) == (decide.ROLL_BACK, "v2 is worse than v1 was")


@pytest.mark.parametrize("drifted", [False, True])
def test_an_inconclusive_verdict_is_the_last_reason(drifted: bool) -> None:
    action, reasons = decided(
        verdict=OutcomeVerdict(False, "v2 is not certainly worse"), prediction_drifted=drifted
    )

    assert action == (decide.RETRAIN if drifted else decide.NOTHING)
    assert reasons.endswith("v2 is not certainly worse")


@pytest.mark.parametrize(("arm", "days"), [("canary", 14), ("shadow", 100)])
def test_a_release_on_trial_is_waited_for(arm: str, days: int) -> None:
    action, reasons = decided(trial=Trial("v2", arm, days_ago(days)), prediction_drifted=True)

    assert action == decide.WAIT
    assert f"v2 has been in {arm} since" in reasons


def test_a_canary_about_which_no_one_decides_is_ended() -> None:
    action, reasons = decided(trial=Trial("v2", "canary", days_ago(15)))

    assert action == decide.END_TRIAL
    assert "too few requests arrive (limit: 14 days)" in reasons


@pytest.mark.parametrize("worse", [True, False])
def test_a_release_on_trial_is_ended_where_outcomes_say_that_it_is_worse(worse: bool) -> None:
    """As one that learned from a shock, once the world is back."""
    verdict = OutcomeVerdict(worse, "v2 against v1, on the same rows")

    action, reasons = decided(trial=Trial("v2", "shadow", days_ago(3), verdict))

    assert action == (decide.END_TRIAL if worse else decide.WAIT)
    assert reasons.endswith(verdict.says)


def test_without_a_release_there_is_nothing_to_look_after() -> None:
    action, reasons = decided(serving=None, prediction_drifted=True)

    assert action == decide.NOTHING
    assert "`uv run poe deploy production`" in reasons
