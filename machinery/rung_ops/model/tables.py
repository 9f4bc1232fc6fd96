"""Rows as frames: a column with the default where a row has no value, and which rows those are."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import polars as pl

from rung_ops.model.columns import Column, series_of
from rung_ops.model.row_values import Layout, RowValues, Values, schema_text

FEW = 128  # rows

Missing = dict[str, list[int]]  # rows, counted from 0, by column


class Table(NamedTuple):
    """Rows that keep the contract.

    Attributes:
        frame: their columns, shape (n_rows, n_columns), defaults filled in.
        missing: rows that got the default, counted from 0, by column.
        sent: rows whose value the caller sent, of columns that are looked up; None for none.
    """

    frame: pl.DataFrame
    missing: Missing
    sent: Missing | None = None


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
    """Puts values of some columns of a contract into frames."""

    def __init__(self, columns: list[Column], fields: list[str]) -> None:
        """Prepare.

        Args:
            columns: that the frames have.
            fields: that a decoded row has them in.
        """
        self._columns = columns
        self._schema = {column.name: column.dtype for column in columns}
        self._optional = [pair for pair in enumerate(columns) if not pair[1].required]
        self._series = [series_of(column) for column in columns]
        self._getters = [attrgetter(field) for field in fields]
        self._values = attrgetter(*fields)
        text = schema_text(pl.Schema(self._schema))
        self._layout = Layout(lambda lists: self.of_lists(list(map(list, lists))).frame, text)

    def of_rows(self, rows: Sequence[Any]) -> Table:
        """Make a table of decoded rows."""
        if len(rows) > FEW:
            return self.of_lists([list(map(getter, rows)) for getter in self._getters])
        # Of few rows polars makes a frame in half the time that single columns take.
        values, missing = self._filled(rows)
        return Table(pl.DataFrame(values, self._schema, orient="row"), missing)

    def values(self, rows: Sequence[Any]) -> tuple[RowValues, Missing]:
        """Take the values of decoded rows, and which of them are the default."""
        values, missing = self._filled(rows)
        return RowValues(values, self._layout), missing

    def _filled(self, rows: Sequence[Any]) -> tuple[list[Values], Missing]:
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
        return values, missing

    def of_lists(self, lists: Sequence[list[Any]]) -> Table:
        """Make a table of the values of each column."""
        missing: Missing = {}
        series = []
        for values, column, build in zip(lists, self._columns, self._series, strict=True):
            if not column.required and None in values:
                missing[column.name] = [at for at, value in enumerate(values) if value is None]
                if column.default is not None:
                    values = [column.default if value is None else value for value in values]
            series.append(build(values))
        return Table(pl.DataFrame(series), missing)
