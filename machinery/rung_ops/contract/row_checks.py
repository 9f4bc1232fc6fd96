"""What is wrong with rows: every value compared with the contract's Row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import pandera.polars as pa
import polars as pl
import polars.selectors as cs

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.model.columns import time_zone
from rung_ops.system.printable import printable

SHOWN = 5  # row numbers and values printed for one problem


@dataclass(frozen=True)
class Problem:
    """One column of one file that breaks the contract."""

    source: str  # the file, as a person would type it
    column: str  # or several joined by a comma; empty for the whole file
    what: str  # the rule that is broken
    rows: tuple[int, ...] = ()  # numbered from 1 without a header; empty for the whole file
    example: str = ""  # a value that breaks it, in words that follow `what`
    more: int = 0  # rows beyond those numbered

    def __str__(self) -> str:
        where = ", ".join(str(row) for row in self.rows[:SHOWN])
        all_rows = len(self.rows) + self.more
        more = f" and {all_rows - SHOWN:,} more" if all_rows > SHOWN else ""
        rows = f" (row{'s' if all_rows > 1 else ''} {where}{more})" if self.rows else ""
        named = f"column `{self.column}` " if self.column else ""
        return printable(f"{self.source}: {named}{self.what}{self.example}{rows}")


def inspect(
    frame: pl.DataFrame, schema: pa.DataFrameSchema, source: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Cast a frame to the schema and find what breaks it.

    Args:
        frame: rows as they were read; columns beyond the schema's are left out.
        schema: the contract's Row, with or without the target.
        source: the file's name, for the messages.

    Returns:
        The typed frame (null if a value could not be cast) and the problems. The frame is empty
        when the file as a whole is refused.
    """
    wanted = {name: column.dtype.type for name, column in schema.columns.items()}
    refused = []
    if not frame.height:
        refused = [Problem(source, "", "holds no rows")]
    elif missing := [name for name in wanted if name not in frame.columns]:
        present = ", ".join(frame.columns[:20])
        refused = [Problem(source, ", ".join(missing), f"is missing; the file has {present}")]
    else:
        refused = _unwanted_offsets(frame, wanted, source)
    if refused:
        return pl.DataFrame(schema=wanted), refused
    typed, problems = _cast(frame.select(*wanted), wanted, source)
    counted = {(problem.column, row) for problem in problems for row in problem.rows}
    problems += broken_rules(typed, schema, source, counted)
    return typed, problems + _late_origins(typed, source)


def has_outcome(schema: pl.Schema) -> pl.Expr:
    """Tell which rows of a frame with TARGET have an outcome: null and NaN are none."""
    target = pl.col(contract.TARGET)
    known = target.is_not_null()
    is_float = schema[contract.TARGET].is_float()
    return known & target.is_not_nan().fill_null(False) if is_float else known


def labelled(frame: pl.DataFrame) -> pl.Series:
    """Tell which rows have an outcome, shape (n_rows,); all where TARGET is no column of the frame."""
    if contract.TARGET not in frame.columns:
        return pl.repeat(True, frame.height, eager=True)
    return frame.select(has_outcome(frame.schema)).to_series()


def inspect_labelled(
    frame: pl.DataFrame, source: str, schema: pa.DataFrameSchema | None = None
) -> tuple[pl.DataFrame, list[Problem], list[int]]:
    """Cast the rows that have an outcome to Row, and find what breaks it; the others are left out.

    Args:
        frame: rows as they were read.
        source: the file's name, for the messages.
        schema: Row by default. By one without TARGET, all rows are judged.

    Returns:
        As inspect(), with problems whose numbers count all rows; and the numbers of the rows of the
        frame. All are empty where no row has an outcome.
    """
    schema = schema or contract.Row.to_schema()
    if contract.TARGET not in schema.columns:
        typed, problems = inspect(frame, schema, source)
        return typed, problems, list(range(1, typed.height + 1))
    known = labelled(frame)
    numbers = [row + 1 for row in known.arg_true()]
    if frame.height and not numbers:
        return pl.DataFrame(schema={n: c.dtype.type for n, c in schema.columns.items()}), [], []
    typed, problems = inspect(frame.filter(known), schema, source)
    counted = [
        replace(each, rows=tuple(numbers[row - 1] for row in each.rows)) for each in problems
    ]
    return typed, counted, numbers[: typed.height]


def _unwanted_offsets(
    frame: pl.DataFrame, wanted: dict[str, pl.DataType], source: str
) -> list[Problem]:
    """Find columns of times with an offset where Row has none: a cast would move them to UTC."""
    return [
        Problem(
            source,
            name,
            f"holds times with an offset ({zone}), and Row has times without: make them local times "
            "in load(), such as with `dt.convert_time_zone(...).dt.replace_time_zone(None)`",
            example=_first(frame[name]),
        )
        for name, dtype in wanted.items()
        if (zone := time_zone(frame.schema[name])) and not time_zone(dtype)
    ]


def _first(times: pl.Series) -> str:
    rows = times.is_not_null().arg_true()
    return f" (row {rows[0] + 1}: {times[rows[0]].isoformat()})" if len(rows) else ""


