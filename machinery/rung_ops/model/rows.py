"""Rows of a request: read as JSON, kept as values or as a frame, or refused in words.

Types of msgspec that are made from the contract refuse what breaks its rules. For a single row, a
frame costs more than everything else, so few rows stay Python values until a frame is needed.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
import polars as pl

from rung_ops.model import json_text
from rung_ops.model.columns import INTEGERS, Column, rule_words, series_of
from rung_ops.model.rules import Holds, value_type

LONGEST = 60  # characters of a value that is shown

Result = TypeVar("Result")
Steps = Generator[None, None, Result]  # gives way after each slice of a body


class Refusal(Exception):
    """A request that gets an error for an answer: the HTTP status, and what is wrong and expected.

    `row` counts from 1, `retry_after` is in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        row: int | None = None,
        column: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.row = row
        self.column = column
        self.retry_after = retry_after

    def body(self) -> bytes:
        """Encode the refusal as JSON."""
        return msgspec.json.encode(Problem(self.message, self.row, self.column))


class Problem(msgspec.Struct, omit_defaults=True):
    """Why a request is not answered: in words, and the row and column where it is one."""

    error: str
    row: int | None = None
    column: str | None = None


def wrong_column(row: int | None, column: str, what: str) -> Refusal:
    """Return the refusal of a column: `what` says which rule it breaks."""
    where = f"column `{column}`" if row is None else f"row {row}, column `{column}`"
    return Refusal(422, f"{where}: {what}", row, column)


