"""Rows judged where they are: the rules of Row as SQL that DuckDB and PostgreSQL answer alike.

The same problems as inspect_labelled() finds in rows that were read. SQL counts what breaks a rule; of
a regular expression, whose dialects differ, the different texts are fetched and judged here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import pandera.polars as pandera
import polars as pl
import pyarrow as pa

from rung_ops import contract
from rung_ops.contract.forecast import declared
from rung_ops.contract.row_checks import Problem, broken_rules, rules_of
from rung_ops.data.warehouse.pull import column_types, plain_batch, plain_schema
from rung_ops.data.warehouse.query import Ends, Query, Source
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.model.columns import INTEGERS, time_zone
from rung_ops.project.paths import shown
from rung_ops.system.printable import counted

EXAMPLES = 3  # rows shown of a rule that is broken
OPPOSITES = {"ge": "<", "gt": "<=", "le": ">", "lt": ">="}
NAN = "NULLIF({0}, CAST('NaN' AS {1}))"


def quoted(name: str) -> str:
    """Write the name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """Write a value as SQL."""
    match value:
        case bool():
            return str(value).upper()
        case int():
            return f"({value})"
        case float():
            return f"CAST('{value!r}' AS DOUBLE PRECISION)"
        case datetime():
            return f"CAST('{value.isoformat()}' AS TIMESTAMP{'TZ' if value.tzinfo else ''})"
        case date():
            return f"CAST('{value.isoformat()}' AS DATE)"
        case timedelta():
            return f"INTERVAL '{value // timedelta(microseconds=1)} microseconds'"
    return "'" + str(value).replace("'", "''") + "'"


@dataclass(frozen=True)
class Condition:
    """What breaks a rule, as SQL for a row."""

    column: str
    what: str  # the rule, as a Problem has it
    sql: str
    value: str = ""  # shown of a row that breaks it, as SQL


