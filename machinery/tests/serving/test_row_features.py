"""Features of one row computed in Python equal those of polars, bit for bit, or are polars' to compute."""

from datetime import UTC, date, datetime
from operator import add, eq, floordiv, ge, lt, mod, mul, ne, sub, truediv
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung_ops.row_values import RowValues, frame_of
from rung_ops.serving import row_functions
from rung_ops.serving.row_code import UntranslatedError
from rung_ops.serving.row_features import RowFeatures, row_features

SCHEMA: dict[str, pl.DataType] = {
    "small": pl.Int8(),
    "whole": pl.Int64(),
    "unsigned": pl.UInt16(),
    "single": pl.Float32(),
    "number": pl.Float64(),
    "flag": pl.Boolean(),
    "text": pl.String(),
    "day": pl.Date(),
    "at": pl.Datetime("us"),
    "utc": pl.Datetime("us", "UTC"),
}
NULLABLE = ["small", "number", "flag", "text", "at"]
ROWS = pl.DataFrame(
    [
        [
            5,
            100,
            7,
            0.1,
            2.5,
            True,
            "JFK",
            date(2013, 1, 1),
            datetime(2013, 3, 1, 8, 7),
            datetime(2013, 3, 1),
        ],
        [
            -3,
            -1,
            0,
            1.5,
            0.0,
            False,
            "",
            date(2012, 2, 29),
            datetime(2013, 12, 31, 23, 59),
            datetime(2014, 1, 1),
        ],
        [None, 3, 9, 2.0, None, None, None, date(2000, 1, 1), None, datetime(1999, 1, 1)],
    ],
    pl.Schema(SCHEMA),
    orient="row",
)


def made(*expressions: pl.Expr, rows: pl.DataFrame = ROWS) -> RowFeatures:
    return row_features(
        [e.alias(f"f{n}") for n, e in enumerate(expressions)], SCHEMA, NULLABLE, rows
    )


hour = pl.col("at").dt.hour()
clock = hour + pl.col("at").dt.minute() / 60
TRANSLATED = {
    "columns": pl.col("text"),
    "singles": pl.col("single"),
    "sums": pl.col("small") + pl.col("whole") * 2 - 1,
    "times of the day": clock,
    "angles": (clock * (2 * 3.14159 / 24)).sin().round(6),
    "logarithms": (pl.col("number") + 0.5).log() + pl.col("number").log1p(),
    "roots": pl.col("number").abs().sqrt(),
    "quotients": pl.col("number") / pl.col("whole"),
    "whole quotients": pl.col("whole") // 7 + pl.col("whole") % 7,
    "texts": pl.col("text") + "-" + pl.col("text").str.to_lowercase(),
    "lengths": pl.col("text").str.len_chars(),
    "beginnings": pl.col("text").str.starts_with("J"),
    "comparisons": pl.col("number") >= 1.5,
    "comparisons beyond the type": pl.col("small") < 1500,
    "booleans": (pl.col("flag") & (pl.col("small") > 0)) | ~pl.col("flag"),
    "casts": (pl.col("day").dt.weekday() >= 6).cast(pl.Int8),
    "branches": pl.when(hour < 6)
    .then(pl.lit("night"))
    .when(hour < 12)
    .then(pl.lit("day"))
    .otherwise(None),
    "nulls": pl.col("number").fill_null(-1) + pl.col("small").is_null().cast(pl.Float64),
    "members": pl.col("text").is_in(["JFK", "LGA"]),
    "look-ups": pl.col("text").replace_strict({"JFK": 1, "": 2}, default=0),
    "limits": pl.col("number").clip(0, 10) + pl.col("whole").clip(-5, 5),
    "between": pl.col("unsigned").is_between(1, 7),
    "days": pl.col("day").dt.ordinal_day() + pl.col("day").dt.year(),
    "weeks": pl.col("utc").dt.week() + pl.col("utc").dt.quarter(),
    "first known": pl.coalesce(pl.col("number"), pl.col("whole").cast(pl.Float64), 0.0),
}


@pytest.mark.parametrize("expression", TRANSLATED.values(), ids=TRANSLATED)
def test_features_are_translated(expression: pl.Expr) -> None:
    features = made(expression)

    rows = [features.compute(*row) for row in ROWS.rows()]
    computed = frame_of([RowValues(rows, features.layout)])

    assert computed.equals(ROWS.select(expression.alias("f0")))


REFUSED = {
    "aggregates": pl.col("number") - pl.col("number").mean(),
    "functions of their own": pl.col("number").map_elements(lambda x: x, return_dtype=pl.Float64),
    "floats of 32 bits": pl.col("single") * 3,
    "patterns": pl.col("text").str.extract("(J.)"),
    "times": pl.col("at"),
    "casts of texts": pl.col("text").cast(pl.Int64, strict=False),
    "windows": pl.col("number").sum().over("text"),
}


@pytest.mark.parametrize("expression", REFUSED.values(), ids=REFUSED)
def test_what_is_not_known_to_be_equal_is_refused(expression: pl.Expr) -> None:
    with pytest.raises(UntranslatedError, match="f0"):
        made(expression)


def test_a_time_without_an_offset_is_in_utc() -> None:
    features = made(pl.col("utc").dt.hour())

    for moment in ("2013-03-01T08:00:00", "2013-03-01T10:00:00+02:00"):
        row = [*ROWS.rows()[0][:-1], datetime.fromisoformat(moment)]
        assert features.compute(*row) == (8,)


