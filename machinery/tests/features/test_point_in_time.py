"""Entity features of rows: equal to brute force, and nothing of them comes from the future."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rung_ops.features import EntityFeature, point_in_time, sources
from rung_ops.features import point_in_time as subject
from rung_ops.features.sources import EntityFeatureError
from rung_ops.serving.entity_lookup import RowTime, times_of

HERE = Path("/")
START = datetime(2026, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def feature(events: pl.DataFrame, **changed: Any) -> EntityFeature:
    """Declare the mean of `late` over a day, an hour after the event."""
    settings: dict[str, Any] = {
        "name": "late_1d",
        "entity": ["carrier"],
        "source": lambda: events,
        "time": "at",
        "known": "landed",
        "aggregate": pl.col("late").mean(),
        "window": DAY,
        "cadence": HOUR,
    }
    return EntityFeature(**(settings | changed))


def made(number: int, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw rows, some of them twice, and events; many stand at whole hours."""
    drawn = np.random.default_rng(seed)

    def times(n: int) -> pl.Series:
        minutes = drawn.integers(0, 6 * 24 * 4, n) * 15
        return pl.Series([START + timedelta(minutes=int(m)) for m in minutes])

    carriers = ["AA", "B6", "DL", None]
    rows = pl.DataFrame(
        {
            "scheduled": times(number),
            "carrier": drawn.choice(np.array(carriers, object), number).tolist(),
        },
        schema_overrides={"carrier": pl.String},
    )
    events = pl.DataFrame(
        {
            "at": times(number),
            "carrier": drawn.choice(np.array([*carriers, "UA"], object), number).tolist(),
            "late": drawn.integers(0, 60, number),
        },
        schema_overrides={"carrier": pl.String},
    )
    delays = pl.Series([timedelta(minutes=int(m)) for m in drawn.integers(0, 240, number)])
    return pl.concat([rows, rows.head(20)]), events.with_columns(landed=pl.col("at") + delays)


def brute_force(row: dict[str, Any], events: pl.DataFrame, declared: EntityFeature) -> float | None:
    """Compute a feature of a row by its definition."""
    since = datetime(1970, 1, 1)
    predicted = row["scheduled"] - (declared.lead or timedelta()) - since
    as_of = since + predicted // declared.cadence * declared.cadence
    result = [
        event["late"]
        for event in events.iter_rows(named=True)
        if event["carrier"] == row["carrier"] is not None
        and as_of - declared.window <= event["at"] < as_of
        and event["landed"] <= as_of
    ]
    return float(np.mean(result)) if result else declared.default


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"window": 3 * HOUR, "default": 0.25},
        {"cadence": DAY},
        {"cadence": 7 * HOUR, "lead": 2 * HOUR},
    ],
)
@pytest.mark.parametrize(
    ("pairs", "most"), [(7, 150), (point_in_time.MOST_PAIRS, 150), (point_in_time.MOST_PAIRS, 20)]
)
def test_each_row_gets_what_its_definition_says(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], pairs: int, most: int
) -> None:
    monkeypatch.setattr(point_in_time, "MOST_PAIRS", pairs)
    monkeypatch.setattr(sources, "MOST_EVENTS", most)
    rows, events = made(150)
    declared = feature(events, source=events.lazy, **changed)

    result = subject.joined(rows, [declared], "scheduled", HERE)

    expected = [brute_force(row, events, declared) for row in rows.iter_rows(named=True)]
    assert_frame_equal(result.drop("late_1d"), rows)
    assert_frame_equal(
        result.select("late_1d"),
        pl.DataFrame({"late_1d": expected}, schema={"late_1d": pl.Float64}),
    )
    assert 10 < result["late_1d"].n_unique()


