"""Say in words what msgspec found wrong with a body: row, column and rule."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from rung_ops.serving.columns import Column
from rung_ops.serving.refusal import Refusal, broken, unfit
from rung_ops.serving.value_types import Holds

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


def refusal(
    error: Exception, columns: Iterable[Column], where: re.Pattern[str], alone: bool = False
) -> Refusal:
    """Turn what msgspec raised into the answer.

    Args:
        error: whatever it raised.
        columns: of the contract.
        where: BY_ROW or BY_COLUMN: how the body was laid out.
        alone: the body is a single row.
    """
    if isinstance(error, RecursionError):
        return Refusal(400, "The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return Refusal(400, f"The body is no UTF-8: {error.reason} at byte {error.start}.")
    if not isinstance(error, msgspec.ValidationError):
        return Refusal(400, f"The body is no JSON: {str(error).removeprefix('JSON is ')}.")
    found = where.fullmatch(str(error))
    assert found is not None  # both patterns take any text
    what, row, name = found.group("what", "row", "column")
    number = int(row) + 1 if row is not None else 1 if alone else None
    if field := FIELD.fullmatch(what):
        name = field["column"]
        what = "is missing" if "missing" in field["how"] else "is no column of the contract"
    what = what[:1].lower() + what[1:]
    column = next((each for each in columns if each.name == name), None)
    if column is not None:
        if what.startswith("expected `str` matching"):  # in a spelling of the pattern that is ours
            what = "does not match"
        return broken(number, column.name, f"{what}; asked for is {column.words}")
    if name == "columns" and where is BY_COLUMN:
        return Refusal(422, 'The body has no `columns`: give {"columns": {name: [values]}}.')
    if name is not None and field:
        return broken(number, name, what)
    return Refusal(422, f"row {number}: {what}" if number else f"The body: {what}", number)


def hold(values: Sequence[Any], column: Column, checks: Sequence[Holds]) -> None:
    """Make the checks of a column; empty values pass.

    Raises:
        Refusal: a value breaks one.
    """
    for number, value in enumerate(values, 1):
        if value is not None and not all(check(value) for check in checks):
            raise unfit(number, column.name, value, column.words)


def count(height: int, most: int) -> None:
    """Check the number of rows of a request.

    Raises:
        Refusal: there are none, or too many.
    """
    if not height:
        raise Refusal(422, "The body holds no rows.")
    if height > most:
        raise Refusal(413, f"The body holds {height:,} rows, and {most:,} are the most.")