@pytest.mark.parametrize("value", [128, None])
def test_what_a_row_decides_is_left_to_polars(value: int | None) -> None:
    features = made(pl.col("whole").cast(pl.Int8), pl.col("number").fill_null(1.0) / 2)
    rows = [(*row[:1], value, *row[2:]) for row in ROWS.rows()]

    assert features.of(RowValues(rows, features.layout)) is None


def test_a_difference_refuses_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(row_functions.PARTS, "Hour", "{}.minute")

    with pytest.raises(UntranslatedError, match="`f0` differs"):
        made(hour)


def test_division_gives_what_training_saw() -> None:
    minutes = pl.DataFrame({"small": range(60)}, {"small": pl.Int8()})
    rows = pl.concat([ROWS.head(1)] * 60).with_columns(minutes["small"])
    features = made(pl.col("small") / 60)

    computed = [features.compute(*row)[0] for row in rows.rows()]

    assert computed == rows.select(pl.col("small") / 60).to_series().to_list()


def _each(*names: str) -> st.SearchStrategy[pl.Expr]:
    return st.sampled_from(names).map(pl.col)


def _of(make: Any, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[pl.Expr]:
    return st.tuples(*parts).map(lambda some: make(*some))


whole_numbers = st.integers(-300, 300) | st.sampled_from([2**31, 2**53 + 1])
real_numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e300, 0.1])
literals = (whole_numbers | real_numbers).map(pl.lit)
numbers: st.SearchStrategy[pl.Expr] = st.deferred(
    lambda: (
        _each("small", "whole", "unsigned", "number")
        | _of(lambda sign, a, b: sign(a, b), signs, numbers, numbers | literals)
        | _of(lambda sign, a, b: sign(a, b), signs, literals, numbers)
        | numbers.map(lambda a: a.abs())
        | numbers.map(lambda a: -a)
        | numbers.map(lambda a: a.round(2))
        | numbers.map(lambda a: a.sqrt())
        | numbers.map(lambda a: a.log())
        | numbers.map(lambda a: a.sin())
        | numbers.map(lambda a: a.clip(-7, 90))
        | _of(lambda a, dtype: a.cast(dtype), numbers | truths, types)
        | _of(lambda a, b: a.fill_null(b), numbers, numbers | literals)
        | _of(lambda a, b: pl.coalesce(a, b), numbers, numbers | literals)
        | _of(lambda t, a, b: pl.when(t).then(a).otherwise(b), truths, numbers, literals)
        | _of(lambda t, a: pl.when(t).then(a), truths, numbers | literals)
        | texts.map(lambda a: a.str.len_chars())
        | texts.map(lambda a: a.replace_strict({"JFK": 1, "a": 3}, default=-1))
        | st.sampled_from(sorted(row_functions.PARTS)).map(moments)
    )
)
signs = st.sampled_from([add, sub, mul, truediv, floordiv, mod])
types = st.sampled_from([pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt64, pl.Float64])
truths: st.SearchStrategy[pl.Expr] = st.deferred(
    lambda: (
        _each("flag")
        | _of(lambda sign, a, b: sign(a, b), tests, numbers, numbers | literals)
        | _of(lambda a, b: a != b, texts, texts)
        | _of(lambda a, b: a <= b, texts, texts)
        | _of(lambda a, b: a & b, truths, truths)
        | _of(lambda a, b: a | b, truths, truths)
        | truths.map(lambda a: ~a)
        | (numbers | texts).map(lambda a: a.is_null())
        | texts.map(lambda a: a.is_in(["JFK", "", "Ä"]))
        | numbers.map(lambda a: a.is_in([1, 5, 7]))
        | _of(lambda a, b, c: a.is_between(b, c), numbers, literals, numbers)
    )
)
tests = st.sampled_from([lt, ge, eq, ne])
texts: st.SearchStrategy[pl.Expr] = st.deferred(
    lambda: (
        _each("text")
        | _of(lambda a, b: a + b, texts, texts)
        | _of(lambda a, b: a + pl.lit(b), texts, st.sampled_from(["", "JFK", "Ä"]))
        | texts.map(lambda a: a.str.to_lowercase())
        | _of(lambda a, b: a.fill_null(b), texts, texts)
        | _of(lambda t, a, b: pl.when(t).then(a).otherwise(b), truths, texts, texts)
        | numbers.map(lambda a: a.cast(pl.String))
    )
)


def moments(part: str) -> pl.Expr:
    names = {"WeekDay": "weekday", "OrdinalDay": "ordinal_day"}
    column = pl.col("at" if part in ("Hour", "Minute", "Second") else "day")
    return getattr(column.dt, names.get(part, part.lower()))()


MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "small": st.none() | st.integers(-128, 127),
    "whole": st.integers(-400, 400) | st.integers(-(2**63), 2**63 - 1),
    "unsigned": st.integers(0, 2**16 - 1),
    "single": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "number": st.none() | real_numbers | st.floats(allow_nan=False),
    "flag": st.none() | st.booleans(),
    "text": st.none() | st.sampled_from(["", "JFK", "a", "Ä", "ZZ top"]),
    "day": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "at": st.none() | MOMENTS,
    "utc": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
}


@settings(
    max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(numbers | truths | texts, st.lists(st.tuples(*CELLS.values()), min_size=2, max_size=8))
def test_random_expressions_equal_polars_or_are_refused(expression: pl.Expr, cells: Any) -> None:
    rows = pl.DataFrame(cells, pl.Schema(SCHEMA), orient="row")
    try:
        made(expression, rows=pl.concat([ROWS, rows]))
    except UntranslatedError as error:
        assert "differs" not in str(error) and "fails" not in str(error), str(expression)
    except pl.exceptions.PolarsError:
        pass  # no feature of this type
