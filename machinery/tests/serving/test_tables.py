"""Tables, as JSON columns or Arrow, are checked against the same contract as rows."""

import io
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from machinery.tests.serving.calls import CONTRACT, PLAIN, ROW, Caller, calling
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import Reader, Refusal
from rung_ops.project.service_settings import Limits
from rung_ops.serving.arrow import FORMS, ArrowReader
from rung_ops.serving.arrow_guard import Form

STREAM, FILE = FORMS
MOST = 1000
COLUMNS = {name: [value] * 3 for name, value in ROW.items()} | {"number": [1, 2, 3]}
TABLE = pl.DataFrame(
    {
        **{"number": [1, 2, 3], "kind": ["a", "b", "a"], "code": ["AB"] * 3},
        **{"at": [datetime(2026, 1, 31, 8)] * 3, "weight": [1.0, None, 3.0]},
    }
)


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """A service that answers with release v1."""
    with calling(tmp_path, Limits(max_rows=MOST)) as made:
        made.install()
        yield made


def arrow(table: pl.DataFrame, form: Form = "stream", **options: Any) -> bytes:
    """Write a table as Arrow."""
    written = io.BytesIO()
    (table.write_ipc_stream if form == "stream" else table.write_ipc)(written, **options)
    return written.getvalue()


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


@pytest.mark.parametrize(("kind", "read"), [(STREAM, pl.read_ipc_stream), (FILE, pl.read_ipc)])
def test_arrow_is_answered_in_its_own_form(caller: Caller, kind: str, read: Any) -> None:
    body = arrow(TABLE, FORMS[kind])
    answer = caller.post("/predict/batch", body, kind, x_request_id="mine")

    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["x-release"] == "v1"
    assert read(io.BytesIO(answer.body)).to_dict(as_series=False) == {
        "id": ["mine-1", "mine-2", "mine-3"],
        "prediction": [1.0, 4.0, 9.0],
        "defaults_used": [["note"], ["weight", "note"], ["note"]],
    }


def test_arrow_of_another_library_is_read(caller: Caller) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(TABLE.to_dicts())
    written = io.BytesIO()
    with pyarrow.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    answer = caller.post("/predict/batch", written.getvalue(), STREAM)

    result = pyarrow.ipc.open_stream(answer.body).read_all().to_pydict()
    assert result["prediction"] == [1.0, 4.0, 9.0]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "has no `columns`"),
        ({"columns": {}}, 422, "column `"),
        ({"columns": COLUMNS | {"number": [1]}}, 422, "holds 3 values, and `number` holds 1"),
        ({"columns": COLUMNS | {"number": [1, 2, 300]}}, 422, "row 3, column `number`"),
        ({"columns": {name: [] for name in COLUMNS}}, 422, "no rows"),
        (
            {"columns": {name: [v] * 1001 for name, v in ROW.items()}},
            413,
            "at most 1,000 are allowed",
        ),
        (b"{", 400, "not JSON"),
    ],
)
def test_columns_that_break_the_contract_are_refused(
    caller: Caller, body: Any, status: int, message: str
) -> None:
    answer = caller.post("/predict/batch", body)

    assert answer.status == status
    assert message in answer.json["error"]


def test_another_media_type_is_refused_with_the_supported_ones(caller: Caller) -> None:
    answer = caller.post("/predict/batch", b"number\n1", "text/csv")

    assert answer.status == 415
    assert f"send application/json, {STREAM}, {FILE}" in answer.json["error"]


def test_numbers_texts_and_moments_of_other_types_are_taken_where_nothing_is_lost() -> None:
    reader = ArrowReader(columns_of(CONTRACT))
    other = TABLE.with_columns(
        pl.col("number").cast(pl.Float32),
        pl.col("kind").cast(pl.Categorical),
        pl.col("at").dt.cast_time_unit("ns"),
        pl.Series("weight", [1, None, 3], dtype=pl.UInt8),
        pl.Series("note", [None] * 3, dtype=pl.Null),
        pl.lit(1).alias("unknown"),
    )
    plain, same = (reader.read(arrow(table), "stream", MOST) for table in (TABLE, other))

    assert plain.frame.equals(same.frame)
    assert plain.frame.schema == {
        **{"number": pl.Int16, "kind": pl.String, "code": pl.String},
        **{"at": pl.Datetime("us"), "weight": pl.Float64, "note": pl.String},
    }
    assert same.missing == {"weight": [1], "note": [0, 1, 2]}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("number", [1, 0, 3], "row 2, column `number`: got 0; expected a whole"),
        ("number", [1, 2, 70_000], "row 3, column `number`: got 70000; expected"),
        ("number", [1.5, 2.0, 3.0], "row 1, column `number`: got 1.5; expected"),
        ("number", [1, None, 3], "row 2, column `number`: is empty"),
        ("number", ["1", "2", "3"], "column `number`: got String; expected a whole number"),
        ("kind", ["a", "b", "c"], "row 3, column `kind`: got c; expected one of a, b"),
        (
            "code",
            ["AB", "x" * 500, "AB"],
            "row 2, column `code`: got " + "x" * 60 + "...; expected",
        ),
        ("at", [date(2026, 1, 31)] * 3, "column `at`: got Date; expected a time"),
        (
            *("at", [datetime(2026, 1, 31, 8, tzinfo=UTC)] * 3),
            "column `at`: got Datetime(time_unit='us', time_zone='UTC'); expected a time without",
        ),
        ("weight", [1.0, 0.0, 1.0], "row 2, column `weight`: got 0.0; expected a nu"),
        ("weight", [1.0, float("inf"), 1.0], "row 2, column `weight`: got inf; expected"),
        ("note", [[1], [2], [3]], "column `note`: got List(Int64)"),
    ],
)
def test_arrow_that_breaks_the_contract_is_refused_by_row_and_column(
    caller: Caller, column: str, values: list[Any], message: str
) -> None:
    table = TABLE.with_columns(pl.Series(column, values, strict=False))
    answer = caller.post("/predict/batch", arrow(table), STREAM)

    assert answer.status == 422
    assert answer.json["column"] == column
    assert answer.json["error"].startswith(message)


