"""What a release of three classes answered is watched, and learned from, by the class."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES, SMALL, parcels
from machinery.tests.projects import moved
from machinery.tests.small_project import RELEASE, looked
from rung_ops import contract
from rung_ops.autopilot import facts
from rung_ops.autopilot.decide import Rollback
from rung_ops.errors import VersionError
from rung_ops.gate.verdict import Verdict
from rung_ops.monitoring import outcomes, release_info
from rung_ops.monitoring.monitor_result import MonitorResult, status
from rung_ops.project.paths import package_name
from rung_ops.tracking import versions
from rung_ops.training import estimator

Answered = Callable[..., pl.DataFrame]


def test_the_quality_of_a_quiet_week_is_known_and_worse_outcomes_are_a_problem(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    rows = parcels(2_000, seed=2)
    log = SMALL.logged(trained, rows)

    def after(outcomes: pl.DataFrame) -> MonitorResult:
        outcomes.select("parcel", "outcome").write_csv(tmp_path / "outcomes.csv")
        return looked(released, log, tmp_path)

    result = after(rows)
    worse = after(rows.with_columns(pl.col("outcome").shuffle(seed=1)))

    predicted = estimator.predict(trained.estimator, rows)
    expected = contract.score(estimator.truth(rows), predicted)["brier"]
    assert not status(result)["drift"]["prediction"]
    assert status(result)["quality"]["figure"] == pytest.approx(expected)
    assert [any("brier" in each for each in of.problems) for of in (result, worse)] == [False, True]


def test_another_share_of_the_classes_is_drift_of_the_predictions(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    rows = parcels(2_000, seed=2).with_columns(distance=pl.col("distance") / 2 + 750)

    result = looked(released, SMALL.logged(trained, rows), tmp_path)

    assert status(result)["drift"]["prediction"]
    moved = result.drift.row(by_predicate=pl.col("feature") == "prediction", named=True)
    assert moved["kind"] == "category"
    assert "late" in moved["moved"]


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

    rows = facts.new_rows(answered(sent))

    assert rows.height == 400
    names = list(contract.Row.to_schema().columns)
    assert rows.select(names).sort("parcel").equals(sent.sort("parcel"))


@pytest.mark.usefixtures("deployed")
def test_a_promoted_release_is_compared_with_the_one_before_by_its_probabilities(
    answered: Answered,
) -> None:
    answers = answered(parcels(400, seed=2)).with_columns(pl.lit("v2").alias(facts.RELEASE))
    policy = Rollback(least_rows=100, watch_days=90, level=0.99, error_rate=0.01)
    guessed = np.random.default_rng(1).dirichlet([1, 1, 1], answers.height)
    guesses = pl.DataFrame(guessed, schema=CLASSES).to_struct(facts.PREDICTION)

    same = facts._of_quality(RELEASE, "v2", answers, policy)
    worse = facts._of_quality(RELEASE, "v2", answers.with_columns(guesses), policy)

    assert same is not None and not same.worse
    assert "brier differs by" in same.says
    assert worse is not None and worse.worse


Judged = Callable[..., Verdict]


def predictions(trained: Trained, strength: float = 1.0) -> np.ndarray:
    model = contract.build({"C": strength, "seed": 1})
    model.fit(estimator.features(trained.train), estimator.truth(trained.train))
    return estimator.predict(model, trained.test)


def test_a_version_that_is_as_good_passes(trained: Trained, judged: Judged) -> None:
    result = judged(predictions(trained), predictions(trained, 0.9))

    assert result.reasons == []
    assert result.promote
    scores = result.figures["scores"]["champion"]
    assert set(scores) == {"brier", "log_loss", "macro_auc", "accuracy"}
    assert {each["value"] for each in result.figures["slices"]} == {"standard", "express"}


def test_what_cannot_be_compared_is_counted_by_row_and_class(
    trained: Trained, judged: Judged
) -> None:
    good, bad = predictions(trained), predictions(trained)
    bad[:5] = np.nan

    (not_numbers,) = judged(bad, good).reasons
    reasons = judged(good, good[:, :2]).reasons

    assert not_numbers.startswith("5 of ")
    rows = trained.test.height
    reported = f"predictions of the champion have shape ({rows}, 2); expected ({rows}, 3)"
    assert reasons == [reported]


def test_a_version_whose_row_had_its_classes_in_another_order_is_not_compared(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "model.skops"
    estimator.save(trained.estimator, saved)
    trained.test.write_parquet(tmp_path / "test.parquet")
    older = tmp_path / "code" / package_name()
    shutil.copytree(Path(str(contract.dataset.__file__)).parent, older)
    dataset = older / "dataset.py"
    before = dataset.read_text(encoding="utf-8")
    dataset.write_text(before.replace('"on time", "late"', '"late", "on time"'), encoding="utf-8")
    monkeypatch.setattr(versions, "fetch_model", lambda version, folder: saved)
    monkeypatch.setattr(versions, "fetch_artifact", lambda folder, **artifact: tmp_path / "code")
    version: Any = SimpleNamespace(version="3", name="parcels", run_id="1")

    with pytest.raises(VersionError, match="version 3 predicts the classes late, on time"):
        versions.predictions(version, tmp_path / "test.parquet")

    dataset.write_text(before + "\n# the same rows\n", encoding="utf-8")
    again = versions.predictions(version, tmp_path / "test.parquet")
    np.testing.assert_array_equal(again, estimator.predict(trained.estimator, trained.test))