@dataclass(frozen=True)
class QueriedRows:
    """The rows of a query; they stay in the warehouse."""

    source: Source
    query: Query
    ends: Ends
    name: str  # of the warehouse, for messages

    def ask(self, select: str) -> pl.DataFrame:
        """Fetch the answer to a SELECT."""
        with self.source.rows(replace(self.query, sql=select), self.ends) as rows:
            schema = plain_schema(rows.schema)
            batches = [plain_batch(batch, schema) for batch in rows.batches]
        frame = pl.from_arrow(pa.Table.from_batches(batches, schema.remove_metadata()))
        assert isinstance(frame, pl.DataFrame)
        return frame

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the query."""
        nothing = replace(self.query, sql=f"SELECT * FROM ({self.query.sql}\n) AS rows LIMIT 0")
        with self.source.rows(nothing, self.ends) as rows:
            return rows.schema

    @cached_property
    def types(self) -> dict[str, pl.DataType]:
        """The types that the columns of the query have when they are pulled."""
        return column_types(plain_schema(self.schema))


@dataclass(frozen=True)
class JudgedRows(QueriedRows):
    """The rows of a query that have an outcome, in the types of Row; they stay in the warehouse."""

    @cached_property
    def row(self) -> pandera.DataFrameSchema:
        """The schema of Row; refuses what SQL cannot judge as Python does."""
        row = contract.Row.to_schema()
        wrong = [f"Row checks all rows by `{check.error or check.name}`" for check in row.checks]
        for name, column in row.columns.items():
            wrong += [
                f"column `{name}` has the check `{check.error or check.name}`"
                for check in column.checks
                if not dict(rules_of(check))
            ]
            if not is_judged(self.types[name], column.dtype.type):
                wrong.append(f"column `{name}` is {self.types[name]}, not {column.dtype.type}")
        wrong += [
            f"column `{name}` begins with `rung `, as columns of its own do"
            for name in self.types
            if name.lower().startswith("rung ")
        ]
        if wrong:
            raise WarehouseError(
                f'rows = "sample" judges rows by SQL, and cannot: {"; ".join(wrong)}. Write the rule '
                f"as one of pandera's, cast the column in {shown(self.query.file)}, or pull all rows."
            )
        return row

    @cached_property
    def sql(self) -> str:
        """A SELECT of the query's columns, and of "rung typed N" and "rung bad N" for column N of Row."""
        columns = []
        for number, (name, column) in enumerate(self.row.columns.items()):
            typed, bad = typed_sql(name, self.types[name], column.dtype.type)
            columns.append(f'{typed} AS "rung typed {number}", {bad} AS "rung bad {number}"')
        select = f"SELECT rows.*, {', '.join(columns)} FROM ({self.query.sql}\n) AS rows"
        target = contract.TARGET
        return f"{select} WHERE {_plain(target, self.types[target])} IS NOT NULL"

    def typed(self, name: str) -> str:
        """Name a column of Row in `sql`."""
        return f'"rung typed {list(self.row.columns).index(name)}"'

    def moments(self) -> tuple[str, str]:
        """Write when a row is predicted and when its outcome is known, as made_at() and known_at()."""
        forecast = declared()
        if forecast is None:
            return (self.typed(str(contract.TIME)),) * 2
        known = self.moment(forecast.time)
        if forecast.horizon is not None:
            return f"({known} - {literal(forecast.horizon)})", known
        return self.moment(str(forecast.origin)), known

    def moment(self, name: str) -> str:
        """Write a column of Row as a time."""
        is_day = self.row.columns[name].dtype.type == pl.Date
        return f"CAST({self.typed(name)} AS TIMESTAMP)" if is_day else self.typed(name)

    def problems(self) -> tuple[list[Problem], int]:
        """Judge every row; return what breaks Row, and the number of rows."""
        conditions = list(self._conditions())
        counts = [
            f'count(*) FILTER (WHERE {each.sql}) AS "{n}"' for n, each in enumerate(conditions)
        ]
        number, *broken = self.ask(
            f"SELECT {', '.join(['count(*) AS number', *counts])} FROM ({self.sql}) AS rows"
        ).row(0)
        found = [
            self._problem(condition, count)
            for condition, count in zip(conditions, broken, strict=True)
            if count
        ]
        return [*found, *self._patterns(), *self._repeated()], number

    def _conditions(self) -> Iterator[Condition]:
        for number, (name, column) in enumerate(self.row.columns.items()):
            typed, bad = f'"rung typed {number}"', f'"rung bad {number}"'
            yield Condition(name, f"should be {column.dtype.type}", bad, quoted(name))
            if not column.nullable:
                yield Condition(name, "may not be empty", f"{typed} IS NULL AND NOT {bad}")
            for check in column.checks:
                rules = {k: v for k, v in rules_of(check) if k != "pattern"}
                wrong = [_broken(typed, *rule, column.dtype.type) for rule in rules.items()]
                if wrong:
                    what = f"must satisfy {check.error or check.name}"
                    yield Condition(name, what, " OR ".join(wrong), typed)
        if contract.ORIGIN is not None:
            made, known = self.moments()
            what = f"is after `{contract.TIME}`, the time that is predicted"
            yield Condition(contract.ORIGIN, what, f"{made} > {known}")

    def _problem(self, condition: Condition, count: int) -> Problem:
        """Find rows that break a rule, named by the key of Row and its time."""
        value = {quoted(condition.column): condition.value} if condition.value else {}
        names = dict.fromkeys(filter(None, (contract.TIME, *(self.row.unique or []))))
        where = {quoted(name): self.typed(name) for name in names}
        selected = [f"{sql} AS {name}" for name, sql in (where | value).items()]
        if not selected:
            named = Problem(self.name, condition.column, condition.what, more=count)
            return replace(named, example=f" ({counted(count, 'row')})")
        order = ", ".join(map(str, range(1, 1 + len(selected))))
        examples = self.ask(
            f"SELECT {', '.join(selected)} FROM ({self.sql}) AS rows WHERE {condition.sql} "
            f"ORDER BY {order} LIMIT {EXAMPLES}"
        )
        return self._with_examples(condition.column, condition.what, count, examples)

    def _with_examples(self, column: str, what: str, count: int, rows: pl.DataFrame) -> Problem:
        some = (", ".join(f"{k}={v}" for k, v in row.items()) for row in rows.to_dicts())
        example = f" ({counted(count, 'row')}, such as {'; '.join(some)})"
        return Problem(self.name, column, what, example=example, more=count)

    def _patterns(self) -> Iterator[Problem]:
        """Judge regular expressions here, on each different text."""
        for name, column in self.row.columns.items():
            checks = [check for check in column.checks if "pattern" in dict(rules_of(check))]
            if not checks:
                continue
            texts = self.ask(
                f"SELECT {self.typed(name)} AS text, count(*) AS number FROM ({self.sql}) AS rows "
                f"WHERE {self.typed(name)} IS NOT NULL GROUP BY 1 ORDER BY 1"
            )
            only = pandera.DataFrameSchema({name: pandera.Column(pl.String, checks)})
            typed = texts.select(pl.col("text").cast(pl.String).alias(name))
            for problem in broken_rules(typed, only, self.name, set()):
                broken = texts[[row - 1 for row in problem.rows]]
                examples = broken.head(EXAMPLES).select(pl.col("text").alias(name))
                count = int(broken["number"].sum())
                yield self._with_examples(name, problem.what, count, examples)

    def _repeated(self) -> Iterator[Problem]:
        """Find keys that more than one row has."""
        keys = {name: [name] for name, column in self.row.columns.items() if column.unique}
        whats = dict.fromkeys(keys, "must satisfy field_uniqueness")
        if self.row.unique:
            keys[", ".join(self.row.unique)] = list(self.row.unique)
            whats[", ".join(self.row.unique)] = "must be unique"
        for name, key in keys.items():
            typed = ", ".join(map(self.typed, key))
            again = (
                f"SELECT {typed}, count(*) AS number FROM ({self.sql}) AS rows GROUP BY {typed} "
                "HAVING count(*) > 1"
            )
            statement = f"SELECT CAST(coalesce(sum(number), 0) AS BIGINT) FROM ({again}) AS keys"
            if count := self.ask(statement).item():
                named = ", ".join(f"{self.typed(part)} AS {quoted(part)}" for part in key)
                examples = self.ask(
                    f"SELECT {named} FROM ({again}) AS keys ORDER BY {typed} LIMIT 3"
                )
                yield self._with_examples(name, whats[name], count, examples)