def _cast(
    frame: pl.DataFrame, wanted: dict[str, pl.DataType], source: str
) -> tuple[pl.DataFrame, list[Problem]]:
    problems: list[Problem] = []
    columns: list[pl.Series] = []
    for name, dtype in wanted.items():
        before = frame[name]
        try:
            after = before.cast(dtype, strict=False)
        except pl.exceptions.PolarsError:
            after = _times(before, dtype)
        bad = before.is_not_null() & after.is_null()
        # 1.5 becomes 1 and 2 becomes True without a word: a number must survive the way back.
        if before.dtype.is_numeric() and (dtype.is_integer() or dtype == pl.Boolean):
            bad |= (after.cast(before.dtype) != before).fill_null(False)
        if bad.any():
            example = f", which {before.filter(bad)[0]!r} is not"
            rows = tuple(index + 1 for index in bad.arg_true())
            problems.append(Problem(source, name, f"should be {dtype}", rows, example))
        columns.append(after)
    return pl.DataFrame(columns), problems


def _times(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Read texts as times where some of them are none; else no value is one.

    A CSV column with one value that is no time is read as texts. Where all are times, load() has to
    read them as such.
    """
    none = pl.Series(texts.name, [None] * len(texts), dtype=dtype)
    if texts.dtype != pl.String or not dtype.is_temporal():
        return none
    try:
        read = texts.str.strptime(dtype, strict=False)  # type: ignore[arg-type]
    except pl.exceptions.PolarsError:
        return none
    is_mixed = read.null_count() > texts.null_count()
    return read if is_mixed and read.dtype == dtype else none


def broken_rules(
    typed: pl.DataFrame, schema: pa.DataFrameSchema, source: str, counted: set[tuple[str, int]]
) -> list[Problem]:
    """Find what breaks the rules of a schema in rows that have its types.

    Args:
        counted: pairs of column and row that have a problem already.
    """
    try:
        # NaN is a missing number, as to the service; pandera would compare it with bounds.
        schema.validate(typed.with_columns(cs.float().fill_nan(None)), lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return []
    problems = []
    for (context, column, check), group in cases.group_by(
        "schema_context", "column", "check", maintain_order=True
    ):
        keyed = context == "DataFrameSchema"
        name = ", ".join(schema.unique or []) if keyed else str(column)
        rows = tuple(
            row + 1
            for row in group["index"].drop_nulls().sort().to_list()
            if (name, row + 1) not in counted
        )
        if rows or group["index"].is_null().all():
            value = group["failure_case"][0]
            if keyed and rows:  # pandera gives the whole row, which may hold personal data
                repeated = typed.select(schema.unique or []).row(rows[0] - 1)
                value = ", ".join(str(part) for part in repeated)
            what, example = f"must satisfy {check}", f", which {value!r} does not"
            if check == "not_nullable":
                what, example = "may not be empty", ""
            elif check == "multiple_fields_uniqueness":
                what, example = "must be unique", f", and `{value}` is there more than once"
            problems.append(Problem(source, name, what, rows, example))
    return problems


def _late_origins(typed: pl.DataFrame, source: str) -> list[Problem]:
    """Find rows of a forecast whose ORIGIN is after their TIME."""
    if contract.ORIGIN is None:
        return []
    late = (forecast.made_at(typed) > forecast.known_at(typed)).arg_true().to_list()
    what = f"is after `{contract.TIME}`, the time that is predicted"
    return [Problem(source, contract.ORIGIN, what, tuple(row + 1 for row in late))] if late else []


def rules(column: pa.Column) -> tuple[dict[str, Any], list[str]]:
    """Convert the checks of a column of Row to rules; of two of one kind, the first becomes a rule.

    Returns:
        The limit of each rule by its name in rung_ops.model.columns.RULES, as JSON has it; and the
        checks that only Python can make.
    """
    converted: dict[str, Any] = {}
    others: list[str] = []
    for check in column.checks:
        found = dict(rules_of(check))
        if found and not found.keys() & converted.keys():
            converted |= found
        else:
            others.append(str(check.error or check.name))
    return converted, others


def rules_of(check: pa.Check) -> Iterator[tuple[str, Any]]:
    """Convert a pandera check to rules; yield nothing if it cannot be converted."""
    known = check.statistics or {}
    match check.name:
        case "greater_than_or_equal_to":
            yield "ge", plain(known["min_value"])
        case "greater_than":
            yield "gt", plain(known["min_value"])
        case "less_than_or_equal_to":
            yield "le", plain(known["max_value"])
        case "less_than":
            yield "lt", plain(known["max_value"])
        case "in_range":
            yield "ge" if known["include_min"] else "gt", plain(known["min_value"])
            yield "le" if known["include_max"] else "lt", plain(known["max_value"])
        case "isin":
            yield "isin", [plain(value) for value in known["allowed_values"]]
        case "equal_to":
            yield "isin", [plain(known["value"])]
        case "str_matches":
            # JSON Schema searches for a pattern anywhere; pandera puts a ^ before it.
            text = getattr(known["pattern"], "pattern", known["pattern"])
            yield "pattern", text if text.startswith("^") else f"^{text}"
        case "str_contains":
            yield "pattern", getattr(known["pattern"], "pattern", known["pattern"])
        case "str_length":
            if known.get("exact_value") is not None:
                yield "min_length", known["exact_value"]
                yield "max_length", known["exact_value"]
            if known.get("min_value") is not None:
                yield "min_length", known["min_value"]
            if known.get("max_value") is not None:
                yield "max_length", known["max_value"]


def plain(value: Any) -> Any:
    """Convert a value to what JSON can hold."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    return value
