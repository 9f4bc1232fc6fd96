"""Batch scoring says which rows were scored without a feature's value, and refuses too many of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch, Trained
from machinery.tests.forecasts.conftest import DAY, FIRST, HOUR, demand, mean_of_six_hours
from machinery.tests.projects import moved
from rung_ops import contract, prediction_log
from rung_ops.batch import predict, predict_logged
from rung_ops.features import EntityFeature, point_in_time
from rung_ops.features.sources import Events
from rung_ops.training import estimator

Score = Callable[..., int]


@pytest.fixture
def score(trained: Trained, tmp_path: Path, monkeypatch: Patch) -> Score:
    """Score two hours of each station, whose events are known until an hour."""
    estimator.save(trained.estimator, tmp_path / "model.skops")
    moved(monkeypatch, model_file=tmp_path / "model.skops")
    hours = [FIRST + 10 * DAY, FIRST + 11 * DAY]
    demand(960).filter(pl.col("hour").is_in(hours)).drop("bikes").write_parquet(
        tmp_path / "new.parquet"
    )

    def score(known_until: Any, suffix: str = ".parquet", default: float | None = 0.0) -> int:
        events = demand(960).filter(pl.col("hour") < known_until)
        declared = [mean_of_six_hours(events, default=default)]
        monkeypatch.setattr(contract.features, "ENTITY_FEATURES", declared, False)
        return predict.main([f"{tmp_path / 'new.parquet'}", f"{tmp_path / f'out{suffix}'}"])

    return score


def test_each_row_and_the_log_name_the_features_without_a_value(
    score: Score, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    assert score(FIRST + 9 * DAY + 2 * HOUR) == 0
    printed = capsys.readouterr().out
    assert score(FIRST + 9 * DAY + 2 * HOUR, ".csv", None) == 0

    scored = pl.read_parquet(tmp_path / "out.parquet").sort("hour")
    assert scored["defaults_used"].to_list() == [[], [], ["bikes_6h"], ["bikes_6h"]]
    text = pl.read_csv(tmp_path / "out.csv").sort("hour")
    assert text["defaults_used"].to_list() == [None, None, "bikes_6h", "bikes_6h"]
    assert "without a value: `bikes_6h` in 2 of 4 rows (50.0%)" in printed

    monkeypatch.delenv("LOGS", raising=False)  # so that they are in the small project
    monkeypatch.setattr(predict_logged, "shown", str)
    with predict_logged.log_predictions() as log_rows:
        log_rows(scored)
    log = prediction_log.read(prediction_log.folder(predict_logged.ENVIRONMENT)).collect()
    assert log["defaults_used"].to_list() == scored["defaults_used"].to_list()


def test_events_that_end_before_the_forecast_is_made_are_said(
    score: Score, capsys: Capture
) -> None:
    """Their windows are not full, so that a value is there, and another one than in training."""
    assert score(FIRST + 10 * DAY - 2 * HOUR) == 0

    said = "2 of 4 rows need `bikes_6h` as of up to 2026-01-11T00:00, and its newest event is of"
    assert f"{said} 2026-01-10T21:00" in capsys.readouterr().err

    assert score(FIRST + 10 * DAY) == 0
    assert capsys.readouterr().err == ""


def test_rows_without_an_outcome_are_no_events_of_it(monkeypatch: Patch) -> None:
    """load() returns the rows to predict as well: their sum would be 0, and the window seem full."""
    rows = demand(960).with_columns(
        pl.when(pl.col("hour") < FIRST + 2 * DAY).then("bikes"), planned=pl.lit(1)
    )
    monkeypatch.setattr(point_in_time, "raw_rows", raw := lambda: rows)
    six = {"entity": ["station"], "time": "hour", "window": 6 * HOUR, "cadence": HOUR}
    declared = [
        EntityFeature(name="bikes_6h", source=raw, aggregate=pl.col("bikes").sum(), **six),
        EntityFeature(name="planned_6h", source=raw, aggregate=pl.col("planned").sum(), **six),
    ]
    monkeypatch.setattr(contract.features, "ENTITY_FEATURES", declared, False)
    events = Events(Path("/"))

    joined = point_in_time.join(demand(960).filter(pl.col("hour") > FIRST + 9 * DAY), events=events)

    assert joined["bikes_6h"].is_null().all()
    assert joined["planned_6h"].unique().to_list() == [6.0]
    blocks = map(point_in_time.needed_times, joined.iter_slices(100))
    (said,) = point_in_time.beyond_events(pl.concat(blocks), events)
    assert f" of {joined.height} rows need `bikes_6h` as of up to" in said


def test_events_that_are_missing_in_most_rows_are_refused(
    score: Score, tmp_path: Path, project: Path, capsys: Capture
) -> None:
    assert score(FIRST) == 1

    assert "`bikes_6h` has no value in 4 of 4 rows (100.0%)" in (error := capsys.readouterr().err)
    assert "`most_missing` under [predict]" in error
    assert not (tmp_path / "out.parquet").exists()

    settings = project / "params.toml"
    settings.write_text(f"{settings.read_text()}\n[predict]\nmost_missing = 1.0\n")
    assert score(FIRST) == 0
    settings.write_text(settings.read_text().replace("1.0", "100"))
    assert score(FIRST) == 1
    assert "most_missing" in capsys.readouterr().err


def test_rows_that_load_leaves_out_are_said(
    score: Score, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(
        contract.dataset, "load", lambda path: pl.read_parquet(path).filter(station="north")
    )

    assert score(FIRST + 20 * DAY) == 0

    said = "load() returned 2 of the 4 rows of"
    assert said in capsys.readouterr().err
    assert pl.read_parquet(tmp_path / "out.parquet").height == 2
