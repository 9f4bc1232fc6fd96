"""Outcomes find the predictions they belong to, whenever they come."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.monitoring.made import COLUMNS, DAY, NOW, log, predictions, rows
from rung_ops.monitoring import outcomes, quality
from rung_ops.monitoring.limits import Limits, Outcomes
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.monitoring.quality import QualityMetric

CONTRACT: dict[str, Any] = {"target": "good", "key": ["at", "size"], "columns": COLUMNS}
SOME = rows(10, seed=3)


def joined(folder: Path) -> list[float | None]:
    return outcomes.join(log(SOME), outcomes.read(CONTRACT, folder))[TRUTH].to_list()


BY_KEY = SOME[4:6].select("at", "size", good=pl.Series([1, 0])).write_csv()


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({}, {}),
        ({"a.csv": "id,good\n3,true\n1,false\n"}, {1: 0.0, 3: 1.0}),
        ({"a.csv": BY_KEY}, {4: 1.0, 5: 0.0}),
        ({"1.csv": "id,good\n1,0\n", "later/2.csv": "id,good\n1,1\n"}, {1: 1.0}),
        ({"a.csv": "id,good\n1,\n2,1\n"}, {2: 1.0}),  # not known yet
    ],
    ids=["no folder", "by id", "by key", "corrected", "empty"],
)
def test_outcomes_are_joined_to_their_predictions(
    tmp_path: Path, files: dict[str, str], known: dict[int, float]
) -> None:
    for name, content in files.items():
        (tmp_path / "of" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "of" / name).write_text(content, encoding="utf-8")

    assert joined(tmp_path / "of") == [known.get(number) for number in range(10)]


def test_a_column_id_of_the_rows_own_is_no_id_of_a_prediction(tmp_path: Path) -> None:
    own = COLUMNS[0] | {"name": "id", "dtype": "int", "polars": "Int64"}
    contract = CONTRACT | {"key": ["id"], "columns": [*COLUMNS, own]}
    numbered = log(SOME.with_columns(id=100 + pl.int_range(10, dtype=pl.Int64)))
    pl.DataFrame({"id": [104, 3], "good": [True, False]}).write_parquet(tmp_path / "a.parquet")

    known = outcomes.join(numbered, outcomes.read(contract, tmp_path))[TRUTH].to_list()

    assert known == [None] * 4 + [1.0] + [None] * 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,better\n1,2\n", "lacks the column `good`"),
        ("at,good\n2026-01-01,1\n", "lacks the column `id`, or all of `at`, `size`"),
        ("id,good\n1,perhaps\n", "column `good` holds 'perhaps'"),
        ("at,size,good\nyesterday,1.5,1\n", "column `at` holds 'yesterday'"),
        ("id,good\n1,2,3,4\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_count(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "bad.csv").write_text(content, encoding="utf-8")
    pl.DataFrame({"id": ["1"], "good": [True]}).write_parquet(tmp_path / "fine.parquet")

    result = outcomes.read(CONTRACT, tmp_path)

    assert len(result.problems) == 1
    assert "bad.csv" in result.problems[0]
    assert message in result.problems[0]
    assert joined(tmp_path)[1] == 1.0


def days(*known: float, wrong: float = 0.1) -> pl.DataFrame:
    """Make 400 predictions a day, the last of them today; some outcomes known, some wrong."""
    draws = np.random.default_rng(4)
    frames = []
    for back, share in enumerate(reversed(known)):
        day = log(rows(400, seed=back), at=NOW - back * DAY)
        right = (predictions(day["row"].struct.unnest()) > 0.5) ^ (draws.random(400) < wrong)
        truth = pl.Series(right).cast(pl.Float64)
        frames.append(
            day.with_columns(pl.when(pl.int_range(400) < share * 400).then(truth).alias(TRUTH))
        )
    return pl.concat(frames)


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {"accuracy": float(((predicted > 0.5) == (truth > 0.5)).mean())}


METRIC = QualityMetric(
    accuracy,
    "accuracy",
    True,
    {"accuracy": 0.9},
    [{"column": "colour", "value": "red", "accuracy": 0.9}],
    ["colour"],
    True,
    7,
)


def test_days_of_which_too_little_is_known_are_shown_and_not_judged() -> None:
    table = quality.judge(days(1.0, 1.0, 0.5, 0.1, 0.0), METRIC, Limits())

    of_days = table.filter(pl.col("column") == quality.DAY).sort("value")
    assert of_days["coverage"].to_list() == pytest.approx([1.0, 1.0, 0.5, 0.1, 0.0])
    assert of_days["figure"].is_not_null().to_list() == [True, True, False, False, False]
    recent = table.row(0, named=True)
    assert (recent["column"], recent["predictions"], recent["coverage"]) == ("recent", 800, 1.0)
    assert recent["low"] < recent["figure"] < recent["high"]


def test_days_that_nobody_looks_at_are_counted_and_change_no_decision() -> None:
    rows = days(1.0, 1.0, wrong=0.3)
    unscored = Limits(outcomes=Outcomes(score_days=False))

    shown, plain = (quality.judge(rows, METRIC, limits) for limits in (Limits(), unscored))

    is_day = pl.col("column") == quality.DAY
    assert shown.filter(~is_day).equals(plain.filter(~is_day))
    counts = ("value", "predictions", "outcomes", "coverage")
    assert shown.filter(is_day).select(counts).equals(plain.filter(is_day).select(counts))
    assert plain.filter(is_day)["figure"].null_count() == 2


def test_the_newest_days_are_judged_however_long_their_outcomes_took() -> None:
    table = quality.judge(days(*[1.0] * 9, *[0.0] * 20), METRIC, Limits())

    assert table.row(0, named=True)["predictions"] == 7 * 400
    assert table.filter(pl.col("column") == quality.DAY).height == 29


def test_slices_are_compared_with_the_same_slice_of_the_test_rows() -> None:
    table = quality.judge(days(1.0, wrong=0.3), METRIC, Limits())

    slices = {row["value"]: row for row in table.filter(pl.col("column") == "colour").to_dicts()}
    assert slices["red"]["expected"] == 0.9
    assert slices["red"]["worse"]
    assert slices["blue"]["expected"] is None
    assert slices["blue"]["worse"] is None


@pytest.mark.parametrize(("tested", "worse"), [(30, False), (10_000, True)])
def test_a_slice_with_few_test_rows_may_have_been_lucky_there(tested: int, worse: bool) -> None:
    slices = [{"column": "colour", "value": "red", "rows": tested, "accuracy": 0.9}]
    measured = replace(METRIC, slices=slices)

    table = quality.judge(days(1.0, wrong=0.3), measured, Limits())

    (red,) = table.filter(pl.col("value") == "red").to_dicts()
    assert red["worse"] is worse


@pytest.mark.parametrize(("wrong", "worse"), [(0.0, False), (0.1, False), (0.3, True)])
def test_only_a_certain_loss_counts_as_worse(wrong: float, worse: bool) -> None:
    table = quality.judge(days(1.0, 1.0, wrong=wrong), METRIC, Limits())

    assert table.row(0, named=True)["worse"] is worse


def test_where_all_outcomes_are_inside_the_bound_is_that_of_a_share() -> None:
    predicted = np.tile([-1.0, 0.0, 1.0], (100, 1))

    found = quality.measure_interval(np.zeros(100), predicted, 0.8, seed=1)

    assert found["held"] == found["held_high"] == 1 and found["held_error"] == 0
    assert found["held_low"] == pytest.approx(0.963, abs=0.001)  # Wilson's, of 100 of 100


def test_lower_may_be_better() -> None:
    def error(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return {"error": 1 - accuracy(truth, predicted)["accuracy"]}

    quality_metric = QualityMetric(error, "error", False, {"error": 0.1}, [], [], True, 7)
    result = [
        quality.judge(days(1.0, 1.0, wrong=wrong), quality_metric, Limits()).row(0, named=True)[
            "worse"
        ]
        for wrong in (0.0, 0.3)
    ]

    assert result == [False, True]


def test_a_figure_that_is_not_defined_is_not_judged() -> None:
    def undefined(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        if truth.min() == truth.max():
            raise ValueError("one class only")
        return {"accuracy": 1.0}

    quality_metric = QualityMetric(undefined, "accuracy", True, {"accuracy": 0.9}, [], [], True, 7)
    one_class = days(1.0).with_columns(pl.lit(1.0).alias(TRUTH))

    row = quality.judge(one_class, quality_metric, Limits()).row(0, named=True)

    assert row["outcomes"] == 400
    assert row["figure"] is None
    assert row["worse"] is None
