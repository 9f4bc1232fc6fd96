"""Turn what msgspec raises into the answer that names row, column and rule."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from rung_ops.model.columns import Column
from rung_ops.model.refusal import Refusal, wrong_column, wrong_value
from rung_ops.model.value_types import Holds

# "Expected `int` <= 9999 - at `$[3].flight`"; by columns the end is `$.columns.flight[3]`.
BY_ROW = re.compile(
    r"(?P<what>.*?)(?: - at `\$(?:\[(?P<row>\d+)\])?(?:\.(?P<column>.*))?`)?", re.DOTALL
)
BY_COLUMN = re.compile(
    r"(?P<what>.*?)(?: - at `\$(?:\.columns)?(?:\.(?P<column>.*?))?(?:\[(?P<row>\d+)\])?`)?",
    re.DOTALL,
)
FIELD = re.compile(
    r"Object (?P<how>missing required|contains unknown) field `(?P<column>.*)`", re.DOTALL
)


def validation_error(
    error: Exception, columns: Iterable[Column], where: re.Pattern[str], alone: bool = False
) -> Refusal:
    """Return the refusal for an error of msgspec.

    Args:
        error: what the decoder raised.
        columns: of the contract.
        where: BY_ROW or BY_COLUMN: the layout of the body.
        alone: the body is a single row.
    """
    if isinstance(error, RecursionError):
        return Refusal(400, "The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return Refusal(400, f"The body is not UTF-8: {error.reason} at byte {error.start}.")
    if not isinstance(error, msgspec.ValidationError):
        return Refusal(400, f"The body is not JSON: {str(error).removeprefix('JSON is ')}.")
    match = where.fullmatch(str(error))
    assert match is not None  # both patterns take any text
    what, row, name = match.group("what", "row", "column")
    number = int(row) + 1 if row is not None else 1 if alone else None
    if field := FIELD.fullmatch(what):
        name = field["column"]
        what = "is missing" if "missing" in field["how"] else "is not a column of the contract"
    what = what[:1].lower() + what[1:]
    column = next((each for each in columns if each.name == name), None)
    if column is not None:
        got = what.partition(", got ")[2]
        if what.startswith("expected"):  # the contract's words are better than those of msgspec
            what = f"got {got}" if got else ""
        message = f"{what}; expected {column.words}" if what else f"expected {column.words}"
        return wrong_column(number, column.name, message)
    if name == "columns" and where is BY_COLUMN:
        return Refusal(422, 'The body has no `columns`: give {"columns": {name: [values]}}.')
    if name is not None and field:
        return wrong_column(number, name, what)
    return Refusal(422, f"row {number}: {what}" if number else f"The body: {what}", number)


def check_values(values: Sequence[Any], column: Column, checks: Sequence[Holds]) -> None:
    """Check the values of a column; empty values pass.

    Raises:
        Refusal: a value breaks one.
    """
    for number, value in enumerate(values, 1):
        if value is not None and not all(check(value) for check in checks):
            raise wrong_value(number, column.name, value, column.words)


def check_row_count(height: int, most: int) -> None:
    """Check the number of rows of a request.

    Raises:
        Refusal: there are none, or too many.
    """
    if not height:
        raise Refusal(422, "The body holds no rows.")
    if height > most:
        raise Refusal(413, f"The body holds {height:,} rows; at most {most:,} are allowed.")
