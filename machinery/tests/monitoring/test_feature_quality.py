"""A stale feature store and entities without values are loud; what training had too is not."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest

from machinery.tests.monitoring.made import DAY, NOW, SETTINGS, log, released, rows
from machinery.tests.monitoring.test_check import FRESH, NO_OUTCOMES
from rung_ops.features import store
from rung_ops.features.store import SqliteStore, StoredView
from rung_ops.monitoring import check, inputs, monitor_result, observation
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, status
from rung_ops.release import contract_file

HOUR = timedelta(hours=1)
OF = 'monitor_stale{of="features of colour"}'
# What `weight` is in made.py, looked up by the colour: missing in a tenth of the training rows.
VIEW: dict[str, Any] = {
    "id": "view",
    "entity": ["colour"],
    "cadence_seconds": 86_400.0,
    "features": [{"name": "weight", "max_age_seconds": None, "default_share": 0.1}],
}


def stored(age: timedelta) -> dict[str, int]:
    return {"view": int((NOW - age).timestamp() * 1e6)}


def asked(count: int = 1_000, gone: str | None = None) -> pl.DataFrame:
    """Make the log of a service whose store has no values of a colour."""
    asked = rows(count, seed=2)
    if gone is not None:
        held = pl.when(pl.col("colour") != gone).then("weight")
        asked = asked.with_columns(held.alias("weight"))
    used = asked.select(
        pl.when(pl.col("weight").is_null())
        .then(pl.lit(["weight"]))
        .otherwise(pl.lit([], pl.List(pl.String)))
    )
    return log(asked, defaults=used.to_series())


def look(
    folder: Path, logged: pl.DataFrame, filled: Mapping[str, int], view: dict[str, Any] = VIEW
) -> MonitorResult:
    """Look at a release with an entity feature."""
    made = released(folder)
    made = replace(made, contract=made.contract | {"entity_features": [view]})
    since = NOW - 7 * DAY
    given = check.MonitorInput(logged, logged, NO_OUTCOMES, FRESH, since, NOW, filled)
    return check.check_release(made, given, Limits(), SETTINGS)


def test_a_fresh_store_with_as_many_defaults_as_training_is_not_a_problem(tmp_path: Path) -> None:
    result = look(tmp_path, asked(), stored(20 * HOUR))

    assert result.problems == []
    (row,) = status(result)["entity_features"]
    assert (row["feature"], row["rows"], row["entities"]) == ("weight", 1_000, 2)
    assert 0.05 < row["default"] == row["missing"] == row["null"] < 0.15
    assert (row["request"], row["store"]) == (0.0, 1 - row["default"])
    assert f"{OF} 0.0" in monitor_result.gauges(result).decode()
    assert "Entity features" in observation.html("made", "production", result)


def test_a_store_that_was_not_filled_is_loud_however_few_ask(tmp_path: Path) -> None:
    result = look(tmp_path, asked(20), stored(3 * DAY))

    assert result.problems == [
        "the feature store of `weight` is of 2026-03-05 12:00 UTC, 3 days ago; 2 days may pass"
    ]
    output = monitor_result.gauges(result).decode()
    assert f"{OF} 1.0" in output
    assert 'monitor_newest_timestamp_seconds{of="features of colour"} 1.7727' in output
    assert status(result)["freshness"]["features of colour"]["stale"]


LIMITED = VIEW["features"][0] | {"max_age_seconds": 6 * 3600.0}


@pytest.mark.parametrize(
    ("filled", "feature", "loud"),
    [
        ({"another": 1}, VIEW["features"][0], True),  # without the values
        (stored(5 * HOUR), LIMITED, False),  # the declared limit comes before the cadence
        (stored(7 * HOUR), LIMITED, True),
    ],
)
def test_a_store_that_is_older_than_declared_or_empty_is_loud(
    tmp_path: Path, filled: dict[str, int], feature: dict[str, Any], loud: bool
) -> None:
    result = look(tmp_path, asked(20), filled, VIEW | {"features": [feature]})

    assert [each.startswith("the feature store of `weight`") for each in result.problems] == (
        [True] * loud
    )


def test_entities_that_went_missing_are_loud(tmp_path: Path) -> None:
    result = look(tmp_path, asked(gone="blue"), stored(20 * HOUR))

    (reported,) = (each for each in result.problems if each.startswith("the entity feature"))
    assert reported.startswith("the entity feature `weight` has no value in 3")
    assert "10.0% expected" in reported
    assert reported.endswith("none for 2 of 2 entities (colour)")
    output = monitor_result.gauges(result).decode()
    assert 'monitor_column_defaulted_rose{column="weight"} 1.0' in output
    assert 'monitor_entity_feature_missing_ratio{entity="colour",feature="weight"} 0.3' in output


def test_a_default_that_is_a_number_is_expected_as_often_as_in_training(tmp_path: Path) -> None:
    """The reference has no missing value then: training rows hold the number."""
    made = released(tmp_path)
    full = made.reference.with_columns(pl.col("weight").fill_null(0.0))
    known = replace(made, reference=full, contract=made.contract | {"entity_features": [VIEW]})
    logged = asked().with_columns(
        pl.col(location).struct.with_fields(pl.field("weight").fill_null(0.0))
        for location in ("row", "features")
    )
    given = check.MonitorInput(logged, logged, NO_OUTCOMES, FRESH, NOW - 7 * DAY, NOW)
    with_store = replace(given, stored=stored(HOUR))

    assert check.check_release(known, with_store, Limits(), SETTINGS).problems == []
    (without,) = check.check_release(
        replace(made, reference=full), given, Limits(), SETTINGS
    ).problems
    assert without.startswith("a default replaced missing `weight`")


def test_rows_that_needed_another_time_are_loud(tmp_path: Path) -> None:
    made = released(tmp_path)
    counts = {"colour": {"rows": 100, "refused": 51}}
    given = check.MonitorInput(asked(20), asked(20), NO_OUTCOMES, FRESH, NOW - 7 * DAY, NOW)

    result = check.check_release(made, replace(given, other_times=counts), Limits(), SETTINGS)

    (problem,) = result.problems
    assert problem.startswith("51 of 100 rows needed entity features (colour) of another time")
    assert status(result)["problems"] == [problem]


def test_the_entity_with_one_value_is_not_missing() -> None:
    view = VIEW | {"features": [*VIEW["features"], {"name": "other", "max_age_seconds": None}]}
    wide = rows(2, seed=2).with_columns(other=pl.Series([1.0, None]))
    used = pl.Series([["weight"], ["weight", "other"]])

    result = inputs.entity_features(log(wide, defaults=used), [view])

    assert result["default"].to_list() == [1.0, 0.5]
    assert result["missing"].to_list() == [0.5, 0.5]


def test_values_come_from_the_request_the_store_or_the_default() -> None:
    made = rows(4, seed=2).with_columns(weight=pl.Series([1.0, 2.0, 3.0, None]))
    logged = log(made, defaults=pl.Series([[], [], [], ["weight"]], dtype=pl.List(pl.String)))
    sent = pl.Series("sent", [["weight"], None, [], None], dtype=pl.List(pl.String))

    result = inputs.entity_features(logged.with_columns(sent), [VIEW]).row(0, named=True)

    assert (result["request"], result["store"], result["default"]) == (0.25, 0.5, 0.25)


def test_scored_batches_are_not_counted() -> None:
    scored = asked().with_columns(arm=pl.lit("batch"))

    assert inputs.entity_features(scored, [VIEW])["rows"].to_list() == [0]


def test_the_age_is_read_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path))
    assert inputs.filled() == {}

    kept = SqliteStore(store.store_file())
    kept.write([StoredView("view", 5, ["weight"], [b"4:blue"], np.ones((1, 1)))])

    assert inputs.filled() == {"view": 5}


class Row(pa.DataFrameModel):
    """A house; its feature `energy` has no gaps, as it fills them."""

    energy: str = pa.Field(nullable=True)
    rooms: int = pa.Field()
    price: float = pa.Field()


def test_what_was_missing_in_training_is_expected_also_where_a_feature_fills_it() -> None:
    rows = pl.DataFrame({"energy": ["A", None, "B", None], "rooms": 3, "price": 1.0})
    features = rows.select(pl.col("energy").fill_null("unknown"), "rooms")
    dataset = SimpleNamespace(Row=Row, TARGET="price", TIME=None)
    columns = contract_file.contract(dataset, features, rows, "regression", None)["columns"]  # type: ignore[arg-type]
    log = pl.DataFrame({"defaults_used": [["energy"], [], ["energy"], []]})

    (row,) = inputs.defaulted(log, columns, features).iter_rows(named=True)

    assert row["column"] == "energy"
    assert (row["share"], row["expected"]) == (0.5, 0.5)
    assert row["p_value"] == pytest.approx(1)
