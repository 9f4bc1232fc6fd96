"""Features of one row computed in Python equal those of polars, bit for bit, or are polars' to compute."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from rung_ops.model import row_path
from rung_ops.model.row_path import RowFeatures, UntranslatedError, row_features
from rung_ops.model.rows import RowValues, frame_of

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
    {
        **{"small": [5, -3, None], "whole": [100, -1, 3], "unsigned": [7, 0, 9]},
        **{"single": [0.1, 1.5, 2.0], "number": [2.5, 0.0, None], "flag": [True, False, None]},
        "text": ["JFK", "", None],
        "day": [date(2013, 1, 1), date(2012, 2, 29), date(2000, 1, 1)],
        "at": [datetime(2013, 3, 1, 8, 7), datetime(2013, 12, 31, 23, 59), None],
        "utc": [datetime(2013, 3, 1), datetime(2014, 1, 1), datetime(1999, 1, 1)],
    },
    pl.Schema(SCHEMA),
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

    assert features.compute_rows(RowValues(rows, features.layout)) is None


def test_a_difference_refuses_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(row_path.PARTS, "Hour", "{}.minute")

    with pytest.raises(UntranslatedError, match="`f0` differs"):
        made(hour)


class Random:
    """Random expressions of a few nodes, and rows for them."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def number(self, depth: int) -> pl.Expr:
        if depth == 0 or self.draw.random() < 0.1:
            return pl.col(self.draw.choice(["small", "whole", "unsigned", "number"]))
        one = self.number(depth - 1)
        other = self.number(depth - 1) if self.draw.random() < 0.5 else self.literal()
        text, truth = self.text(depth - 1), self.truth(depth - 1)
        chosen: Callable[[], pl.Expr] = self.draw.choice(
            [
                *(lambda: one + other, lambda: one - other, lambda: one * other),
                *(lambda: one / other, lambda: one // other, lambda: one % other),
                *(lambda: other - one, lambda: other / one, lambda: -one, lambda: one.abs()),
                *(lambda: one.round(2), lambda: one.clip(-7, 90), lambda: one.sqrt()),
                *(lambda: one.log(), lambda: one.sin(), lambda: one.fill_null(other)),
                lambda: pl.coalesce(one, other),
                lambda: one.cast(self.draw.choice(TYPES)),
                lambda: truth.cast(self.draw.choice(TYPES)),
                lambda: pl.when(truth).then(one).otherwise(other),
                lambda: pl.when(truth).then(other),
                lambda: text.str.len_chars(),
                lambda: text.replace_strict({"JFK": 1, "a": 3}, default=-1),
                lambda: part_of_time(self.draw.choice(sorted(row_path.PARTS))),
            ]
        )
        return chosen()

    def truth(self, depth: int) -> pl.Expr:
        if depth <= 0:
            return pl.col("flag")
        one, other = (
            self.number(depth - 1),
            self.draw.choice([self.number(depth - 1), self.literal()]),
        )
        text, yes = self.text(depth - 1), self.truth(depth - 1)
        return self.draw.choice(
            [
                *(one < other, one >= other, one == other, one != other, text <= self.text(0)),
                *(yes & self.truth(depth - 1), yes | self.truth(depth - 1), ~yes, one.is_null()),
                *(text.is_in(["JFK", "", "Ä"]), one.is_in([1, 5, 7])),
                one.is_between(self.literal(), self.number(0)),
            ]
        )

    def text(self, depth: int) -> pl.Expr:
        if depth <= 0:
            return pl.col("text")
        one = self.text(depth - 1)
        return self.draw.choice(
            [
                *(
                    one + self.text(0),
                    one + pl.lit("Ä"),
                    one.str.to_lowercase(),
                    one.fill_null("x"),
                ),
                pl.when(self.truth(depth - 1)).then(one).otherwise(pl.lit("a")),
                self.number(depth - 1).cast(pl.String),
            ]
        )

    def literal(self) -> pl.Expr:
        return pl.lit(
            self.draw.choice([self.draw.randint(-300, 300), self.draw.uniform(-9, 9), 0, 2**31, 7])
        )

    def rows(self, count: int) -> pl.DataFrame:
        draw = self.draw
        columns: list[list[Any]] = [
            [draw.choice([None, draw.randint(-128, 127)]) for _ in range(count)],
            [draw.choice([draw.randint(-400, 400), draw.getrandbits(62)]) for _ in range(count)],
            [draw.getrandbits(16) for _ in range(count)],
            [draw.uniform(-9, 9) for _ in range(count)],
            [draw.choice([None, draw.uniform(-99, 99), draw.random()]) for _ in range(count)],
            [draw.choice([None, True, False]) for _ in range(count)],
            [draw.choice([None, "", "JFK", "a", "Ä", "ZZ top"]) for _ in range(count)],
            [date.fromordinal(draw.randint(600_000, 800_000)) for _ in range(count)],
            [draw.choice([None, self.moment()]) for _ in range(count)],
            [self.moment().replace(tzinfo=UTC) for _ in range(count)],
        ]
        named = zip(SCHEMA.items(), columns, strict=True)
        return pl.DataFrame([pl.Series(name, values, kind) for (name, kind), values in named])

    def moment(self) -> datetime:
        return datetime(1970, 1, 1) + timedelta(microseconds=self.draw.randint(-(10**15), 10**16))


TYPES = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt64, pl.Float64]


def part_of_time(part: str) -> pl.Expr:
    names = {"WeekDay": "weekday", "OrdinalDay": "ordinal_day"}
    column = pl.col("at" if part in ("Hour", "Minute", "Second") else "day")
    return getattr(column.dt, names.get(part, part.lower()))()


@pytest.mark.parametrize("seed", range(4))
def test_random_expressions_equal_polars_or_are_refused(seed: int) -> None:
    some = Random(seed)
    translated = 0
    for _ in range(50):
        make = some.draw.choice([some.number, some.number, some.truth, some.text])
        expression = make(some.draw.randint(1, 3))
        try:
            made(expression, rows=pl.concat([ROWS, some.rows(30)]))
            translated += 1
        except UntranslatedError as error:
            assert "differs" not in f"{error}" and "Python" not in f"{error}", str(expression)
        except pl.exceptions.PolarsError:
            pass  # polars has no feature of this type
    assert translated > 20