@pytest.mark.parametrize("most", [sources.MOST_EVENTS, 150, 20])
def test_when_an_event_is_known_does_not_depend_on_the_other_rows(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(sources, "MOST_EVENTS", most)
    rows, events = made(200)
    known = pl.col("at").min().over("carrier") + 3 * DAY
    declared = feature(events, source=events.lazy, known=known)

    together = subject.joined(rows, [declared], "scheduled", HERE)

    landed = events.with_columns(landed=known)
    expected = [brute_force(row, landed, declared) for row in rows.iter_rows(named=True)]
    assert together["late_1d"].to_list() == expected
    assert 10 < together["late_1d"].n_unique()
    some = rows.head(25)
    alone = [subject.joined(row, [declared], "scheduled", HERE) for row in some.iter_slices(1)]
    assert_frame_equal(pl.concat(alone), together.head(25))


def test_many_events_are_read_for_some_entities_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, events = made(2_000)
    events.write_parquet(tmp_path / "events.parquet", row_group_size=100)
    newest = feature(events, source="events.parquet", aggregate=pl.col("late").last())
    at_once = subject.joined(rows, [newest], "scheduled", tmp_path)
    monkeypatch.setattr(sources, "MOST_EVENTS", 500)
    heights = []
    ordered = point_in_time.ordered
    monkeypatch.setattr(
        point_in_time,
        "ordered",
        lambda part, *rest: heights.append(len(part)) or ordered(part, *rest),
    )

    in_parts = subject.joined(rows, [newest], "scheduled", tmp_path)

    assert_frame_equal(in_parts, at_once)
    assert len(heights) > 1 and sum(heights) <= 2_000 > max(heights)


@pytest.mark.parametrize(
    ("at", "landed", "value"),
    [
        (DAY, DAY, None),  # at the time itself: not before it
        (DAY - timedelta(microseconds=1), DAY, 7.0),  # known at that very time
        (DAY - timedelta(microseconds=1), DAY + timedelta(microseconds=1), None),
        (timedelta(), DAY, 7.0),  # at the start of the window
        (-timedelta(microseconds=1), DAY, None),
    ],
)
def test_a_window_has_its_start_and_not_its_end(
    at: timedelta, landed: timedelta, value: float | None
) -> None:
    events = pl.DataFrame(
        {"carrier": ["AA"], "at": [START + at], "landed": [START + landed], "late": [7]}
    )
    # 59 minutes later the store still has the values of the whole hour.
    rows = pl.DataFrame({"carrier": ["AA"], "scheduled": [START + DAY + timedelta(minutes=59)]})

    result = subject.joined(rows, [feature(events)], "scheduled", HERE)

    assert result["late_1d"].to_list() == [value]


def test_features_come_in_the_order_of_their_declaration_and_take_the_place_of_old_columns() -> (
    None
):
    rows, events = made(50)
    declared = [
        feature(events, source=events.lazy, name="b"),
        feature(events, name="c", cadence=DAY, aggregate=pl.len()),
        feature(events, source=events.lazy, name="a", window=HOUR, default=0.5),
    ]

    once = subject.joined(rows, declared, "scheduled", HERE)

    assert once.columns == [*rows.columns, "b", "c", "a"]
    for each in declared:
        alone = subject.joined(rows, [each], "scheduled", HERE)
        assert_frame_equal(once.select(alone.columns), alone)
    assert_frame_equal(subject.joined(once, declared, "scheduled", HERE), once)


def test_what_is_not_finite_gets_the_default() -> None:
    rows, events = made(50)
    endless = feature(events, aggregate=pl.len() / 0, default=3.0)

    assert subject.joined(rows, [endless], "scheduled", HERE)["late_1d"].unique().to_list() == [3.0]


def test_a_time_with_a_zone_is_compared_in_utc() -> None:
    events = pl.DataFrame(
        {"carrier": ["AA"], "at": [datetime(2026, 1, 1, 10, tzinfo=UTC)], "late": [1]}
    ).with_columns(pl.col("at").dt.convert_time_zone("America/New_York"))
    rows = pl.DataFrame({"carrier": ["AA"] * 2, "scheduled": [datetime(2026, 1, 1, 10)] * 2})
    rows = rows.with_columns(
        pl.col("scheduled").dt.replace_time_zone("UTC").dt.offset_by(pl.Series(["0h", "1h"]))
    )

    result = subject.joined(rows, [feature(events, known=None)], "scheduled", HERE)

    assert result["late_1d"].to_list() == [None, 1.0]
    naive = rows.with_columns(pl.col("scheduled").dt.replace_time_zone(None))
    with pytest.raises(EntityFeatureError, match="one has a time zone and the other has none"):
        subject.joined(naive, [feature(events, known=None)], "scheduled", HERE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "no/such/*.parquet"}, "cannot be computed"),
        ({"source": lambda: 3}, "got a int; expected a Polars frame"),
        ({"entity": ["tail"]}, "`tail`, which is not a column of the rows"),
        ({"time": "takeoff"}, "its events have no column `takeoff`"),
        ({"aggregate": pl.col("x").sum()}, "cannot be computed"),
    ],
)
def test_what_cannot_be_computed_is_reported_in_one_sentence(
    changed: dict[str, Any], message: str
) -> None:
    rows, events = made(10)

    with pytest.raises(EntityFeatureError, match=message) as raised:
        subject.joined(rows, [feature(events, **changed)], "scheduled", HERE)

    assert "`late_1d`" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"window": timedelta()},
        {"cadence": -HOUR},
        {"entity": []},
        {"aggregate": 3},
        {"source": 3},
        {"lead": -HOUR},
    ],
)
def test_a_declaration_that_means_nothing_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="EntityFeature `late_1d`: "):
        feature(pl.DataFrame(), **changed)


