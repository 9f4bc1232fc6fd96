"""A release says that it forecasts, and one that was promoted is judged by blocks of time."""

import json
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.forecasts.conftest import demand, with_origin
from machinery.tests.serving.calls import Caller, release
from machinery.tests.small_project import DAY, NOW, RELEASE
from rung_ops import contract, prediction_log
from rung_ops.autopilot import facts
from rung_ops.autopilot.decide import Rollback
from rung_ops.load_test import load_test
from rung_ops.model.rows import Refusal
from rung_ops.model.target import Kind
from rung_ops.monitoring import release_info
from rung_ops.project import paths
from rung_ops.release import contract_file
from rung_ops.serving import pages
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.training import estimator


def test_the_service_describes_when_the_forecast_is_made(caller: Caller) -> None:
    described = pages.document(caller.service)["info"]["description"]

    assert described == "Each prediction is a forecast, made 1 day before `hour`."


@pytest.mark.parametrize("small", ["ORIGIN"], indirect=True)
def test_a_row_that_is_predicted_after_its_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = with_origin(96)
    features = rows.select(contract.FEATURES)
    described = contract_file.contract(contract.dataset, features, rows, "regression", None)
    reader = LoadedRelease(release(contract=described), "serving", strict=False).reader
    row = described["example"]
    late = row | {"made": row["hour"].replace(":00:00", ":00:01")}
    by_column = {name: [value, late[name]] for name, value in row.items()}

    for number, read, body in [
        (1, reader.one, late),
        (2, partial(reader.many, most=2), [row, late]),
        (2, partial(reader.columnar, most=2), {"columns": by_column}),
    ]:
        with pytest.raises(Refusal) as refused:
            read(json.dumps(body).encode())
        what = "column `made`: is after `hour`, the time that is predicted"
        assert refused.value.message == f"row {number}, {what}"
    assert reader.many(json.dumps([row]).encode(), 1)
    rows.with_columns(pl.col("made").reverse()).write_parquet(tmp_path / "parity.parquet")
    monkeypatch.setattr(load_test, "_folders", lambda name: [tmp_path])
    assert all(drawn["made"] <= drawn["hour"] for drawn in load_test.rows_of("v1", described))


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(("hours", "is_judged"), [(480, True), (200, False)])
def test_a_promoted_forecast_is_compared_by_blocks_of_time(
    trained: Trained,
    release_folder: Path,
    release_key: bytes,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    hours: int,
    is_judged: bool,
) -> None:
    rows = demand(2 * hours, seed=2).filter(pl.col("station") == "north")
    monkeypatch.delenv("LOGS", raising=False)
    batch = prediction_log.Batch(
        time=int((NOW - DAY).timestamp() * 1e6),
        ids=[f"{number}" for number in range(rows.height)],
        release=RELEASE,
        arm="serving",
        rows=rows.drop("bikes"),
        features=estimator.features(rows),
        predictions=estimator.predict(trained.estimator, rows),
        kind=Kind(),
    )
    folder = prediction_log.folder(paths.PRODUCTION)
    prediction_log.write_predictions(prediction_log.assemble([batch]), folder)
    rows.select("bikes").with_row_index("id").write_csv(tmp_path / "outcomes.csv")
    described = release_info.load(release_folder, release_key).contract
    monkeypatch.setattr(facts, "_contract", lambda environment: described)
    policy = Rollback(least_rows=100, watch_days=90, level=0.99, error_rate=0.01)
    answers = facts.answers(paths.PRODUCTION, NOW, tmp_path)
    worse = answers.with_columns(pl.col(facts.PREDICTION) + 30, pl.lit("v2").alias(facts.RELEASE))

    compared = facts._of_quality(RELEASE, "v2", worse, policy)

    assert compared is not None and compared.worse is is_judged
    assert is_judged or "8 blocks of time as long as the horizon" in str(compared)
