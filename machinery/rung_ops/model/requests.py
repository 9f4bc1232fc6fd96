"""Read rows as JSON: msgspec types made from the contract refuse what breaks its rules."""

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from rung_ops.model.columns import Column
from rung_ops.model.refusal import wrong_column
from rung_ops.model.row_values import RowValues
from rung_ops.model.tables import Missing, Table, TableBuilder
from rung_ops.model.validation_errors import (
    BY_COLUMN,
    BY_ROW,
    check_row_count,
    check_values,
    validation_error,
)
from rung_ops.model.value_types import value_type


class Lookup(Protocol):
    """Fills in columns that a request leaves out."""

    def fill(self, table: Table) -> Table: ...


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
    ):
        """Make the types.

        Args:
            columns: of the contract, without the target.
            key: names of the columns that tell one row from another.
            strict: refuse unknown fields.
            looked_up: names of optional columns that tables lack where no row has a value of them.
        """
        self.columns = columns
        names = [column.name for column in columns]
        types, checks = zip(*map(value_type, columns), strict=True)
        typed: list[tuple[Any, Column]] = list(zip(types, columns, strict=True))
        lists = [_list_of(kind if column.required else kind | None) for kind, column in typed]
        row = _struct("Row", [kind for kind, _ in typed], columns, strict)
        table = _struct("Columns", lists, columns, strict)
        body = msgspec.defstruct("Body", [("columns", table)], forbid_unknown_fields=strict)
        self.row_type, self.body_type = row, body
        self._one = msgspec.json.Decoder(row).decode
        self._many: Any = msgspec.json.Decoder(_list_of(row)).decode
        self._columns: Any = msgspec.json.Decoder(body).decode
        fields = [_field(number) for number in range(len(columns))]
        self._getters = list(map(attrgetter, fields))
        self._all = TableBuilder(columns, fields)
        self._own = [at for at, column in enumerate(columns) if column.name not in looked_up]
        self._of_own = TableBuilder(
            [columns[at] for at in self._own], [fields[at] for at in self._own]
        )
        given = [fields[at] for at in range(len(columns)) if at not in self._own]
        self._given = attrgetter(*given) if given else None
        self._nothing = (None,) * len(given) if len(given) > 1 else None
        self.checks = {column.name: made for column, made in zip(columns, checks, strict=True)}
        self._checks = [
            (getter, column, [check.holds for check in self.checks[column.name]])
            for getter, column in zip(self._getters, columns, strict=True)
            if self.checks[column.name]
        ]
        self._key = [(name, self._getters[names.index(name)]) for name in key if name in names]

    def one(self, body: bytes) -> Any:
        """Decode a JSON object into a row.

        Raises:
            Refusal: it is not JSON, or violates the contract.
        """
        try:
            row = self._one(body)
        except Exception as error:  # whatever an invalid body raises, the caller caused it
            raise validation_error(error, self.columns, BY_ROW, alone=True) from None
        if self._checks:
            self._hold([row])
        return row

    def many(self, body: bytes, most: int) -> list[Any]:
        """Decode a JSON array of objects into rows; at most so many.

        Raises:
            Refusal: as one(); also where it holds no rows or too many.
        """
        try:
            rows = self._many(body)
        except Exception as error:
            raise validation_error(error, self.columns, BY_ROW) from None
        check_row_count(len(rows), most)
        if self._checks:
            self._hold(rows)
        return rows

    def columnar(self, body: bytes, most: int) -> Table:
        """Decode {"columns": {name: [values]}}.

        Raises:
            Refusal: as many(); also where the columns are not of one length.
        """
        try:
            columns = self._columns(body).columns
        except Exception as error:
            raise validation_error(error, self.columns, BY_COLUMN) from None
        lists = [getter(columns) for getter in self._getters]
        given = [pair for pair in zip(self.columns, lists, strict=True) if pair[1] is not None]
        height = len(given[0][1]) if given else 0
        for column, values in given:
            if len(values) != height:
                first = given[0][0].name
                what = f"holds {len(values)} values, and `{first}` holds {height}"
                raise wrong_column(None, column.name, what)
        check_row_count(height, most)
        for getter, column, checks in self._checks:
            check_values(getter(columns) or (), column, checks)
        full = [[None] * height if values is None else values for values in lists]
        if all(values is None for at, values in enumerate(lists) if at not in self._own):
            return self._of_own.of_lists([full[at] for at in self._own])
        return self._all.of_lists(full)

    def table(self, rows: Sequence[Any], lookup: Lookup | None = None) -> Table:
        """Put decoded rows into a frame; `lookup` fills in what they leave out."""
        if lookup is None or self._given is None:
            return self._all.of_rows(rows)
        given, nothing = self._given, self._nothing
        is_empty = all(given(row) == nothing for row in rows)
        return lookup.fill((self._of_own if is_empty else self._all).of_rows(rows))

    def values(self, rows: Sequence[Any]) -> tuple[RowValues, Missing]:
        """Take the values of decoded rows, and which rows have the default, by column."""
        return self._all.values(rows)

    def key(self, rows: Sequence[Any] | Table) -> str:
        """Write what tells the first row from others; empty if the contract has no such rule."""
        if isinstance(rows, Table):
            return "\x1f".join([str(rows.frame[name][0]) for name, _ in self._key])
        return "\x1f".join([str(getter(rows[0])) for _, getter in self._key])

    def _hold(self, rows: Sequence[Any]) -> None:
        for getter, column, checks in self._checks:
            check_values(list(map(getter, rows)), column, checks)


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
