"""A promoted release is rolled back when it is worse than the one before it on the same rows."""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.autopilot import decide, facts
from rung_ops.autopilot.decide import Rollback, Trial
from rung_ops.autopilot.facts import ARM, PREDICTION, RELEASE, Rate
from rung_ops.data.ingest import sample_rows
from rung_ops.gate import rules
from rung_ops.model import released as serving_release
from rung_ops.model.added_columns import PREDICTION_ID, PREDICTION_TIME
from rung_ops.model.target import Kind
from rung_ops.project import paths
from rung_ops.release import state
from rung_ops.training import estimator

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = Rollback(least_rows=100, watch_days=60, level=0.99, error_rate=0.01)
NEW = "v2-aaaaaaaa-bbbbbb"
ROWS = 1_500


@pytest.fixture
def production(
    release_folder: Path, release_key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An environment in which NEW was promoted over a real release."""
    monkeypatch.setenv("RELEASES", str(tmp_path))
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    (tmp_path / "release.pub").write_bytes(release_key)
    folder = paths.environment(paths.PRODUCTION)
    shutil.copytree(release_folder, paths.bundle(folder, release_folder.name))
    state.serve(folder, release_folder.name, "Ada")
    state.canary(folder, NEW, "Ada")
    state.promote(folder, "service")
    return folder


@pytest.fixture
def rows() -> pl.DataFrame:
    """Rows that were asked about in the last month, with their outcomes."""
    rows = sample_rows().drop_nulls(contract.TARGET)
    rows = rows.sample(min(ROWS, rows.height), seed=1)
    when = [NOW - timedelta(days=30) + timedelta(minutes=n) for n in range(rows.height)]
    return rows.with_columns(
        pl.Series(PREDICTION_ID, [str(n) for n in range(rows.height)]),
        pl.Series(PREDICTION_TIME, when, dtype=pl.Datetime("us", "UTC")),
        pl.lit(NEW).alias(RELEASE),
        pl.lit("serving").alias(ARM),
    )


@pytest.fixture
def before(production: Path, rows: pl.DataFrame, release_key: bytes) -> np.ndarray:
    """What the release before says of them."""
    folder = paths.bundle(production, state.read(production).previous[0])
    return serving_release.load(folder, release_key).score(rows)[1]


def answered(rows: pl.DataFrame, predictions: np.ndarray) -> pl.DataFrame:
    return rows.with_columns(pl.Series(PREDICTION, predictions, dtype=pl.Float64))


def verdict(
    folder: Path, answers: pl.DataFrame, now: datetime = NOW, readings: Sequence[Any] = ()
) -> tuple[bool | None, str]:
    """Say whether the release that answers is worse, and in which words; None is no verdict."""
    made = facts.verdict(state.read(folder), answers, [*readings], now, POLICY)
    return (None, "") if made is None else (made.worse, made.says)


def test_a_release_that_guesses_is_worse(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    guesses = np.random.default_rng(1).permutation(before)

    worse, says = verdict(production, answered(rows, guesses))

    assert worse
    assert f"{NEW} is worse than {state.read(production).previous[0]} was by more than" in says
    assert "99% interval" in says


def test_a_loss_that_the_gate_lets_pass_is_not_rolled_back(
    production: Path, rows: pl.DataFrame, before: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guesses of above, where the gate allows a loss as large as theirs."""
    guesses = answered(rows, np.random.default_rng(1).permutation(before))
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(margin=0.9))

    assert verdict(production, guesses)[0] is False


def right(rows: pl.DataFrame) -> pl.DataFrame:
    return answered(rows, estimator.truth(rows).astype(float))


def wrong(rows: pl.DataFrame, before: np.ndarray) -> pl.DataFrame:
    return answered(rows, 1 - before)


@pytest.mark.parametrize(
    ("answers", "days", "worse"),
    [
        (answered, 0, False),
        (lambda rows, before: wrong(rows, before)[: POLICY.least_rows - 1], 0, False),  # too few
        (
            lambda rows, before: wrong(rows, before).with_columns(pl.lit("v1").alias(RELEASE)),
            0,
            None,
        ),
        (wrong, 31, None),  # long past
    ],
    ids=["the same", "too few", "of others", "long past"],
)
def test_only_certain_losses_of_a_new_release_count(
    production: Path,
    rows: pl.DataFrame,
    before: np.ndarray,
    answers: Callable[[pl.DataFrame, np.ndarray], pl.DataFrame],
    days: int,
    worse: bool | None,
) -> None:
    now = NOW + timedelta(days=days)

    assert verdict(production, answers(rows, before), now)[0] is worse


@pytest.mark.parametrize(
    ("is_right", "days", "least_rows", "worse"),
    [(True, 30, 100, True), (False, 30, 100, False), (True, 0, 100, None), (True, 0, 0, None)],
    ids=["worse", "better", "no outcomes since its trial began", "nor are any needed"],
)
def test_a_release_on_trial_is_compared_with_the_one_that_answers(
    production: Path,
    rows: pl.DataFrame,
    before: np.ndarray,
    is_right: bool,
    days: int,
    least_rows: int,
    worse: bool | None,
) -> None:
    """Predicted by the release on trial, and answered by one that is always right or wrong."""
    release = state.read(production).previous[0]
    trial = Trial(release, "shadow", NOW - timedelta(days=days))
    answers = right(rows) if is_right else wrong(rows, before)
    policy = msgspec.structs.replace(POLICY, least_rows=least_rows)

    result = facts.on_trial(trial, NEW, answers, policy)

    assert (result and result.worse) is worse
    if worse:
        assert result.says.startswith(f"{release} is worse than {NEW} was by more than")


