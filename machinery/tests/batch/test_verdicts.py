"""A value keeps the contract everywhere or nowhere: training and batch, rows, tables, the monitor."""

import json
import math
from datetime import UTC, date, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rung_ops.contract.row_checks import inspect
from rung_ops.model.columns import INTEGERS, columns_of, family_of
from rung_ops.model.rows import Reader, Refusal
from rung_ops.monitoring.inputs import violations
from rung_ops.release import contract_file

PATTERNS = [
    *(r"^\d{3}$", "abc$", r"^(\w+\s?)*$", r"^[A-Z]{2}\w*$", "a|b", r"^a?+$", r"^.$", r"^\S+$"),
    *("(?i)^ab", r"^[^\W\d_]+$", r"^\w\W?$", "a+b", r"^a{1,3}b{0,2}$", r"\<a", "^[]a]+$", ""),
    *(r"^(?:ab?){2}$", r"^a\s$", "^a$|^b$", "^ä+$", r"^a\.b$", "^[a-c&&[^b]]$"),
]
LETTERS = st.text("aAbB1_. \n\t\x1c²\u0301ßä😀-", max_size=8)
TEXTS = LETTERS | st.sampled_from(["abc\n", "abc", "a" * 27 + "!", "123", "123\n", "٣٣٣", "a\r"])
DTYPES = st.sampled_from(
    [
        *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32()),
        *(pl.UInt64(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.Date()),
        *[pl.String()] * 8,  # they have the most rules
        *(pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("us", "UTC")),
    ]
)
# What a file or a table may hold a value of the type in.
WIDE = {"int": pl.Int64(), "float": pl.Float64()}


def values_of(dtype: pl.DataType) -> st.SearchStrategy[Any]:
    """Draw values of a type, and whole numbers beyond it."""
    if dtype.is_integer():
        least, most = INTEGERS[str(dtype)]
        edges = (least - 1, least, -1, 0, 1, most, most + 1)
        inside = [edge for edge in edges if -(2**63) <= edge < 2**63]
        return st.sampled_from(inside) | st.integers(-200, 200)
    if dtype.is_float():
        width = 32 if dtype == pl.Float32 else 64
        few = st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, 2.0**53])
        return few | st.floats(width=width, allow_infinity=False, allow_nan=False)
    if dtype == pl.Boolean:
        return st.booleans()
    if dtype == pl.Date:
        return st.dates(date(2023, 12, 30), date(2024, 1, 3))
    if dtype == pl.String:
        return TEXTS
    moments = st.datetimes(datetime(2023, 12, 31), datetime(2024, 1, 1)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    )
    return moments.map(lambda m: m.replace(tzinfo=UTC)) if dtype.time_zone else moments  # type: ignore[attr-defined]


@st.composite
def ruled(draw: Any) -> tuple[pa.Column, list[Any]]:
    """Draw a column with rules, and values for it."""
    dtype = draw(DTYPES)
    inside = values_of(dtype)
    if dtype.is_integer():
        least, most = INTEGERS[str(dtype)]
        inside = inside.filter(lambda value: least <= value <= most)
    checks = []
    if dtype != pl.Boolean:
        for check in (pa.Check.ge, pa.Check.gt, pa.Check.le, pa.Check.lt):
            if draw(st.integers(0, 3)) == 0:
                checks.append(check(draw(inside)))
    exact = inside.filter(lambda v: dtype != pl.Float32 or v in (0.0, 0.5, 1.0))
    if draw(st.integers(0, 4)) == 0:
        checks.append(pa.Check.isin(draw(st.lists(exact, min_size=1, max_size=3))))
    if dtype == pl.String:
        if draw(st.booleans()):
            checks.append(pa.Check.str_matches(draw(st.sampled_from(PATTERNS))))
        elif draw(st.booleans()):
            checks.append(pa.Check.str_contains(draw(st.sampled_from(PATTERNS))))
        if draw(st.integers(0, 3)) == 0:
            checks.append(pa.Check.str_length(draw(st.integers(0, 2)), draw(st.integers(2, 5))))
    column = pa.Column(dtype, checks, nullable=draw(st.booleans()))
    missing = [None, math.nan] if dtype.is_float() else [None]
    values = draw(st.lists(values_of(dtype) | st.sampled_from(missing), min_size=1, max_size=4))
    return column, values


