"""Tables, as columns of JSON, are checked against the same contract as rows."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from machinery.tests.serving.calls import PLAIN, ROW, Caller, calling
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import Reader, Refusal
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


def test_an_unknown_column_is_named_where_the_service_is_strict(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(strict=True)) as strict:
        strict.install()
        answer = strict.post("/predict/batch", {"columns": COLUMNS | {"colour": [1] * 3}})

    assert answer.json["error"] == "column `colour`: is not a column of the contract"


def cases(dtype: str, polars: str, rules: dict[str, Any], values: list[Any]) -> Any:
    column = PLAIN | {"name": "x", "dtype": dtype, "polars": polars, "required": False} | rules
    return column, values


@pytest.mark.parametrize(
    ("column", "values"),
    [
        cases("int", "Int8", {"gt": 0, "lt": 100}, [-1, 0, 1, 99, 100, 127, 128, 2**40]),
        cases("int", "UInt64", {"ge": 5}, [0, 4, 5, 2**63, 2**64 - 1]),
        cases("int", "Int32", {"isin": [1, 2]}, [0, 1, 2, 3]),
        cases("float", "Float64", {"ge": 0.1, "le": 0.3}, [0.0, 0.1, 0.2, 0.3, 0.31]),
        cases("float", "Float32", {"le": 0.1}, [0.1, 0.11, -1e38, 1e39, -1e39]),
        cases("bool", "Boolean", {"isin": [True]}, [True, False]),
        cases("str", "String", {"min_length": 2, "max_length": 3}, ["", "é", "éé", "ééé", "éééé"]),
        cases("str", "String", {"pattern": r"\d{2}$"}, ["12", "a12", "1", "12\n", "٣٤"]),
        cases("str", "String", {"pattern": "^(a+)+$"}, ["aaa", "b", "a" * 30 + "b"]),
        cases("str", "String", {"ge": "b"}, ["a", "b", "ba"]),
        cases(
            *("date", "Date", {"ge": "2026-01-01", "isin": ["2025-12-31", "2026-01-02"]}),
            [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)],
        ),
        cases(
            *("datetime", "Datetime(time_unit='ms', time_zone=None)"),
            *(
                {"lt": "2026-01-01T00:00:00"},
                [datetime(2025, 12, 31, 23, 59), datetime(2026, 1, 1)],
            ),
        ),
        cases(
            *("datetime", "Datetime(time_unit='ns', time_zone='Europe/Berlin')", {}),
            [datetime(2026, 1, 1), datetime(9999, 1, 1), datetime(1500, 1, 1)],
        ),
    ],
)
def test_rows_and_columns_get_the_same_verdict(column: dict[str, Any], values: list[Any]) -> None:
    reader = Reader(columns_of({"columns": [column]}))

    def verdict(read: Any) -> Any:
        try:
            return read()["x"].to_list()
        except Refusal as refusal:
            return refusal.status, refusal.row, refusal.column

    for value in values:
        row = msgspec.json.encode({"x": value})
        listed = msgspec.json.encode({"columns": {"x": [value]}})
        by_row = verdict(lambda row=row: reader.table([reader.one(row)]).frame)
        by_column = verdict(lambda listed=listed: reader.columnar(listed, 1).frame)

        assert by_row == by_column, value
