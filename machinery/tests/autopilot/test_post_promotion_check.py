"""A promoted release is rolled back when it is worse than the one before it on the same rows."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.autopilot import post_promotion_check
from rung_ops.autopilot.labelled_rows import ARM, ID, PREDICTION, RELEASE, TIME
from rung_ops.autopilot.policy import Rollback
from rung_ops.data.ingest import sample_rows
from rung_ops.gate import rules
from rung_ops.model import released as serving_release
from rung_ops.project import release_folders
from rung_ops.release import state

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
    folder = release_folders.environment(release_folders.PRODUCTION)
    shutil.copytree(release_folder, release_folders.bundle(folder, release_folder.name))
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
        pl.Series(ID, [str(n) for n in range(rows.height)]),
        pl.Series(TIME, when, dtype=pl.Datetime("us", "UTC")),
        pl.lit(NEW).alias(RELEASE),
        pl.lit("serving").alias(ARM),
    )


@pytest.fixture
def before(production: Path, rows: pl.DataFrame, release_key: bytes) -> np.ndarray:
    """What the release before says of them."""
    folder = release_folders.bundle(production, state.read(production).previous[0])
    return serving_release.load(folder, release_key).score(rows)[1]


def answered(rows: pl.DataFrame, predictions: np.ndarray) -> pl.DataFrame:
    return rows.with_columns(pl.Series(PREDICTION, predictions, dtype=pl.Float64))


def judged(production: Path, answers: pl.DataFrame, now: datetime = NOW) -> bool | None:
    result = post_promotion_check.verdict(state.read(production), answers, [], now, POLICY)
    return None if result is None else result.worse


def test_a_release_that_guesses_is_worse(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    guesses = np.random.default_rng(1).permutation(before)

    result = post_promotion_check.verdict(
        state.read(production), answered(rows, guesses), [], NOW, POLICY
    )

    assert result is not None
    assert result.worse
    assert (
        f"{NEW} is worse than {state.read(production).previous[0]} was by more than" in result.says
    )
    assert "99% interval" in result.says


def test_a_loss_that_the_gate_lets_pass_is_not_rolled_back(
    production: Path, rows: pl.DataFrame, before: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guesses of above, where the gate allows a loss as large as theirs."""
    guesses = answered(rows, np.random.default_rng(1).permutation(before))
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(margin=0.9))

    assert judged(production, guesses) is False


def test_a_release_that_says_the_same_is_not_worse(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    assert judged(production, answered(rows, before)) is False


def test_a_few_outcomes_decide_nothing(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    few = answered(rows, 1 - before)[: POLICY.least_rows - 1]

    assert judged(production, few) is False


def test_answers_of_others_do_not_count(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    others = answered(rows, 1 - before).with_columns(pl.lit("v1").alias(RELEASE))

    assert judged(production, others) is None


def test_a_promotion_that_is_long_past_is_not_judged_any_more(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    assert judged(production, answered(rows, 1 - before), NOW + timedelta(days=31)) is None


def test_what_was_rolled_back_is_not_judged_again(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    state.roll_back(production, "Ada")

    assert judged(production, answered(rows, 1 - before)) is None


def test_a_canary_that_was_sent_back_changes_nothing_for_the_release_that_answers(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    state.canary(production, "v3-aaaaaaaa-bbbbbb", "Ada")
    state.roll_back(production, "Ada")

    assert judged(production, answered(rows, 1 - before)) is True


def test_a_first_release_has_nothing_to_be_compared_with(
    tmp_path: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path))
    folder = release_folders.environment(release_folders.PRODUCTION)
    state.serve(folder, NEW, "Ada")

    assert judged(folder, answered(rows, np.zeros(rows.height))) is None


def test_a_release_that_fails_more_often_is_worse_without_outcomes(production: Path) -> None:
    old = state.read(production).previous[0]
    counted = [(old, 0, 0), (old, 5000, 5), (NEW, 6000, 5), (NEW, 11000, 255)]
    readings = [
        {"release": release, "process": 1.0, "answered": answered, "failed": failed}
        for release, answered, failed in counted
    ]
    nothing = pl.DataFrame(schema={ID: pl.String})

    result = post_promotion_check.verdict(state.read(production), nothing, readings, NOW, POLICY)
    fewer = post_promotion_check.verdict(state.read(production), nothing, readings[:3], NOW, POLICY)

    assert result is not None
    assert result.worse
    assert f"{NEW} failed to answer 4.76% of 5,250 requests" in result.says
    assert fewer is None


def test_a_missing_release_cannot_be_compared(
    production: Path, rows: pl.DataFrame, before: np.ndarray
) -> None:
    shutil.rmtree(production / "bundles")

    result = post_promotion_check.verdict(
        state.read(production), answered(rows, 1 - before), [], NOW, POLICY
    )

    assert result is not None
    assert not result.worse
    assert "cannot be compared" in result.says
