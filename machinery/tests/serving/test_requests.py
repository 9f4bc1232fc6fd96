"""Rows of JSON become a frame of the contract's types."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest

from machinery.tests.serving.calls import CONTRACT, MOMENT, PLAIN, ROW
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import FEW, Reader, Refusal, by_row


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(columns_of(CONTRACT), CONTRACT["key"])


def encoded(rows: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(rows)


def test_few_and_many_rows_become_the_same_frame(reader: Reader) -> None:
    rows = [ROW | {"number": 1 + n % 90, "weight": None if n % 3 else 1.5} for n in range(FEW + 50)]
    many = reader.table(reader.many(encoded(rows), 1000))
    few = [reader.table(reader.many(encoded(rows[at : at + 7]), 7)) for at in range(0, FEW + 50, 7)]

    assert many.frame.equals(pl.concat([table.frame for table in few]))
    assert many.frame.schema == few[0].frame.schema
    assert many.missing["weight"] == [n for n in range(FEW + 50) if n % 3]
    assert few[0].missing["weight"] == [1, 2, 4, 5]


def test_defaults_are_filled_in_and_named_by_row(reader: Reader) -> None:
    rows = [ROW, ROW | {"weight": 1.0, "note": "x"}, ROW | {"note": "y"}]
    table = reader.table(reader.many(encoded(rows), 3))

    assert table.frame["weight"].to_list() == [2.0, 1.0, 2.0]
    assert table.frame["note"].to_list() == [None, "x", "y"]
    assert by_row(table.missing, 3) == [["weight", "note"], [], ["weight"]]


def test_a_long_text_is_not_repeated_in_the_refusal(reader: Reader) -> None:
    with pytest.raises(
        Refusal, match=r"row 1, column `kind`: .*\.\.\.; expected one of a, b"
    ) as refused:
        reader.one(msgspec.json.encode(ROW | {"kind": "a" * 10_000}))
    assert len(refused.value.message) < 300


UTC_MOMENT = MOMENT.replace("None", "'UTC'")


def test_a_column_with_a_time_zone_takes_any_offset_and_none_for_utc() -> None:
    column = PLAIN | {"name": "at", "dtype": "datetime", "polars": UTC_MOMENT}
    reader = Reader(columns_of({"columns": [column]}))
    texts = ["2026-01-31T08:00:00", "2026-01-31T08:00:00Z", "2026-01-31T10:00:00.5+02:00"]
    rows = reader.many(encoded([{"at": text} for text in texts]), 3)

    eight = datetime(2026, 1, 31, 8, tzinfo=UTC)
    expected = [eight, eight, eight + timedelta(milliseconds=500)]
    assert reader.table(rows).frame["at"].to_list() == expected


@pytest.mark.parametrize("rules", [{}, {"isin": ["2026-01-31T08:00:00"]}])
@pytest.mark.parametrize("text", ["2026-01-31T08:00:00Z", "2026-01-31T10:00:00+02:00"])
def test_an_offset_is_refused_where_the_contract_has_none(text: str, rules: Any) -> None:
    column = PLAIN | {"name": "at", "dtype": "datetime", "polars": MOMENT} | rules
    reader = Reader(columns_of({"columns": [column]}))

    assert reader.many(encoded([{"at": "2026-01-31T08:00:00"}]), 1)
    with pytest.raises(Refusal, match="row 1, column `at`: expected "):
        reader.many(encoded([{"at": text}]), 1)


def test_the_key_tells_one_row_from_another(reader: Reader) -> None:
    keys = [reader.key([reader.one(msgspec.json.encode(ROW | {"number": n}))]) for n in (1, 2, 1)]
    table = reader.columnar(
        msgspec.json.encode({"columns": {name: [value] for name, value in ROW.items()}}), 1
    )

    assert keys[0] == keys[2] != keys[1]
    assert reader.key(table) == "7"


def test_a_column_may_be_called_anything() -> None:
    columns = [
        PLAIN | {"name": name, "dtype": "int", "polars": "Int64"}
        for name in ("from", "a b", "ä", "__class__", "columns")
    ]
    reader = Reader(columns_of({"columns": columns}))
    row = {column["name"]: number for number, column in enumerate(columns)}

    assert reader.table([reader.one(msgspec.json.encode(row))]).frame.to_dicts() == [row]
    with pytest.raises(Refusal, match=r"row 1, column `a b`: got `str`; expected a whole number"):
        reader.one(msgspec.json.encode(row | {"a b": "x"}))