def test_nan_counts_as_missing() -> None:
    table = TABLE.with_columns(weight=pl.Series([1.0, float("nan"), 3.0]))
    read = ArrowReader(columns_of(CONTRACT)).read(arrow(table), "stream", MOST)

    assert read.frame["weight"].to_list() == [1.0, 2.0, 3.0]
    assert read.missing["weight"] == [1]


def test_a_column_that_is_missing_or_unknown_is_named(caller: Caller, tmp_path: Path) -> None:
    missing = caller.post("/predict/batch", arrow(TABLE.drop("code")), STREAM)
    with calling(tmp_path, Limits(strict=True)) as strict:
        strict.install()
        unknown = strict.post("/predict/batch", arrow(TABLE.with_columns(colour=1)), STREAM)

    assert missing.json["error"].startswith("column `code`: is missing; expected a text")
    assert unknown.json["error"] == "column `colour`: is not a column of the contract"


@pytest.mark.parametrize("form", ["stream", "file"])
@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_is_compressed_is_refused_before_it_asks_for_memory(
    caller: Caller, form: Form, compression: str
) -> None:
    kind = STREAM if form == "stream" else FILE
    answer = caller.post("/predict/batch", arrow(TABLE, form, compression=compression), kind)

    assert answer.status == 400
    assert "it is compressed; send it as it is" in answer.json["error"]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["x" * 100_000])])
def test_a_long_text_that_is_repeated_without_end_is_refused(
    caller: Caller, dtype: pl.DataType
) -> None:
    text = pl.Series("note", ["x" * 100_000], dtype=dtype).new_from_index(0, MOST)
    body = arrow(
        pl.DataFrame(TABLE).head(1).select(pl.all().repeat_by(MOST).explode()).with_columns(text)
    )
    answer = caller.post("/predict/batch", body, STREAM)

    assert len(body) < 1_000_000
    assert answer.status == 413
    assert answer.json["error"].startswith("column `note`: its texts are more than 64,000,000")


@pytest.mark.parametrize("form", ["stream", "file"])
def test_arrow_with_broken_bytes_is_refused_or_read(form: Form) -> None:
    reader = ArrowReader(columns_of(CONTRACT))
    complete, chance = arrow(TABLE, form), random.Random(3)
    outcomes = set()
    for _ in range(300):
        body = bytearray(complete)
        for _ in range(chance.randrange(1, 5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        cut = chance.randrange(len(body)) if chance.random() < 0.3 else len(body)
        try:
            reader.read(bytes(body[:cut]), form, MOST)
            outcomes.add(200)
        except Refusal as refusal:
            outcomes.add(refusal.status)

    assert {400, 422} <= outcomes <= {200, 400, 413, 422}


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
        cases("float", "Float64", {"isin": [0.5]}, [0.5, 0.25]),
        cases("bool", "Boolean", {}, [True, False]),
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
            *(
                "datetime",
                "Datetime(time_unit='ms', time_zone=None)",
                {"lt": "2026-01-01T00:00:00"},
            ),
            [datetime(2025, 12, 31, 23, 59), datetime(2026, 1, 1), datetime(1, 1, 1)],
        ),
        cases(
            *("datetime", "Datetime(time_unit='ns', time_zone='Europe/Berlin')", {}),
            [datetime(2026, 1, 1), datetime(9999, 1, 1), datetime(1500, 1, 1)],
        ),
    ],
)
def test_rows_columns_and_arrow_get_the_same_verdict(
    column: dict[str, Any], values: list[Any]
) -> None:
    columns = columns_of({"columns": [column]})
    reader, tables = Reader(columns), ArrowReader(columns)

    def verdict(read: Any) -> Any:
        try:
            return read()["x"].to_list()
        except Refusal as refusal:
            return refusal.status, refusal.row, refusal.column

    for value in values:
        row = msgspec.json.encode({"x": value})
        listed = msgspec.json.encode({"columns": {"x": [value]}})
        table = arrow(pl.DataFrame({"x": [value]}))
        by_row = verdict(lambda row=row: reader.table([reader.one(row)]).frame)
        by_column = verdict(lambda listed=listed: reader.columnar(listed, 1).frame)
        by_arrow = verdict(lambda table=table: tables.read(table, "stream", 1).frame)

        assert by_row == by_column == by_arrow, value
