"""A time means the same, or is refused, wherever it comes in: service, table, file, warehouse."""

import io
import json
from datetime import UTC, datetime

import pandera.polars as pa
import polars as pl
import pyarrow
from hypothesis import given, settings
from hypothesis import strategies as st

from rung_ops.contract.row_checks import inspect
from rung_ops.data.warehouse import pull as warehouse
from rung_ops.model.columns import Column, columns_of, time_zone
from rung_ops.model.rows import Reader, Refusal

SECONDS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
OFFSETS = st.sampled_from(["", "Z", "+00:00", "-12:00", "-05:00", "+05:30", "+14:00"])
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "Asia/Karachi"])
UNITS = st.sampled_from(["ms", "us", "ns"])


def column(dtype: pl.Datetime) -> Column:
    kind = f"Datetime(time_unit='{dtype.time_unit}', time_zone={dtype.time_zone!r})"
    entry = {"name": "at", "dtype": "datetime", "polars": kind, "required": True}
    return columns_of({"columns": [entry]})[0]


def by_service(text: str, dtype: pl.Datetime) -> datetime | None:
    """Send it as JSON; None if it is refused."""
    reader = Reader([column(dtype)])
    try:
        rows = reader.many(json.dumps([{"at": text}]).encode(), 1)
    except Refusal as refusal:
        assert "row 1, column `at`: expected a time without an offset" in str(refusal)
        return None
    return moment(reader.table(rows).frame["at"])


def by_table(text: str, dtype: pl.Datetime) -> datetime | None:
    """Send it as a column of JSON; None if it is refused."""
    try:
        table = Reader([column(dtype)]).columnar(
            json.dumps({"columns": {"at": [text]}}).encode(), 1
        )
    except Refusal as refusal:
        assert "expected a time without an offset" in str(refusal)
        return None
    return moment(table.frame["at"])


def by_file(read: pl.Series, dtype: pl.Datetime) -> datetime | None:
    """Ingest or predict it; None if the file is refused."""
    schema = pa.DataFrameSchema({"at": pa.Column(dtype)})
    typed, problems = inspect(read.to_frame(), schema, "new.csv")
    if problems:
        assert "column `at` holds times with an offset" in str(problems[0])
        assert "(row 1: " in str(problems[0])
        return None
    return moment(typed["at"])


def refused_by_warehouse(read: pl.Series, dtype: pl.Datetime) -> bool:
    result = warehouse.column_types(pyarrow.schema([pyarrow.field("at", read.to_arrow().type)]))
    return bool(warehouse.column_differences(result, {"at": dtype}, {}, "", None))


def moment(values: pl.Series) -> datetime:
    """Tell which moment a column holds; one without a zone counts as UTC."""
    value: datetime = values.cast(pl.Datetime("us", time_zone(values.dtype)))[0]
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


@settings(deadline=None)  # a busy machine is slower than its 200 ms
@given(at=SECONDS, offset=OFFSETS, zone=ZONES, unit=UNITS)
def test_every_way_in_gives_the_same_moment_or_refuses(
    at: datetime, offset: str, zone: str | None, unit: str
) -> None:
    text, dtype = f"{at.isoformat()}{offset}", pl.Datetime(unit, zone)  # type: ignore[arg-type]
    read = pl.read_csv(io.StringIO(f"at\n{text}\n"), try_parse_dates=True)["at"]

    answers = {by_service(text, dtype), by_table(text, dtype), by_file(read, dtype)}

    expected = None if offset and not zone else datetime.fromisoformat(text)
    if expected is not None and expected.tzinfo is None:
        expected = expected.replace(tzinfo=UTC)
    assert answers == {expected}
    assert refused_by_warehouse(read, dtype) == (expected is None)
