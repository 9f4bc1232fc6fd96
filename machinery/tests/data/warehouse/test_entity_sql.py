"""A warehouse computes the entity features that are computed here of the same events."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.data.warehouse.conftest import Warehouse
from machinery.tests.data.warehouse.test_judged_rows import promise, split_by
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.contract import raw_file
from rung_ops.data.warehouse import pull
from rung_ops.data.warehouse.events import WarehouseEvents
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.features import EntityFeature, materialize, point_in_time, raw_rows
from rung_ops.features.sources import EntityFeatureError, Events
from rung_ops.model.entity_feature import views_of

START = datetime(2024, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SOLD = [None, -1.5, 0.0, 0.25, 3.0, 1000.0]
AGGREGATES = {
    "events": pl.len(),
    "sales": pl.col("sold").count(),
    "highest": pl.col("sold").max(),
    "average": pl.col("sold").mean(),
    "lowest": pl.col("sold").min(),
    "total": pl.col("sold").sum(),
    "pieces": pl.col("number").sum(),
    "late": pl.col("is_late").mean(),
    "any_late": pl.col("is_late").max(),
}
KINDS: dict[str, Any] = {
    "times": pl.Datetime("us"),
    "times with a zone": pl.Datetime("us", "UTC"),
    "days": pl.Date(),
}


def made(kind: Any, number: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw rows, some of them twice, and events; many stand at the ends of windows."""
    draw = np.random.default_rng(seed)

    def times(size: int) -> pl.Series:
        minutes = draw.integers(-6 * 24 * 4, 6 * 24 * 4, size) * 15
        drawn = pl.Series(
            [START + timedelta(minutes=int(n)) for n in minutes], dtype=pl.Datetime("us")
        )
        return (
            drawn.dt.replace_time_zone("UTC") if kind == KINDS["times with a zone"] else drawn
        ).cast(kind)

    def keys(size: int) -> dict[str, pl.Series]:
        shops = np.array(["a", "B", "it's", "é", None], object)
        return {
            "shop": pl.Series(draw.choice(shops, size).tolist(), dtype=pl.String),
            "floor": pl.Series(draw.integers(-1, 2, size), dtype=pl.Int16),
        }

    sold = [SOLD[n] for n in draw.integers(0, len(SOLD), 4 * number)]
    sold[:3] = [math.nan, math.inf, -math.inf]
    rows = pl.DataFrame({"at": times(number), **keys(number)})
    events = pl.DataFrame(
        {
            "sold_at": times(4 * number),
            **keys(4 * number),
            "sold": pl.Series(sold, dtype=pl.Float64),
            "number": pl.Series(draw.integers(-5, 5, 4 * number), dtype=pl.Int32),
            "is_late": pl.Series(draw.random(4 * number) < 0.3),
        }
    ).with_columns(pl.col("floor").cast(pl.Int64))
    later = pl.duration(hours=pl.Series(draw.choice([0, 0, 24], 4 * number)))
    return pl.concat([rows, rows.head(9)]), events.with_columns(known=pl.col("sold_at") + later)


def declared(source: Any, **changed: Any) -> list[EntityFeature]:
    settings: dict[str, Any] = {"entity": ["shop", "floor"], "time": "sold_at", "known": "known"}
    settings |= {"window": DAY, "cadence": HOUR, "source": source, "at": "at"} | changed
    return [EntityFeature(name=n, aggregate=of, **settings) for n, of in AGGREGATES.items()]