@pytest.mark.parametrize(("days", "worse"), [(4, True), (3, False)])
def test_a_forecast_on_trial_is_judged_by_four_horizons_of_outcomes(
    production: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, days: int, worse: bool
) -> None:
    """A row an hour, answered a day ahead by one that is always right."""
    monkeypatch.setattr(contract, "HORIZON", timedelta(days=1), raising=False)
    ahead = pl.lit(timedelta(days=1))
    hours = pl.datetime_range(NOW, NOW + timedelta(hours=24 * days - 1), "1h", time_zone="UTC")
    known = rows.head(24 * days).with_columns(hours.alias(PREDICTION_TIME) - ahead)
    clock = rows.schema[contract.TIME]
    known = known.with_columns((pl.col(PREDICTION_TIME) + ahead).cast(clock).alias(contract.TIME))
    trial = Trial(str(state.read(production).previous[0]), "shadow", NOW)

    result = facts.on_trial(trial, NEW, right(known), POLICY)

    assert result and result.worse is worse


def test_what_was_rolled_back_is_not_judged_again(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    state.roll_back(production, "Ada")

    assert verdict(production, wrong(rows, before))[0] is None


def test_a_canary_that_was_sent_back_changes_nothing_for_the_release_that_answers(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    state.canary(production, "v3-aaaaaaaa-bbbbbb", "Ada")
    state.roll_back(production, "Ada")

    assert verdict(production, wrong(rows, before))[0] is True


def test_a_first_release_has_nothing_to_be_compared_with(
    tmp_path: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path))
    folder = paths.environment(paths.PRODUCTION)
    state.serve(folder, NEW, "Ada")

    assert verdict(folder, answered(rows, np.zeros(rows.height)))[0] is None


def test_a_release_that_fails_more_often_is_worse_without_outcomes(production: Path) -> None:
    old = state.read(production).previous[0]
    counted = [(old, 0, 0), (old, 5000, 5), (NEW, 6000, 5), (NEW, 11000, 255)]
    readings = [read(*each) for each in counted]
    nothing = pl.DataFrame(schema={PREDICTION_ID: pl.String})

    worse, says = verdict(production, nothing, readings=readings)

    assert worse
    assert f"{NEW} failed to answer 4.76% of 5,250 requests" in says
    assert verdict(production, nothing, readings=readings[:3])[0] is None


def test_a_missing_release_cannot_be_compared(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    shutil.rmtree(production / "bundles")

    worse, says = verdict(production, wrong(rows, before))

    assert worse is False
    assert "cannot be compared" in says


def test_answers_of_other_classes_cannot_be_compared(
    production: Path, rows: pl.DataFrame, before: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = answered(rows, before)
    monkeypatch.setattr(estimator, "kind", lambda: Kind(classes=("small", "large")))

    worse, says = verdict(production, answers)

    assert worse is False
    assert "cannot be compared on the same rows" in says


def test_a_pass_before_the_first_deployment_has_no_reading(
    production: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    state.roll_back(production, "Ada")
    look = {"step": "look", "ended": "2026-02-01", "detail": {"serving": None}}
    earlier = {"at": "2026-02-01T00:00:00+00:00", "steps": [look]}
    record = {"at": NOW.isoformat(), "steps": []}

    known = facts.gather(record, state.read(production), [earlier], decide.read_rules())

    assert known.serving == state.read(production).serving


def test_figures_without_those_of_a_worker_that_ended_are_not_compared(tmp_path: Path) -> None:
    """Of two workers, while the older one is started again."""
    answered = 'service_requests_total{{outcome="answered",worker="{0}"}} {1}\n'
    began = 'process_start_time_seconds{{worker="{0}"}} {1}\n'
    newer = began.format(2, 1700000100) + answered.format(2, 20)
    readings = []
    for older in (began.format(1, 1700000000) + answered.format(1, 500), ""):
        (tmp_path / "metrics").write_text(older + newer, "utf-8")
        readings.append(facts.reading(tmp_path.as_uri(), NEW))

    first, second = readings
    assert first and second and first["answered"] == 520
    assert facts.rate([first, second], NEW) == facts.Rate(0, 0)


def test_a_trial_that_a_person_began_counts_from_its_shadow(
    production: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    state.roll_back(production, "Ada")
    state.shadow(production, "v3-c", 1.0, "Ada")
    state.canary(production, "v3-c", "service")
    record = {"at": NOW.isoformat(), "steps": []}

    trial = facts.gather(record, state.read(production), [], decide.read_rules()).trial

    (began,) = (each["at"] for each in state.events(production) if each["event"] == "shadow")
    assert trial == Trial("v3-c", "canary", datetime.fromisoformat(began))


def read(release: str, answered: int, failed: int, process: float = 1.0) -> dict[str, Any]:
    return {"release": release, "process": process, "answered": answered, "failed": failed}


def test_only_differences_between_readings_of_one_release_and_process_count() -> None:
    readings = [
        read("v1", 100, 1),
        read("v1", 300, 2),  # 200 answered, 1 failed: v1's
        read("v2", 900, 40),  # of an unknown release
        read("v2", 1000, 42),  # 100 answered, 2 failed: v2's
        read("v2", 50, 50, process=2.0),  # restarted
        read("v2", 150, 53, process=2.0),  # 100 answered, 3 failed: v2's
    ]

    assert facts.rate(readings, "v1") == Rate(1, 201)
    assert facts.rate(readings, "v2") == Rate(5, 205)
    assert facts.rate(readings, "v3") == Rate(0, 0)


def test_the_interval_of_a_rise_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, (a): 56/70 against 48/80.
    low, high = facts.rise(Rate(48, 80), Rate(56, 70), 0.95)

    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_a_service_that_does_not_answer_has_no_counts() -> None:
    assert facts.reading("http://127.0.0.1:9", "v1") is None