def test_the_fingerprint_follows_what_the_stored_values_depend_on() -> None:
    events = pl.DataFrame()
    first = feature(events)

    for name, value in {
        "name": "other",
        "time": "landed",
        "known": None,
        "aggregate": pl.col("late").max(),
        "window": HOUR,
        "cadence": DAY,
        "zone": "Europe/Berlin",
        "source": "events.parquet",
    }.items():
        assert feature(events, **{name: value}).fingerprint() != first.fingerprint(), name
    for name, value in {"default": 1.0, "max_age": DAY, "lead": HOUR, "owner": "us"}.items():
        assert feature(events, **{name: value}).fingerprint() == first.fingerprint(), name


MICROS = 3_600_000_000  # of an hour
EPOCH = datetime(1970, 1, 1)
DAILY = RowTime(
    "at",
    6 * MICROS,
    24 * MICROS,
    "America/New_York",
    24 * MICROS,
    24 * MICROS,
)


@pytest.mark.parametrize(
    "kind",
    [pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin"), pl.Date()],
    ids=str,
)
def test_the_time_is_rounded_down_as_in_training(kind: pl.DataType) -> None:
    times = [datetime(2026, 7, 1) + n * timedelta(hours=5) for n in range(-20, 20)]
    rows = pl.DataFrame({"at": pl.Series(times).cast(pl.Datetime("us", "UTC")).cast(kind)})
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        rows = pl.DataFrame({"at": pl.Series(times, dtype=kind)})

    for at, needed in zip(rows["at"], DAILY.needed(rows), strict=True):
        moment = datetime(at.year, at.month, at.day) if isinstance(at, date) else at
        if isinstance(at, datetime):
            moment = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
        made = moment - timedelta(hours=6)
        assert EPOCH + timedelta(microseconds=int(needed)) == datetime(
            made.year, made.month, made.day
        )


def test_the_ends_are_allowed_and_a_missing_time_is_not() -> None:
    as_of = int(datetime(2026, 7, 1, 4, tzinfo=UTC).timestamp() * 1e6)
    days = [datetime(2026, 7, 1, 6) + n * timedelta(days=1) for n in range(-2, 3)]
    rows = pl.DataFrame({"at": [*days, None]})

    differs = DAILY.differs(rows, as_of)

    assert np.array_equal(differs, [True, False, False, False, True, True])


@pytest.mark.parametrize(
    ("max_age", "older", "newer"), [(None, 2, 2), (3_600.0, 1, 1), (36_000.0, 10, 2)]
)
def test_the_cadence_bounds_how_much_newer_a_value_may_be(
    max_age: float | None, older: int, newer: int
) -> None:
    feature = {"name": "a", "max_age_seconds": max_age, "at": "at", "lead_seconds": 0.0}
    view = {"cadence_seconds": 3_600.0, "zone": "UTC", "features": [feature]}

    assert times_of(view) == [RowTime("at", 0, MICROS, "UTC", older * MICROS, newer * MICROS)]