def entry_of(column: pa.Column) -> dict[str, Any]:
    """Write the column into the contract of a release."""
    schema = pa.DataFrameSchema({"x": column, "y": pa.Column(bool)})
    dataset = ModuleType("dataset")
    row = SimpleNamespace(to_schema=lambda: schema)
    vars(dataset).update(Row=row, TARGET="y", TIME=None)
    rows = pl.DataFrame(
        {"x": [None], "y": [None]}, schema={"x": column.dtype.type, "y": pl.Boolean}
    )
    features = pl.DataFrame({"f": [1]})
    entry = contract_file.contract(dataset, features, rows, "classification", "y")["columns"][0]
    return json.loads(json.dumps(entry))  # type: ignore[no-any-return]


def by_training(column: pa.Column, values: pl.Series) -> bool:
    """Whether training and batch take a value; batch scores by the same call."""
    return not inspect(values.to_frame(), pa.DataFrameSchema({"x": column}), "new.csv")[1]


def by_service(entry: dict[str, Any], value: Any, as_table: bool) -> bool:
    """Whether the service takes it in a row, or in a table."""
    text = value.isoformat() if isinstance(value, date) else value
    reader = Reader(columns_of({"columns": [entry]}))
    try:
        if as_table:
            reader.columnar(json.dumps({"columns": {"x": [text]}}).encode(), 9)
        else:
            reader.one(json.dumps({"x": text}).encode())
    except Refusal:
        return False
    return True


def by_monitor(entry: dict[str, Any], values: pl.Series) -> bool:
    """Whether the monitor finds nothing wrong with it in the log."""
    return violations(values.to_frame(), [entry]).is_empty()


@settings(deadline=None, max_examples=1000)  # a busy machine is slower than its 200 ms
@given(ruled())
@example((pa.Column(pl.Int16(), pa.Check.ge(0)), [99_999]))
@example((pa.Column(pl.Float64(), pa.Check.le(5), nullable=True), [math.nan]))
@example((pa.Column(pl.String(), pa.Check.str_matches("a|b")), ["xb", "b"]))
@example((pa.Column(pl.String(), pa.Check.str_matches("^a?+$")), ["aa"]))
def test_a_value_is_taken_everywhere_or_nowhere(drawn: tuple[pa.Column, list[Any]]) -> None:
    column, values = drawn
    dtype = column.dtype.type
    entry = entry_of(column)
    unsigned = dtype == pl.UInt64 and max(v or 0 for v in values) >= 2**63
    held = pl.UInt64() if unsigned else WIDE.get(family_of(dtype), dtype)
    for value in values:
        series = pl.Series("x", [value], dtype=held)
        verdicts = {
            "training": by_training(column, series),
            "row": by_service(entry, None if value != value else value, as_table=False),
            "table": by_service(entry, None if value != value else value, as_table=True),
            "monitor": by_monitor(entry, series),
        }
        assert len(set(verdicts.values())) == 1, (value, entry, verdicts)


def test_the_bounds_of_a_narrow_type_are_named() -> None:
    entry = entry_of(pa.Column(pl.Int16(), pa.Check.ge(0)))

    with pytest.raises(Refusal, match="a whole number, at least 0, at most 32767$"):
        Reader(columns_of({"columns": [entry]})).one(b'{"x": 99999}')
    found = violations(pl.DataFrame({"x": [99_999]}), [entry])
    assert found["rule"].to_list() == ["at most 32767"]


@pytest.mark.parametrize("pattern", [r"^(\w+\s?)*$", "a+b", r"^(a|a)*$", "^a{0,99}a{0,99}a{0,99}$"])
def test_no_pattern_takes_longer_than_linear_time(pattern: str) -> None:
    """Python's engine would not end within the life of this test."""
    entry = entry_of(pa.Column(pl.String(), pa.Check.str_matches(pattern)))
    text = "a" * 100_000 + "!"

    assert not by_service(entry, text, as_table=False)
    assert not by_service(entry, text, as_table=True)
    assert not by_monitor(entry, pl.Series("x", [text]))
