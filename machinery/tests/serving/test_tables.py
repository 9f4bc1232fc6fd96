"""Rows and columns of JSON become tables of the contract's types, or are refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from machinery.tests.serving.calls import CONTRACT, MOMENT, PLAIN, ROW, Caller, calling
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import FEW, Reader, Refusal
from rung_ops.project.service_settings import Limits

MOST = 1000
COLUMNS = {name: [value] * 3 for name, value in ROW.items()} | {"number": [1, 2, 3]}


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """A service that answers with release v1."""
    with calling(tmp_path, Limits(max_rows=MOST)) as made:
        made.install()
        yield made


def test_columns_are_answered(caller: Caller) -> None:
    body = {"columns": COLUMNS | {"weight": [1.0, None, 3.0], "note": ["x"] * 3}}
    answer = caller.post("/predict/batch", body, x_request_id="mine")

    assert answer.status == 200
    assert answer.json == {
        "release": "v1",
        "predictions": [1.0, 4.0, 9.0],
        "ids": ["mine-1", "mine-2", "mine-3"],
        "defaults_used": {"weight": [2]},
    }


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "has no `columns`"),
        ({"columns": {}}, 422, "column `"),
        ({"columns": {n: v for n, v in COLUMNS.items() if n != "code"}}, 422, "is missing"),
        ({"columns": COLUMNS | {"number": [1]}}, 422, "holds 3 values, and `number` holds 1"),
        ({"columns": COLUMNS | {"number": [1, 2, 300]}}, 422, "row 3, column `number`"),
        ({"columns": COLUMNS | {"number": [1, None, 3]}}, 422, "row 2, column `number`"),
        ({"columns": {name: [] for name in COLUMNS}}, 422, "no rows"),
        ({"columns": {n: [v] * 1001 for n, v in ROW.items()}}, 413, "at most 1,000 are allowed"),
        (b"{", 400, "not JSON"),
    ],
)
def test_columns_that_break_the_contract_are_refused(
    caller: Caller, body: Any, status: int, message: str
) -> None:
    answer = caller.post("/predict/batch", body)

    assert answer.status == status
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"]
)
def test_another_media_type_is_refused_with_what_to_send(caller: Caller, kind: str) -> None:
    answer = caller.post("/predict/batch", b"ARROW1\x00\x00", kind)

    assert answer.status == 415
    assert answer.json["error"] == (
        f"{kind} is not supported: send the columns as application/json, "
        '{"columns": {name: [values]}}.'
    )


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


def test_a_long_text_is_not_repeated_in_the_refusal(reader: Reader) -> None:
    with pytest.raises(
        Refusal, match=r"row 1, column `kind`: .*\.\.\.; expected one of a, b"
    ) as refused:
        reader.one(msgspec.json.encode(ROW | {"kind": "a" * 10_000}))
    assert len(refused.value.message) < 300


UTC_MOMENT = MOMENT.replace("None", "'UTC'")


@pytest.mark.parametrize("rules", [{}, {"isin": ["2026-01-31T08:00:00"]}])
def test_a_column_with_a_time_zone_takes_any_offset_and_one_without_takes_none(rules: Any) -> None:
    zoned, plain = (
        Reader(columns_of({"columns": [PLAIN | {"name": "at", "dtype": "datetime"} | rest]}))
        for rest in ({"polars": UTC_MOMENT}, {"polars": MOMENT} | rules)
    )
    texts = ["2026-01-31T08:00:00", "2026-01-31T08:00:00Z", "2026-01-31T10:00:00.5+02:00"]
    rows = zoned.many(encoded([{"at": text} for text in texts]), 3)

    eight = datetime(2026, 1, 31, 8, tzinfo=UTC)
    expected = [eight, eight, eight + timedelta(milliseconds=500)]
    assert zoned.table(rows).frame["at"].to_list() == expected
    assert plain.many(encoded([{"at": texts[0]}]), 1)
    for text in texts[1:]:
        with pytest.raises(Refusal, match="row 1, column `at`: expected "):
            plain.many(encoded([{"at": text}]), 1)


def test_a_time_that_nanoseconds_do_not_hold_is_refused() -> None:
    kind = "Datetime(time_unit='ns', time_zone='Europe/Berlin')"
    reader = Reader(
        columns_of({"columns": [PLAIN | {"name": "at", "dtype": "datetime", "polars": kind}]})
    )

    assert reader.one(b'{"at": "2026-01-01T00:00:00"}')
    for year in (b"1500", b"9999"):
        at = b'"%b-01-01T00:00:00"' % year
        with pytest.raises(Refusal, match="column `at`"):
            reader.one(b'{"at": %b}' % at)
        with pytest.raises(Refusal, match="column `at`"):
            reader.columnar(b'{"columns": {"at": [%b]}}' % at, 1)


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