@pytest.fixture
def events_query(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> WarehouseEvents:
    """A query of the table `events`, in the warehouse that WAREHOUSE_URL names."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    (tmp_path / "events.sql").write_text("SELECT * FROM events -- all;\n")
    return WarehouseEvents(str(tmp_path / "events.sql"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"window": 30 * HOUR, "cadence": 7 * HOUR, "lead": 2 * HOUR},
        {"window": 400 * DAY, "cadence": DAY, "known": None},
        {"entity": ["shop"], "window": 36 * HOUR, "cadence": timedelta(minutes=45)},
    ],
)
def test_features_are_those_that_are_computed_here(
    warehouse: Warehouse,
    events_query: WarehouseEvents,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    changed: dict[str, Any],
) -> None:
    monkeypatch.setattr("rung_ops.data.warehouse.entity_sql.MOST_MOMENTS", 37)
    rows, events = made(KINDS[kind], 150, seed=5)
    warehouse.fill(events, "events")
    here, there = declared(lambda: events, **changed), declared(events_query, **changed)

    expected = point_in_time.joined(rows, here, None, Path("/"))

    result = point_in_time.joined(rows, there, None, Path("/"))
    assert_frame_equal(result, expected, rel_tol=1e-12, abs_tol=1e-12)
    assert expected["pieces"].n_unique() > 10 and expected["any_late"].n_unique() > 1
    now = START.replace(tzinfo=UTC)
    schema = {"shop": pl.String(), "floor": pl.Int16()}
    stored = [
        materialize.values(views_of(of)[0], schema, now, Events(Path("/"))) for of in (here, there)
    ]
    assert stored[0].entities == stored[1].entities != []
    assert np.allclose(stored[0].numbers, stored[1].numbers, rtol=1e-12, equal_nan=True)


def test_a_row_of_the_first_year_stops_no_feature(
    warehouse: Warehouse, events_query: WarehouseEvents
) -> None:
    rows, events = made(KINDS["times"], 20, seed=6)
    warehouse.fill(events, "events")
    rows = pl.concat([rows, rows.head(1).with_columns(at=datetime(1, 1, 1))])
    here, there = (
        point_in_time.joined(rows, declared(source), None, Path("/"))
        for source in (lambda: events, events_query)
    )

    assert_frame_equal(there, here, rel_tol=1e-12, abs_tol=1e-12)


@pytest.fixture
def sampled(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pl.DataFrame:
    """Rows in the warehouse, of which [split] has a sample come."""
    rows, _ = made(KINDS["times"], 2000, seed=8)
    rows = rows.with_columns(
        y=pl.int_range(pl.len()) % 3 == 0,
        **dict.fromkeys(["at_home", "is_open"], pl.lit(True)),
        room=pl.col("floor"),
    )
    row = pa.DataFrameSchema({n: pa.Column(t, nullable=True) for n, t in rows.schema.items()})
    promise(monkeypatch, row, TIME="at", HORIZON=2 * HOUR)
    split_by(monkeypatch, test_share=0.5, test_rows=60, train_rows=100)
    moved(monkeypatch, warehouse=tmp_path)
    warehouse.fill(rows)
    return rows


def test_the_sample_brings_the_values_that_all_events_give(
    warehouse: Warehouse,
    events_query: WarehouseEvents,
    sampled: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _, events = made(KINDS["times"], 2000, seed=9)
    warehouse.fill(events, "events")
    monkeypatch.setattr(contract, "ENTITY_FEATURES", declared(events_query), raising=False)

    assert 160 <= warehouse.pull(tmp_path) < 500
    assert warehouse.pull(tmp_path) == 0  # the same values

    came = pl.read_parquet(tmp_path / pull.SAMPLE)
    monkeypatch.setenv("WAREHOUSE_URL", "duckdb:/nowhere")  # what came is enough
    rows = came.select(sampled.columns).cast(dict(sampled.schema))
    here = point_in_time.join(rows, declared(lambda: events))
    assert_frame_equal(point_in_time.join(rows), here, rel_tol=1e-12, abs_tol=1e-12)
    assert here["average"].n_unique() > 50
    # Of another declaration, other rows or another query, the warehouse is asked.
    with pytest.raises(EntityFeatureError, match="nowhere does not exist"):
        point_in_time.join(rows, declared(events_query, lead=3 * HOUR))
    with pytest.raises(EntityFeatureError, match="nowhere does not exist"):
        point_in_time.join(rows.with_columns(pl.col("at") + DAY))
    (tmp_path / "events.sql").write_text("SELECT * FROM events WHERE sold > 0")
    with pytest.raises(EntityFeatureError, match="nowhere does not exist"):
        point_in_time.join(rows)
    # The warehouse of data/sample has no events of these rows.
    monkeypatch.delenv("WAREHOUSE_URL")
    with pytest.raises(EntityFeatureError, match="WAREHOUSE_URL is not set"):
        point_in_time.join(rows.with_columns(pl.col("at") + DAY))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"aggregate": pl.col("sold").last()}, "`x` as Polars does: its aggregate is neither"),
        ({"aggregate": pl.col("sold").sum() * 2}, "its aggregate is neither"),
        ({"aggregate": pl.col("shop").max()}, "`shop` is String, not a number"),
        ({"known": pl.col("known") + pl.duration(hours=1)}, "`known` is not a column"),
        ({"entity": ["at_home"]}, "events.sql gives no column `at_home`"),
        ({"entity": ["room"]}, "`room` is Float64, and Int16 in Row"),
        ({"entity": ["is_open"]}, "`is_open` is Int32, and Boolean in Row"),
        ({"aggregate": pl.col("price").sum()}, "events.sql gives no column `price`"),
        ({"time": "sold"}, "`sold` is Float64, not a date or a time"),
        ({"known": "in_utc"}, "one has a time zone and the other has none"),
        ({"time": "in_utc", "known": None}, "one has a time zone and the other has none"),
        ({"source": raw_rows}, "rows of the project, of which a sample comes"),
    ],
)
def test_what_sql_does_not_compute_as_polars_is_refused(
    warehouse: Warehouse,
    events_query: WarehouseEvents,
    sampled: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    changed: dict[str, Any],
    message: str,
) -> None:
    events = made(KINDS["times"], 10, seed=1)[1]
    in_utc = pl.col("sold_at").dt.replace_time_zone("UTC").alias("in_utc")
    events = events.with_columns(in_utc, room=pl.col("sold"), is_open=pl.col("number"))
    warehouse.fill(events, "events")
    settings: dict[str, Any] = {
        "entity": ["shop"],
        "time": "sold_at",
        "window": DAY,
        "cadence": DAY,
    }
    settings |= {"source": events_query, "aggregate": pl.len(), "name": "x"} | changed
    monkeypatch.setattr(contract, "ENTITY_FEATURES", [EntityFeature(**settings)], raising=False)

    with pytest.raises((WarehouseError, EntityFeatureError), match=message):
        warehouse.pull(tmp_path)

    assert not list(tmp_path.glob("*.parquet"))


def test_the_newest_event_tells_which_windows_are_not_full(
    warehouse: Warehouse, events_query: WarehouseEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, events = made(KINDS["days"], 50, seed=2)
    warehouse.fill(events.with_columns(pl.lit(date(2024, 1, 5)).alias("sold_at")), "events")
    row = pa.DataFrameSchema(
        {"at": pa.Column(pl.Datetime), "shop": pa.Column(str), "floor": pa.Column(int)}
    )
    promise(monkeypatch, row, TIME="at")
    monkeypatch.setattr(contract, "ENTITY_FEATURES", declared(events_query)[:1], raising=False)
    rows = pl.DataFrame(
        {"at": [datetime(2024, 1, 5, 2), datetime(2024, 1, 9)], "shop": ["a"] * 2, "floor": [0] * 2}
    )

    (message,) = point_in_time.beyond_events(point_in_time.needed_times(rows), Events(Path("/")))

    assert message.startswith("1 of 2 rows need `events`")


def test_rows_of_the_sample_have_its_own_events(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, events = made(KINDS["times"], 50, seed=3)
    rows = events.rename({"sold_at": "at"}).with_columns(y=pl.lit(True))
    row = pa.DataFrameSchema({n: pa.Column(t, nullable=True) for n, t in rows.schema.items()})
    promise(monkeypatch, row, TIME="at")
    moved(monkeypatch, root=tmp_path, sample=tmp_path / "data/sample")
    (tmp_path / "data/sample").mkdir(parents=True)
    raw_file.write_rows(rows, tmp_path / "data/sample/sales.parquet")
    (tmp_path / "events.sql").write_text("SELECT * FROM sales")
    monkeypatch.setenv("WAREHOUSE_URL", "duckdb:/nowhere")
    there = declared(WarehouseEvents("events.sql"), time="at")

    result = point_in_time.join(rows, there, events=Events(tmp_path, is_sample=True))

    expected = point_in_time.join(rows, declared(lambda: rows, time="at"))
    assert_frame_equal(result, expected, rel_tol=1e-12, abs_tol=1e-12)
    assert expected["pieces"].n_unique() > 5