def _short(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _with_bound(column: Column, name: str, limit: Any) -> str:
    """Add the bound of a column's type to its words, where no rule is narrower."""
    side = ("ge", "gt") if name == "ge" else ("le", "lt")
    if column.rules.keys() & {*side, "isin"}:
        return column.words
    return f"{column.words}, {rule_words(name, limit)}"


# "Expected `int` <= 9999 - at `$[3].flight`"; by columns the end is `$.columns.flight[3]`.
BY_ROW = re.compile(
    r"(?P<what>.*?)(?: - at `\$(?:\[(?P<row>\d+)\])?(?:\.(?P<column>.*))?`)?", re.DOTALL
)
BY_COLUMN = re.compile(
    r"(?P<what>.*?)(?: - at `\$(?:\.columns)?(?:\.(?P<column>.*?))?(?:\[(?P<row>\d+)\])?`)?",
    re.DOTALL,
)
BOUND = re.compile(r"Expected `(?:int|float)` (?P<sign>[<>])= (?P<limit>\S+)")
BYTE = re.compile(r"(?<=\(byte )\d+(?=\))")
FIELD = re.compile(
    r"Object (?P<how>missing required|contains unknown) field `(?P<column>.*)`", re.DOTALL
)


def validation_error(
    error: Exception,
    columns: Iterable[Column],
    where: re.Pattern[str],
    alone: bool = False,
    part: json_text.Slices | None = None,
    within: Column | None = None,
) -> Refusal:
    """Return the refusal for an error of msgspec.

    Args:
        error: what the decoder raised.
        columns: of the contract.
        where: BY_ROW or BY_COLUMN: the layout of the body.
        alone: the body is a single row.
        part: of the body, that was decoded by itself.
        within: the column whose values it holds; None if it holds rows.
    """
    if isinstance(error, RecursionError):
        return Refusal(400, "The body is nested too deeply.")
    start, before = (part.start - 1, part.count) if part is not None else (0, 0)
    if isinstance(error, UnicodeDecodeError):
        return Refusal(400, f"The body is not UTF-8: {error.reason} at byte {error.start + start}.")
    if not isinstance(error, msgspec.ValidationError):
        text = BYTE.sub(lambda found: str(int(found[0]) + start), str(error))
        return Refusal(400, f"The body is not JSON: {text.removeprefix('JSON is ')}.")
    match = where.fullmatch(str(error))
    assert match is not None  # both patterns take any text
    what, row, name = match.group("what", "row", "column")
    number = int(row) + 1 + before if row is not None else 1 if alone else None
    if field := FIELD.fullmatch(what):
        name = field["column"]
        what = "is missing" if "missing" in field["how"] else "is not a column of the contract"
    bound = BOUND.fullmatch(what)
    what = _short(what[:1].lower() + what[1:], 3 * LONGEST)  # of an enum it has the value
    column = within or next((each for each in columns if each.name == name), None)
    if column is not None:
        got = what.partition(", got ")[2]
        if what.startswith("expected"):  # the contract's words are better than those of msgspec
            what = f"got {got}" if got else ""
        words = column.words
        if bound is not None:
            words = _with_bound(column, "le" if bound["sign"] == "<" else "ge", bound["limit"])
        message = f"{what}; expected {words}" if what else f"expected {words}"
        return wrong_column(number, column.name, message)
    if name == "columns" and where is BY_COLUMN:
        return Refusal(422, 'The body has no `columns`: give {"columns": {name: [values]}}.')
    if name is not None and field:
        return wrong_column(number, name, what)
    return Refusal(422, f"row {number}: {what}" if number else f"The body: {what}", number)


def check_values(values: Iterable[Any], column: Column, holds: Holds, before: int = 0) -> None:
    """Refuse values of a column that break a rule; `before` is the rows before them."""
    for number, value in enumerate(values, before + 1):
        if value is not None and not holds(value):
            _, most = INTEGERS.get(str(column.dtype), (0, None))
            is_too_large = most is not None and isinstance(value, int) and value > most
            expected = _with_bound(column, "le", most) if is_too_large else column.words
            what = f"got {_short(f'{value}')}; expected {expected}"
            raise wrong_column(number, column.name, what)


def finish(steps: Steps[Result]) -> Result:
    """Go through all steps at once; return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def check_row_count(height: int, most: int) -> None:
    """Refuse a request without rows, or with too many."""
    if not height:
        raise Refusal(422, "The body holds no rows.")
    if height > most:
        raise Refusal(413, f"The body holds {height:,} rows; at most {most:,} are allowed.")


Values = tuple[Any, ...]  # of a row, in the order of the columns


class Layout(NamedTuple):
    """What makes frames of values by column, and the schema of these frames as text."""

    frame: Callable[[Sequence[Sequence[Any]]], pl.DataFrame]
    text: str


class RowValues(NamedTuple):
    """Some rows, at least one: their values, and what makes a frame of them."""

    rows: Sequence[Values]
    layout: Layout

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)


Rows = pl.DataFrame | RowValues


def layout_of(schema: dict[str, pl.DataType]) -> Layout:
    """Return what makes frames of a schema."""
    kinds = list(schema.items())

    def frame(columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
        named = zip(kinds, columns, strict=True)
        return pl.DataFrame([pl.Series(name, list(v), dtype) for (name, dtype), v in named])

    return Layout(frame, f"{pl.Schema(schema)}")


def schema_text(rows: Rows) -> str:
    """Write the schema of rows; equal texts mean that their frames can be put together."""
    return rows.layout.text if isinstance(rows, RowValues) else f"{rows.schema}"


def frame_of(parts: Sequence[Rows]) -> pl.DataFrame:
    """Put rows of one schema together."""
    frames: list[pl.DataFrame] = []
    for layout, same in groupby(parts, lambda part: getattr(part, "layout", None)):
        if layout is None:
            frames += (part for part in same if isinstance(part, pl.DataFrame))
        else:
            rows = [row for part in same if isinstance(part, RowValues) for row in part.rows]
            frames.append(layout.frame(list(zip(*rows, strict=True))))
    return pl.concat(frames)


FEW = 128  # rows

TEXTS = ("str", "date", "datetime")  # families that JSON writes as texts

Missing = dict[str, list[int]]  # rows, counted from 0, by column


class Table(NamedTuple):
    """Rows that keep the contract."""

    frame: pl.DataFrame  # shape (n_rows, n_columns), defaults filled in
    missing: Missing  # rows that got the default
    sent: Missing | None = None  # rows whose value the caller sent, of columns that are looked up


def by_row(by_column: Missing | None, height: int) -> list[list[str]] | None:
    """Name the columns of each of `height` rows; None if no row has any."""
    if not by_column:
        return None
    names: list[list[str]] = [[] for _ in range(height)]
    for column, rows in by_column.items():
        for row in rows:
            names[row].append(column)
    return names


class TableBuilder:
    """Puts values of some columns of a contract into frames; `fields` has them in a decoded row."""

    def __init__(self, columns: list[Column], fields: list[str]) -> None:
        self._columns = columns
        self._schema = {column.name: column.dtype for column in columns}
        self._optional = [pair for pair in enumerate(columns) if not pair[1].required]
        self._series = [series_of(column) for column in columns]
        self._getters = [attrgetter(field) for field in fields]
        self._values = attrgetter(*fields)
        text = f"{pl.Schema(self._schema)}"
        self._layout = Layout(lambda lists: self.of_lists(list(map(list, lists))).frame, text)

    def of_rows(self, rows: Sequence[Any]) -> Table:
        """Make a table of decoded rows."""
        if len(rows) > FEW:
            return self.of_lists([list(map(getter, rows)) for getter in self._getters])
        # Of few rows polars makes a frame in half the time that single columns take.
        values, missing = self.values(rows)
        return Table(pl.DataFrame(values.rows, self._schema, orient="row"), missing)

    def values(self, rows: Sequence[Any]) -> tuple[RowValues, Missing]:
        """Take the values of decoded rows, and which of them are the default."""
        values: list[Values] = list(map(self._values, rows))
        if len(self._getters) == 1:
            values = [(value,) for value in values]
        missing: Missing = {}
        for at, column in self._optional:
            empty = [number for number, row in enumerate(values) if row[at] is None]
            if empty:
                missing[column.name] = empty
            for number in empty if column.default is not None else ():
                row = values[number]
                values[number] = (*row[:at], column.default, *row[at + 1 :])
        return RowValues(values, self._layout), missing

    def of_lists(self, lists: Sequence[list[Any]]) -> Table:
        """Make a table of the values of each column."""
        missing: Missing = {}
        series = [self.series(at, values, missing, 0) for at, values in enumerate(lists)]
        return Table(pl.DataFrame(series), missing)

    def series(self, at: int, values: list[Any], missing: Missing, before: int) -> pl.Series:
        """Make a series of values of column number `at`; note in `missing` who gets its default."""
        column = self._columns[at]
        if not column.required and None in values:
            empty = [number for number, value in enumerate(values, before) if value is None]
            missing.setdefault(column.name, []).extend(empty)
            if column.default is not None:
                values = [column.default if value is None else value for value in values]
        return self._series[at](values)


Fill = Callable[[Table], Table]  # fills in columns that a request leaves out


class Reader:
    """Decodes rows of one contract.

    Attributes:
        columns: of the contract, without the target.
        row_type, body_type: what msgspec decodes a row, or a body of columns, as.
        checks: by column, the rules that msgspec does not check.
    """

    def __init__(
        self,
        columns: list[Column],
        key: Sequence[str] = (),
        strict: bool = False,
        looked_up: Collection[str] = (),
        forecast: tuple[str, str] | None = None,
    ):
        """Make the types.

        Args:
            columns: of the contract, without the target.
            key: names of the columns that tell one row from another.
            strict: refuse unknown fields.
            looked_up: names of optional columns that tables lack where no row has a value of them.
            forecast: the columns of when a row is predicted, and of the time that it predicts.
        """
        self.columns = columns
        names = [column.name for column in columns]
        typed: list[tuple[Any, Any]] = list(map(value_type, columns))
        types = [kind for kind, _ in typed]
        lists = [
            _list_of(kind if column.required else kind | None)
            for kind, column in zip(types, columns, strict=True)
        ]
        row = _struct("Row", types, columns, strict)
        table = _struct("Columns", lists, columns, strict)
        body = msgspec.defstruct("Body", [("columns", table)], forbid_unknown_fields=strict)
        self.row_type, self.body_type = row, body
        self._one = msgspec.json.Decoder(row).decode
        self._many: Any = msgspec.json.Decoder(_list_of(row)).decode
        members: Any = dict[str, msgspec.Raw]
        read = msgspec.defstruct("Body", [("columns", members)], forbid_unknown_fields=strict)
        self._columns: Any = msgspec.json.Decoder(body).decode
        self._undecoded: Any = msgspec.json.Decoder(read).decode
        self._lists = [msgspec.json.Decoder(kind).decode for kind in lists]
        self._strict = strict
        fields = [_field(number) for number in range(len(columns))]
        self._getters = list(map(attrgetter, fields))
        self._quotes = QuoteCount(columns, self._getters)
        self._all = TableBuilder(columns, fields)
        self._own = [at for at, name in enumerate(names) if name not in looked_up]
        self._of_own = TableBuilder(
            [columns[at] for at in self._own], [fields[at] for at in self._own]
        )
        given = [fields[at] for at in range(len(columns)) if at not in self._own]
        self._given = attrgetter(*given) if given else None
        self._nothing = (None,) * len(given) if len(given) > 1 else None
        self.checks = {name: checks for name, (_, checks) in zip(names, typed, strict=True)}
        self._checks = [
            (getter, column, _all_of([check.holds for check in self.checks[column.name]]))
            for getter, column in zip(self._getters, columns, strict=True)
            if self.checks[column.name]
        ]
        self._held = {columns.index(column): holds for _, column, holds in self._checks}
        self._key = [(name, self._getters[names.index(name)]) for name in key if name in names]
        self._forecast = [names.index(name) for name in forecast or ()]

    def one(self, body: bytes) -> Any:
        """Decode a JSON object into a row; refuse what is no JSON or violates the contract."""
        row = self._decoded_one(body)
        self._check_one(row, body)
        return row

    def one_in_steps(self, body: bytes) -> Steps[list[Any]]:
        """Decode as one(), as the only row; a large body in two steps."""
        row = self._decoded_one(body)
        yield
        self._check_one(row, body)
        return [row]

    def _decoded_one(self, body: bytes) -> Any:
        try:
            return self._one(body)
        except Exception as error:  # whatever an invalid body raises, the caller caused it
            raise validation_error(error, self.columns, BY_ROW, alone=True) from None

    def many(self, body: bytes, most: int) -> list[Any]:
        """Decode a JSON array of objects into rows; refuse as one(), and no rows or too many."""
        if len(body) > json_text.SLICE:
            return finish(self.many_in_steps(body, most))
        try:
            rows: list[Any] = self._many(body)
        except Exception as error:
            raise validation_error(error, self.columns, BY_ROW) from None
        check_row_count(len(rows), most)
        self._check(rows, body, 0)
        return rows

    def many_in_steps(self, body: bytes, most: int) -> Steps[list[Any]]:
        """Decode as many(), a slice of the body in each step."""
        if body.count(b"{") > most:
            yield from _check_count(body, json_text.BETWEEN_OBJECTS, most)
        rows: list[Any] = []
        slices = json_text.Slices(body, json_text.BETWEEN_OBJECTS, self._many)
        for part in self._decoded(slices, BY_ROW):
            yield
            if part:
                self._check(part, slices.text, slices.count)
            rows += part
            _check_part(len(rows), most)
        check_row_count(len(rows), most)
        return rows

    def columnar(self, body: bytes, most: int) -> Table:
        """Decode {"columns": {name: [values]}}; refuse as many(), and other lengths."""
        if len(body) > json_text.SLICE:
            return finish(self.columnar_in_steps(body, most))
        try:
            columns = self._columns(body).columns
        except Exception as error:
            raise validation_error(error, self.columns, BY_COLUMN) from None
        lists = [getter(columns) for getter in self._getters]
        if body.count(b'"') != self._quotes.of_columns(lists):
            self._members(body)
        missing: Missing = {}
        series = {
            at: self._series(at, values, missing, 0)
            for at, values in enumerate(lists)
            if values is not None
        }
        return self._table(series, missing, most)

    def columnar_in_steps(self, body: bytes, most: int) -> Steps[Table]:
        """Decode as columnar(), a slice of a column in each step."""
        members = self._members(body)
        yield
        missing: Missing = {}
        series: dict[int, pl.Series] = {}
        for at, column in enumerate(self.columns):
            text = bytes(members.get(column.name, b"null"))
            if text == b"null" and not column.required:
                continue
            if text.count(b",") >= most:
                yield from _check_count(text, _between(column), most)
            parts = []
            slices = json_text.Slices(text, _between(column), self._lists[at])
            for values in self._decoded(slices, BY_COLUMN, column):
                parts.append(self._series(at, values, missing, slices.count))
                yield
                _check_part(slices.count, most)
            series[at] = pl.concat(parts)
        return self._table(series, missing, most)

    def _series(self, at: int, values: list[Any], missing: Missing, before: int) -> pl.Series:
        """Check some values of a column, and make a series of them."""
        if holds := self._held.get(at):
            check_values(values, self.columns[at], holds, before)
        return self._all.series(at, values, missing, before)

    def _table(self, series: Mapping[int, pl.Series], missing: Missing, most: int) -> Table:
        """Make a table of the columns that were sent, by their numbers."""
        height = len(next(iter(series.values()))) if series else 0
        for at, values in series.items():
            if len(values) != height:
                first = self.columns[next(iter(series))].name
                what = f"holds {len(values)} values, and `{first}` holds {height}"
                raise wrong_column(None, self.columns[at].name, what)
        check_row_count(height, most)
        self._check_origins(series, 0)
        used = self._own if series.keys() <= set(self._own) else range(len(self.columns))
        nothing = [None] * height if len(series) < len(used) else []
        full = [
            series[at] if at in series else self._all.series(at, nothing, missing, 0) for at in used
        ]
        names = [column.name for column in self.columns if column.name in missing]
        return Table(pl.DataFrame(full), {name: missing[name] for name in names})

    def _members(self, body: bytes) -> dict[str, msgspec.Raw]:
        """Decode {"columns": {name: [values]}} as far as the texts of the columns."""
        try:
            members: dict[str, msgspec.Raw] = self._undecoded(body).columns
            if json_text.has_more_keys(body, members, 1):
                for text in (body, bytes(json_text.raw_members(body)["columns"])):
                    _refuse_repeated(text, None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise validation_error(error, self.columns, BY_COLUMN) from None
        names = {column.name for column in self.columns}
        for name in members if self._strict else ():
            if name not in names:
                raise wrong_column(None, name, "is not a column of the contract")
        for column in self.columns:
            if column.required and column.name not in members:
                raise wrong_column(None, column.name, "is missing")
        return members

    def _decoded(
        self, slices: json_text.Slices, where: re.Pattern[str], within: Column | None = None
    ) -> Iterator[list[Any]]:
        try:
            yield from slices
        except Exception as error:
            raise validation_error(error, self.columns, where, part=slices, within=within) from None

    def _check_one(self, row: Any, body: bytes) -> None:
        if body.count(b'"') != self._quotes.of_row(row, body):
            _refuse_repeated(body, 1)
        for getter, column, holds in self._checks:
            value = getter(row)
            if value is not None and not holds(value):
                check_values([value], column, holds)  # which says what is wrong
        self._check_forecasts([row], 0)

    def _check(self, rows: Sequence[Any], text: bytes, before: int) -> None:
        """Check decoded rows of the text of an array for what msgspec does not."""
        if text.count(b'"') != self._quotes.of_rows(rows):
            for number, raw in enumerate(json_text.raw_values(text)):
                written = bytes(raw)
                if written.count(b'"') != self._quotes.of_row(rows[number], written):
                    _refuse_repeated(written, before + number + 1)
        for getter, column, holds in self._checks:
            check_values(map(getter, rows), column, holds, before)
        self._check_forecasts(rows, before)

    def _check_forecasts(self, rows: Sequence[Any], before: int) -> None:
        if not self._forecast:
            return
        lists = {at: list(map(self._getters[at], rows)) for at in self._forecast}
        self._check_origins({at: self._all.series(at, lists[at], {}, 0) for at in lists}, before)

    def _check_origins(self, series: Mapping[int, pl.Series], before: int) -> None:
        """Check that no row of a forecast is predicted after its time; `series` are by column."""
        if not self._forecast:
            return
        origin, time = self._forecast
        if late := (series[origin] > series[time]).arg_true().to_list():
            what = f"is after `{self.columns[time].name}`, the time that is predicted"
            raise wrong_column(before + late[0] + 1, self.columns[origin].name, what)

    def table(self, rows: Sequence[Any], fill: Fill | None = None) -> Table:
        """Put decoded rows into a frame; `fill` fills in what they leave out."""
        if fill is None or self._given is None:
            return self._all.of_rows(rows)
        given, nothing = self._given, self._nothing
        is_empty = all(given(row) == nothing for row in rows)
        return fill((self._of_own if is_empty else self._all).of_rows(rows))

    def values(self, rows: Sequence[Any]) -> tuple[RowValues, Missing]:
        """Take the values of decoded rows, and which rows have the default, by column."""
        return self._all.values(rows)

    def key(self, rows: Sequence[Any] | Table) -> str:
        """Write what tells the first row from others; empty if the contract has no such rule."""
        if isinstance(rows, Table):
            return "\x1f".join([str(rows.frame[name][0]) for name, _ in self._key])
        return "\x1f".join([str(getter(rows[0])) for _, getter in self._key])


class QuoteCount:
    """The number of quotation marks in rows of a contract, as far as it can be known cheaply.

    Where a text has as many, its rows have no unknown key and none twice; otherwise its keys are
    compared.
    """

    def __init__(self, columns: Sequence[Column], getters: Sequence[Callable[[Any], Any]]) -> None:
        self._columns = columns
        self._required = sum(_quotes(column) for column in columns if column.required)
        self._optional = [
            (getter, _quotes(column), msgspec.json.encode(column.name) + b":")
            for getter, column in zip(getters, columns, strict=True)
            if not column.required
        ]

    def of_row(self, row: Any, text: bytes) -> int:
        """Count those of a decoded row; `text` shows which of its nulls were sent."""
        count = self._required
        for getter, quotes, key in self._optional:
            if getter(row) is not None:
                count += quotes
            elif key in text:
                count += 2
        return count

    def of_columns(self, lists: Sequence[list[Any] | None]) -> int:
        """Count those of a table, as if no column was null."""
        count = 2  # of the key `columns`
        for column, values in zip(self._columns, lists, strict=True):
            if values is not None:
                count += 2
                if column.family in TEXTS:
                    nulls = 0 if column.required else values.count(None)
                    count += 2 * (len(values) - nulls)
        return count

    def of_rows(self, rows: Sequence[Any]) -> int:
        """Count those of decoded rows, as if no null was sent."""
        count = self._required * len(rows)
        for getter, quotes, _ in self._optional:
            count += quotes * (len(rows) - list(map(getter, rows)).count(None))
        return count


def _all_of(checks: Sequence[Holds]) -> Holds:
    return checks[0] if len(checks) == 1 else lambda value: all(check(value) for check in checks)


def _quotes(column: Column) -> int:
    """Count the quotation marks of a column's key and value."""
    return 4 if column.family in TEXTS else 2


def _between(column: Column) -> re.Pattern[bytes]:
    is_text = column.family in TEXTS
    return json_text.BETWEEN_TEXTS if is_text else json_text.BETWEEN_NUMBERS


def _check_count(text: bytes, between: re.Pattern[bytes], most: int) -> Steps[None]:
    """Refuse too many values of an array without decoding them; give up where that is not cheap."""
    height = 0
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):  # decoding says what is wrong
        for part in json_text.Slices(text, between, json_text.raw_values):
            if not part:  # a nested value, or text as between two: decoding counts as well
                return
            height += len(part)
            _check_part(height, most)
            yield


def _check_part(height: int, most: int) -> None:
    if height > most:
        raise Refusal(413, f"The body holds more than {most:,} rows, which is the most allowed.")


def _refuse_repeated(text: bytes, row: int | None) -> None:
    try:
        name = json_text.repeated_key(text)
    except (ValueError, RecursionError) as error:
        raise validation_error(error, (), BY_ROW) from None
    if name is not None:
        raise wrong_column(row, name, "occurs twice")


def _field(number: int) -> str:
    """Name a field: a column may be called anything, a field of a struct may not."""
    return f"c{number}"


def _list_of(kind: Any) -> Any:
    return list[kind]


def _struct(name: str, kinds: Sequence[Any], columns: Sequence[Column], strict: bool) -> Any:
    fields = [_field(number) for number in range(len(columns))]
    return msgspec.defstruct(
        name,
        [
            (field, kind) if column.required else (field, kind | None, None)
            for field, kind, column in zip(fields, kinds, columns, strict=True)
        ],
        rename={field: column.name for field, column in zip(fields, columns, strict=True)},
        forbid_unknown_fields=strict,
        kw_only=True,
        gc=False,
    )
