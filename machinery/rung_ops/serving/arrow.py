"""Read rows as an Arrow table and check each column against the contract."""

import io
from collections.abc import Collection, Sequence

import polars as pl

from rung_ops.model.columns import Column, series_of
from rung_ops.model.rows import Refusal, Table, check_row_count, wrong_column
from rung_ops.serving import arrow_guard
from rung_ops.serving.arrow_guard import Form
from rung_ops.serving.rules import ColumnRules

FORMS: dict[str, Form] = {
    "application/vnd.apache.arrow.stream": "stream",
    "application/vnd.apache.arrow.file": "file",
}


class ArrowReader:
    """Reads tables of one contract."""

    def __init__(
        self, columns: Sequence[Column], strict: bool = False, looked_up: Collection[str] = ()
    ) -> None:
        """Make the rules.

        Args:
            columns: of the contract, without the target.
            strict: refuse columns that the contract does not know.
            looked_up: names of optional columns that tables lack where all of them are left out.
        """
        self._looked_up = frozenset(looked_up)
        self._rules = [ColumnRules(column) for column in columns]
        self._names = {column.name for column in columns}
        self._strict = strict

    def read(self, body: bytes, form: Form, most: int) -> Table:
        """Read a body of at most so many rows.

        Raises:
            Refusal: it is not Arrow, or violates the contract.
        """
        given = _opened(body, form)
        check_row_count(given.height, most)
        for name in given.columns if self._strict else ():
            if name not in self._names:
                raise wrong_column(None, name, "is not a column of the contract")
        missing: dict[str, list[int]] = {}
        skipped = self._looked_up if self._looked_up.isdisjoint(given.columns) else frozenset()
        held = [
            self._column(given, rules, missing)
            for rules in self._rules
            if rules.column.name not in skipped
        ]
        return Table(pl.DataFrame(held), missing)

    def _column(
        self, given: pl.DataFrame, rules: ColumnRules, missing: dict[str, list[int]]
    ) -> pl.Series:
        column = rules.column
        if column.name in given.columns:
            values = rules.held(given.get_column(column.name))
        elif column.required:
            raise wrong_column(None, column.name, f"is missing; expected {column.words}")
        else:
            values = pl.Series(column.name, [None], dtype=column.dtype).new_from_index(
                0, given.height
            )
        if not values.null_count():
            return values
        rows = values.is_null().arg_true().to_list()
        if column.required:
            raise wrong_column(rows[0] + 1, column.name, f"is empty; expected {column.words}")
        missing[column.name] = rows
        if column.default is None:
            return values
        default = series_of(column)([column.default])
        return values.zip_with(values.is_not_null(), default.new_from_index(0, given.height))


def _opened(body: bytes, form: Form) -> pl.DataFrame:
    read = pl.read_ipc_stream if form == "stream" else pl.read_ipc
    try:
        arrow_guard.check(body, form)
        return read(io.BytesIO(body))
    # On bytes that are not Arrow, Polars raises various errors, and sometimes panics.
    except (Exception, pl.exceptions.PanicException) as error:
        message = (str(error).strip().splitlines() or [repr(error)])[0]
        raise Refusal(400, f"The body cannot be read as an Arrow IPC {form}: {message}") from None
