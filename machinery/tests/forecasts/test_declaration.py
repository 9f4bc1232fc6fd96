"""What dataset.py says of a forecast is checked, and rows are split and checked by it."""

from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Patch, Trained
from machinery.tests.forecasts.conftest import HOUR, Declare, demand, with_origin
from machinery.tests.in_project import stage
from machinery.tests.small_project import SmallProject
from rung_ops import contract
from rung_ops.checks import promises
from rung_ops.contract import forecast
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.tracking import tune

BOTH = pytest.mark.parametrize("small", ["HORIZON", "ORIGIN"], indirect=True)


@BOTH
def test_every_promise_holds(checked: Path) -> None:
    broken = {promise.__name__: promises.broken(promise) for promise in promises.PROMISES}

    assert {name: sentence for name, sentence in broken.items() if sentence} == {}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"ORIGIN": "made"}, "there are HORIZON and ORIGIN; keep one"),
        ({"HORIZON": None}, "SEASON belongs to a forecast"),
        ({"HORIZON": timedelta()}, "HORIZON is .* must be a positive time"),
        ({"HORIZON": 24}, "HORIZON is 24; it must be a positive time"),
        ({"SEASON": -HOUR}, "SEASON is .* must be a positive time"),
        ({"TIME": None}, "a forecast needs TIME"),
        ({"HORIZON": None, "ORIGIN": "made"}, "ORIGIN is 'made'; it must be a column of Row"),
        ({"HORIZON": None, "ORIGIN": "hour"}, "ORIGIN is 'hour'; it must be a column of Row"),
        ({"HORIZON": None, "ORIGIN": "rain"}, "ORIGIN `rain` must be of the type of TIME `hour`"),
        ({"TARGET": "station"}, "the target `station` is not a number"),
    ],
)
def test_a_wrong_declaration_is_refused_in_a_sentence(
    declare: Declare, names: dict[str, Any], sentence: str
) -> None:
    declare(**names)

    with pytest.raises(StageError, match=f"dataset.py: {sentence}"):
        promises.forecast_is_well_declared()


def test_rows_that_name_no_series_are_refused(dataset: ModuleType, declare: Declare) -> None:
    class RowOfStation(dataset.Row):  # type: ignore[misc, name-defined]
        class Config:
            unique = ["station"]

    declare(Row=RowOfStation)

    with pytest.raises(StageError, match="Config.unique of Row must name `hour`, and"):
        promises.forecast_is_well_declared()


@BOTH
def test_training_rows_are_known_before_the_first_test_row_is_predicted(
    small: SmallProject,
) -> None:
    rows = small.draw(960)

    train, test = stage("split").split(rows, 0.25, 1)

    first = forecast.made_at(test).min()
    assert (forecast.known_at(train) < first).all()
    assert train.height and abs(test.height / rows.height - 0.25) < 0.05
    between = rows.join(pl.concat([train, test]), on=rows.columns, how="anti")
    assert between.height == rows.height - train.height - test.height > 0
    assert (forecast.made_at(between) < first).all() and (between["hour"] >= first).all()


def test_a_split_that_forgets_the_horizon_is_named(trained: Trained) -> None:
    from rung_ops.training import baseline

    rows = demand(2_880).sort("hour")

    assert baseline.known_too_late(trained.train, trained.test) is None
    sentence = baseline.known_too_late(rows[:2_000], rows[2_000:])
    assert sentence and sentence.startswith("48 training rows have an outcome that was not known")


@BOTH
def test_tuning_learns_from_what_was_known(small: SmallProject, monkeypatch: Patch) -> None:
    learned: list[pl.DataFrame] = []
    whole = tune.estimator.features

    def noted(rows: pl.DataFrame) -> pl.DataFrame:
        learned.append(rows)
        return whole(rows)

    monkeypatch.setattr(tune.estimator, "features", noted)

    tune.score_of({"alpha": 1.0}, small.draw(960), "mae", 1)

    for learn, judge in zip(learned[::2], learned[1::2], strict=True):
        assert (forecast.known_at(learn) < forecast.made_at(judge).min()).all()


@pytest.mark.parametrize("small", ["ORIGIN"], indirect=True)
def test_a_row_whose_origin_is_after_its_time_is_refused() -> None:
    rows = with_origin(96).with_columns(
        made=pl.when(pl.int_range(pl.len()) == 3).then(pl.col("hour") + HOUR).otherwise("made")
    )

    _, problems = inspect(rows, contract.Row.to_schema(), "a.parquet")

    assert [str(problem) for problem in problems] == [
        "a.parquet: column `made` is after `hour`, the time that is predicted (row 4)"
    ]


def test_days_are_predicted_from_their_beginning(declare: Declare) -> None:
    days = pl.DataFrame({"hour": pl.Series(["2026-01-02"]).str.to_date()})
    declare(HORIZON=timedelta(hours=6))

    assert forecast.made_at(days)[0].isoformat() == "2026-01-01T18:00:00"