def is_judged(actual: pl.DataType, wanted: pl.DataType) -> bool:
    """Tell whether SQL casts between two types as Polars does."""
    if isinstance(actual, pl.Datetime) and isinstance(wanted, pl.Datetime):
        is_zoned = bool(time_zone(actual)) == bool(time_zone(wanted))
        return is_zoned and actual.time_unit == wanted.time_unit == "us"
    if wanted.is_integer():
        return actual.is_integer() or (actual.is_float() and wanted != pl.UInt64)
    if wanted in (pl.Boolean, pl.Float64):
        return actual == wanted or actual.is_numeric()
    days = (pl.Date(), pl.Datetime("us"))
    return actual == wanted or (actual in days and wanted in days)


def _plain(name: str, actual: pl.DataType) -> str:
    """Write a column as it would be pulled, with null for NaN; texts are compared byte by byte."""
    column = quoted(name)
    if actual == pl.String:
        # What concat() makes of char(n) keeps its blanks, of citext its case.
        return f'(CASE WHEN {column} IS NOT NULL THEN concat({column}) END COLLATE "C")'
    if actual.is_float():
        kind = "REAL" if actual == pl.Float32 else "DOUBLE PRECISION"
        return NAN.format(f"CAST({column} AS {kind})", kind)
    return column


def typed_sql(name: str, actual: pl.DataType, wanted: pl.DataType) -> tuple[str, str]:
    """Write a column in its type of Row, and whether it has a value that does not fit that type."""
    plain = _plain(name, actual)
    if actual == wanted or not (wanted.is_integer() or wanted == pl.Boolean):
        if actual != wanted and not time_zone(wanted):
            kinds = {pl.Float64: "DOUBLE PRECISION", pl.Date: "DATE", pl.Datetime: "TIMESTAMP"}
            plain = f"CAST({plain} AS {kinds[wanted.base_type()]})"
        return plain, "FALSE"
    if wanted == pl.Boolean:
        fits = f"{plain} IN (0, 1)"
        value = f"{plain} <> 0"
    else:
        low, high = INTEGERS[str(wanted)]
        value = plain
        fits = f"{plain} BETWEEN {low} AND {high}"
        if actual.is_float():  # the next power of two is a float, unlike the highest integer
            fits = f"{plain} >= {literal(float(low))} AND {plain} < {literal(float(high + 1))}"
            fits += f" AND {plain} = trunc({plain})"
    # NaN, which is null here, fits no integer.
    bad = f"({quoted(name)} IS NOT NULL AND ({plain} IS NULL OR NOT ({fits})))"
    typed = f"CASE WHEN {bad} THEN NULL ELSE {value} END"
    is_cast = wanted.is_integer() and actual.is_float()
    return (f"CAST({typed} AS BIGINT)" if is_cast else f"({typed})"), bad


def _broken(typed: str, rule: str, limit: Any, dtype: pl.DataType) -> str:
    """Write when a value breaks a rule of RULES; a null breaks none."""
    if rule in ("min_length", "max_length"):
        return f"char_length({typed}) {'<' if rule == 'min_length' else '>'} {limit}"
    if rule == "isin":
        allowed = ", ".join(_limit(value, dtype) for value in limit if value is not None)
        return f"{typed} NOT IN ({allowed})" if allowed else f"{typed} IS NOT NULL"
    return f"{typed} {OPPOSITES[rule]} {_limit(limit, dtype)}"


def _limit(value: Any, dtype: pl.DataType) -> str:
    """Write a limit of a rule, in which JSON has times as texts."""
    if dtype.is_temporal() and isinstance(value, str):
        return literal((datetime if "T" in value else date).fromisoformat(value))
    written = literal(value)
    return f"CAST({written} AS REAL)" if dtype == pl.Float32 else written
