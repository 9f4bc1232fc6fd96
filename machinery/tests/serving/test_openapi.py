"""What OpenAPI publishes is what the service refuses: both come from the types that it decodes."""

import json
from typing import Any

import polars as pl
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from machinery.tests.serving.calls import MOMENT, PLAIN
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import Reader, Refusal
from rung_ops.serving.pages import schemas

MOST = 3  # rows in one request
HOURS = ("2026-01-01T00:00:00", "2025-12-31T23:59:59", "2026-01-01T02:00:00+02:00")


def _matches(validator: Any, pattern: str, value: Any, schema: Any) -> Any:
    # The pattern is the contract's, and so means what polars reads in it.
    if isinstance(value, str) and not pl.Series([value]).str.contains(pattern)[0]:
        yield from Draft202012Validator({"const": None}).iter_errors(value)


def _is_integer(checker: Any, value: Any) -> bool:
    # JSON Schema takes 1.0 for an integer. The service does not.
    return isinstance(value, int) and not isinstance(value, bool)


Validator = extend(
    Draft202012Validator,
    {"pattern": _matches},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
ANYTHING = [None, True, 0, 1, -1, 1.5, "", "a", [], {}, "2026-01-01", HOURS[0]]
INTEGERS = [2**exponent + near for exponent in (7, 8, 15, 31, 32, 63, 64) for near in (-1, 0, 1)]
INTEGERS += [-number for number in INTEGERS] + list(range(-3, 12))
NUMBERS = [0, 1, 0.1, 0.2, 0.3, 0.30000001, -0.1, 1e38, 3.4028234e38, 3.5e38, -3.5e38, 1e300]
TEXTS = ["", "a", "b", "ab", "é", "éé", "12", "a12", "12\n", "٣٤", "aaa", "aaab", "x" * 40]


def column(dtype: str, polars: str, **rules: Any) -> dict[str, Any]:
    return PLAIN | {"name": "x", "dtype": dtype, "polars": polars} | rules


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        *((column("int", kind), INTEGERS) for kind in ("Int8", "UInt8", "Int16", "UInt32")),
        *((column("int", kind), INTEGERS) for kind in ("Int64", "UInt64")),
        (column("int", "Int8", gt=0, lt=10), INTEGERS),
        (column("int", "Int32", ge=0.5, le=9.5), INTEGERS),
        (column("int", "UInt64", ge=5, isin=[4, 5, 2**64 - 1]), INTEGERS),
        (column("int", "Int32", isin=[1, 2, 7], lt=7), INTEGERS),
        (column("float", "Float64", ge=0.1, le=0.3), NUMBERS),
        (column("float", "Float64", ge=0.1, gt=0.1, lt=0.3, le=9), NUMBERS),
        (column("float", "Float64", isin=[0.2, 1]), NUMBERS),
        (column("float", "Float32"), NUMBERS),
        (column("float", "Float32", gt=0, lt=1e39), NUMBERS),
        (column("bool", "Boolean"), [True, False]),
        (column("bool", "Boolean", isin=[True]), [True, False]),
        (column("str", "String"), TEXTS),
        (column("str", "String", min_length=2, max_length=3), TEXTS),
        (column("str", "String", isin=["a", "12", "é"]), TEXTS),
        (column("str", "String", isin=["a", "12", "é"], pattern=r"^\d+$"), TEXTS),
        (column("str", "String", pattern=r"\d{2}$"), TEXTS),
        (column("str", "String", pattern="^(a+)+$", max_length=5), TEXTS),
        (column("str", "String", pattern=r"^\p{L}+$"), TEXTS),
        (column("date", "Date", isin=["2026-01-01", "2026-01-02"]), ["2026-01-01", "2026-01-03"]),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_the_published_schema_refuses_what_the_service_refuses(
    entry: dict[str, Any], values: list[Any], required: bool
) -> None:
    reader = Reader(columns_of({"columns": [entry | {"required": required}]}))
    result = schemas(reader, MOST)
    # `date` is a format, which a schema only describes.
    strings = entry["dtype"] == "date"
    others = [value for value in ANYTHING if not (strings and isinstance(value, str))]

    for value in [*values, *others]:
        row = {"x": value}
        assert _published(result, "Row", row) == _taken(reader.one, row), (value, result["Row"])
        body = {"columns": {"x": [value]}}
        assert _published(result, "Body", body) == _taken(
            lambda text: reader.columnar(text, MOST), body
        ), (value, result["Columns"])
    assert _published(result, "Row", {}) == _taken(reader.one, {}) == (not required)


@pytest.mark.parametrize(
    ("entry", "values", "arguments"),
    [
        (column("str", "String", ge="b"), ["a", "b"], "at least b"),
        (
            column("datetime", MOMENT, ge=HOURS[0], isin=HOURS[:1]),
            HOURS,
            "one of 2026-01-01 00:00:00, at least 2026-01-01T00:00:00",
        ),
    ],
)
def test_what_json_schema_cannot_express_is_in_the_description(
    entry: dict[str, Any], values: list[str], arguments: str
) -> None:
    reader = Reader(columns_of({"columns": [entry]}))
    result = schemas(reader, MOST)

    assert arguments in result["Row"]["properties"]["x"]["description"]
    taken = [_taken(reader.one, {"x": value}) for value in values]
    assert True in taken and False in taken
    # The schema takes more than the service, and never less.
    assert all(_published(result, "Row", {"x": value}) for value in values)


@pytest.mark.parametrize("strict", [True, False])
def test_unknown_fields_are_published_as_they_are_treated(strict: bool) -> None:
    reader = Reader(columns_of({"columns": [column("int", "Int8")]}), strict=strict)
    result = schemas(reader, MOST)

    for name, read, body in (
        ("Row", reader.one, {"x": 1, "y": 2}),
        ("Body", lambda text: reader.columnar(text, MOST), {"columns": {"x": [1], "y": [2]}}),
        ("Body", lambda text: reader.columnar(text, MOST), {"columns": {"x": [1]}, "y": 2}),
    ):
        assert _published(result, name, body) == _taken(read, body) == (not strict)


@pytest.mark.parametrize("rows", [0, 1, MOST, MOST + 1])
def test_the_number_of_rows_is_published(rows: int) -> None:
    reader = Reader(columns_of({"columns": [column("int", "Int8")]}))
    body = {"columns": {"x": [1] * rows}}

    taken = _taken(lambda text: reader.columnar(text, MOST), body)
    assert _published(schemas(reader, MOST), "Body", body) == taken == (0 < rows <= MOST)


def _published(schemas: dict[str, Any], name: str, body: Any) -> bool:
    complete = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return bool(Validator(complete).is_valid(body))


def _taken(read: Any, body: Any) -> bool:
    try:
        read(json.dumps(body).encode())
    except Refusal:
        return False
    return True
