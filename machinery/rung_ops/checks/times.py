"""The promise of load() about times: an offset that Row does not have moves nothing."""

import polars as pl

from rung_ops import contract
from rung_ops.checks import raw_table
from rung_ops.checks.raw_table import RawTable
from rung_ops.contract import ContractError
from rung_ops.contract.raw_file import read
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.model.columns import time_zone
from rung_ops.project.paths import raw_files, shown

OFFSET, ZONE = "+05:00", "Etc/GMT-5"  # the same; the sign of such a name is the other way round
CLOCK = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$"


def times_are_not_moved() -> None:
    """load() does not move a time with an offset to UTC, where Row has times without a zone.

    The service refuses such a time. A file with one has to be refused as well, or to keep the clock
    that it shows: an hour of the day would be another number otherwise.
    """
    names = [
        name
        for name, column in contract.Row.to_schema().columns.items()
        if isinstance(column.dtype.type, pl.Datetime) and not time_zone(column.dtype.type)
    ]
    for path in raw_files() if names else []:
        if table := raw_table.read(path):
            return _try(table, names)


def _try(table: RawTable, names: list[str]) -> None:
    plain, expected = table.frame, _rows(table, table.frame)
    if expected is None:
        return
    for name in names:
        with_offset = [_with_offset(plain[name])] if name in plain.columns else []
        moved = _rows(table, plain.with_columns(with_offset)) if with_offset else None
        if moved is None or moved.height != expected.height:
            continue
        differs = moved[name].ne_missing(expected[name]).arg_true()
        if len(differs):
            before, after = expected[name][differs[0]], moved[name][differs[0]]
            raise ContractError(
                f"dataset.py: load() moves times with an offset without a word: `{name}` was "
                f"{before.isoformat()}{OFFSET} and became {after and after.isoformat()}. Keep the "
                "time zone that Polars finds in the file, so that the file is refused, or make it a "
                "local time with `dt.convert_time_zone(...).dt.replace_time_zone(None)`."
            )


def _with_offset(values: pl.Series) -> pl.Series:
    """Give each time an offset, as text or by its type; others stay as they are."""
    if isinstance(values.dtype, pl.Datetime) and not time_zone(values.dtype):
        return values.dt.replace_time_zone(ZONE)
    if values.dtype != pl.String:
        return values
    column = pl.col(values.name)
    clock = pl.when(column.str.contains(CLOCK)).then(column + OFFSET).otherwise(column)
    return values.to_frame().select(clock.alias(values.name)).to_series()


def _rows(table: RawTable, raw: pl.DataFrame) -> pl.DataFrame | None:
    """Read raw rows with load(); None if they are refused."""
    with table.written(raw) as path:
        try:
            rows, problems = inspect(read(path), contract.Row.to_schema(), shown(table.path))
        except StageError:
            return None
    return None if problems else rows
