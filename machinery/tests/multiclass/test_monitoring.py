"""What a release of three classes answered is watched, and learned from, by the class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES, SMALL, parcels
from machinery.tests.projects import moved
from machinery.tests.small_project import RELEASE, looked
from rung_ops import contract
from rung_ops.autopilot import labelled_rows, post_promotion_check
from rung_ops.autopilot.policy import Rollback
from rung_ops.monitoring import outcomes, release_info
from rung_ops.monitoring.monitor_result import status
from rung_ops.training import estimator

Answered = Callable[..., pl.DataFrame]


def test_a_quiet_week_has_no_problem_and_its_quality_is_known(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    rows = parcels(2_000, seed=2)
    rows.select("parcel", "outcome").write_csv(tmp_path / "outcomes.csv")

    result = looked(released, SMALL.logged(trained, rows), tmp_path)

    predicted = estimator.predict(trained.estimator, rows)
    expected = contract.score(estimator.truth(rows), predicted)["brier"]
    quality = status(result)["quality"]
    assert not status(result)["drift"]["prediction"]
    assert quality["figure"] == pytest.approx(expected)
    assert [problem for problem in result.problems if "brier" in problem] == []


def test_another_share_of_the_classes_is_drift_of_the_predictions(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    rows = parcels(2_000, seed=2).with_columns(distance=pl.col("distance") / 2 + 750)

    result = looked(released, SMALL.logged(trained, rows), tmp_path)

    assert status(result)["drift"]["prediction"]
    moved = result.drift.row(by_predicate=pl.col("feature") == "prediction", named=True)
    assert moved["kind"] == "category"
    assert "late" in moved["moved"]


def test_outcomes_that_got_worse_are_a_problem(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    rows = parcels(2_000, seed=2)
    shuffled = rows.with_columns(pl.col("outcome").shuffle(seed=1))
    shuffled.select("parcel", "outcome").write_parquet(tmp_path / "outcomes.parquet")

    result = looked(released, SMALL.logged(trained, rows), tmp_path)

    assert any("brier" in problem for problem in result.problems)


def test_an_outcome_that_is_not_a_class_is_named(
    released: release_info.Released, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("parcel,outcome\n2-1,eaten\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("parcel,outcome\n2-1,1\n", encoding="utf-8")

    problems = outcomes.read(released.contract, tmp_path).problems

    assert problems[0].endswith("column `outcome` holds 'eaten', no class of " + ", ".join(CLASSES))
    assert "holds 1, no class of" in problems[1]


def test_classes_named_by_digits_are_read_from_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,grade\np-1,2\np-2,3\n", encoding="utf-8")
    contract_of_grades = {"target": "grade", "key": [], "columns": [], "classes": ["1", "2", "3"]}

    known = outcomes.read(contract_of_grades, tmp_path)

    assert (known.by_id[outcomes.TRUTH].to_list(), known.problems) == (["2", "3"], [])


def test_answers_with_outcomes_become_rows_to_learn_from(
    answered: Answered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moved(monkeypatch, rows=tmp_path / "rows.parquet")
    sent = parcels(400, seed=2)

    rows = labelled_rows.new_rows(answered(sent))

    assert rows.height == 400
    names = list(contract.Row.to_schema().columns)
    assert rows.select(names).sort("parcel").equals(sent.sort("parcel"))


@pytest.mark.usefixtures("deployed")
def test_a_promoted_release_is_compared_with_the_one_before_by_its_probabilities(
    answered: Answered,
) -> None:
    answers = answered(parcels(400, seed=2)).with_columns(pl.lit("v2").alias(labelled_rows.RELEASE))
    policy = Rollback(least_rows=100, watch_days=90, level=0.99, error_rate=0.01)
    guessed = np.random.default_rng(1).dirichlet([1, 1, 1], answers.height)
    guesses = pl.DataFrame(guessed, schema=CLASSES).to_struct(labelled_rows.PREDICTION)

    same = post_promotion_check._of_quality(RELEASE, "v2", answers, policy)
    worse = post_promotion_check._of_quality(RELEASE, "v2", answers.with_columns(guesses), policy)

    assert same is not None and not same.worse
    assert "brier differs by" in same.says
    assert worse is not None and worse.worse
