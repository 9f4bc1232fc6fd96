"""A person's rows in tables: by an id, by values of columns, or equal to rows found before."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.contract import raw_file
from rung_ops.errors import OpsError
from rung_ops.model.added_columns import PREDICTION_ID
from rung_ops.prediction_log import sealed
from rung_ops.system import atomic

# Columns that name a prediction: of log and outcomes, and of what `poe predict` writes.
ID_COLUMNS = ("id", PREDICTION_ID)


@dataclass(frozen=True)
class Subject:
    """A person, as identified by rows."""

    # value by column, as text; a row belongs to it where all of them hold
    columns: Mapping[str, str] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()  # of predictions
    # whole rows of the contract without the target; equal rows belong to it in tables whose
    # rows have no id of a prediction
    rows: pl.DataFrame | None = None

    def having(self, log: pl.DataFrame) -> "Subject":
        """Add the ids and rows of its predictions, those of a prediction log."""
        ids = self.ids | set(log["id"].to_list())
        rows = typed(log["row"].struct.unnest())
        known = [each for each in (self.rows, rows) if each is not None and each.height]
        joined = pl.concat(known).unique(maintain_order=True) if known else None
        return replace(self, ids=frozenset(ids), rows=joined)

    def mask(self, frame: pl.DataFrame) -> pl.Series:
        """Tell which rows of a table belong to it.

        Args:
            frame: of the prediction log, or any table, shape (n_rows, n_columns).

        Returns:
            True for its rows, shape (n_rows,).
        """
        matches = _all_rows(frame, False)
        for name in ID_COLUMNS:
            if self.ids and name in frame.columns:
                ids = frame[name].cast(pl.String, strict=False)
                matches |= ids.is_in(list(self.ids)).fill_null(False)
        inner = frame["row"].struct.unnest() if _is_log(frame) else frame
        if self.columns and set(self.columns) <= set(inner.columns):
            held = _all_rows(frame, True)
            for name, text in self.columns.items():
                held &= _equal(inner[name], text)
            matches |= held
        if not _is_log(frame) and PREDICTION_ID not in frame.columns:
            matches |= self.equal(frame)
        return matches

    def equal(self, frame: pl.DataFrame) -> pl.Series:
        """Tell which rows of a table are equal to one of its rows, shape (n_rows,)."""
        rows = typed(frame) if self.rows is not None else None
        if rows is None or self.rows is None:
            return _all_rows(frame, False)
        marked = self.rows.unique().with_columns(pl.lit(True).alias("is one of them"))
        joined = rows.join(
            marked, on=rows.columns, how="left", nulls_equal=True, maintain_order="left"
        )
        return joined["is one of them"].fill_null(False)


def typed(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Take the contract's columns of a table, with its types; None if one is missing."""
    schema = contract.Row.to_schema()
    kinds = {n: c.dtype.type for n, c in schema.columns.items() if n != contract.TARGET}
    if not set(kinds) <= set(frame.columns):
        return None
    return pl.DataFrame([_cast(frame[name], kind) for name, kind in kinds.items()])


def _cast(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """Cast a column, a text as polars writes it into CSV; null where that cannot be."""
    try:
        if values.dtype == pl.String and kind == pl.Boolean:
            words = {"true": True, "false": False}
            return values.replace_strict(words, default=None, return_dtype=kind)
        if values.dtype == pl.String and kind in (pl.Date, pl.Datetime):
            values = values.str.to_datetime(strict=False)
        return values.cast(kind, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=kind)


def _is_log(frame: pl.DataFrame) -> bool:
    return isinstance(frame.schema.get("row"), pl.Struct)


def _all_rows(frame: pl.DataFrame, value: bool) -> pl.Series:
    return pl.repeat(value, frame.height, dtype=pl.Boolean, eager=True)


def _equal(values: pl.Series, text: str) -> pl.Series:
    """Compare a column with a value that somebody typed; what cannot be equal is not."""
    kind = values.dtype
    wanted: Any = text
    try:
        if kind.is_integer():
            wanted = int(text)
        elif kind.is_float():
            wanted = float(text)
        elif kind.is_temporal():
            wanted = pl.Series([datetime.fromisoformat(text)]).cast(kind)[0]
        elif kind == pl.Boolean:
            wanted = {"true": True, "false": False}[text.lower()]
        else:
            values = values.cast(pl.String, strict=False)
        return (values == wanted).fill_null(False)
    except (ValueError, KeyError, OverflowError, pl.exceptions.PolarsError):
        return _all_rows(values.to_frame(), False)


SUFFIXES = (".parquet", ".csv")
# Folders of a project without rows of people, or with a search of their own (versions).
PASSED_OVER = {".git", ".venv", ".dvc", ".cache", "vendor", "node_modules", "__pycache__", ".keys"}


class UnreadableTableError(OpsError):
    """A file cannot be read as a table."""


def files(folder: Path) -> Iterator[Path]:
    """List the tables in a folder and below, in a fixed order."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in PASSED_OVER)
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(SUFFIXES))


def read(path: Path, kind: str = "") -> pl.DataFrame:
    """Read a table, of CSV as text alone: what is not taken out stays as it was written."""
    try:
        if (kind or path.suffix) == ".csv":
            return pl.read_csv(path, infer_schema=False)
        return sealed.read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableTableError(str(error).strip().splitlines()[0]) from error


def count(path: Path, subject: Subject, kind: str = "") -> int:
    """Count the rows of a person in a table."""
    return int(subject.mask(read(path, kind)).sum())


def take_out(path: Path, subject: Subject) -> int:
    """Rewrite a table without the rows of a person; return how many there were.

    The file keeps its name, its columns and its mode. A reader finds the old one or the new one.
    """
    frame = read(path)
    mask = subject.mask(frame)
    if not mask.any():
        return 0
    mode, was_sealed = stat.S_IMODE(path.stat().st_mode), sealed.is_sealed(path)
    of_rung = raw_file.is_row_file(path)
    kept = frame.filter(~mask)
    with atomic.writing(path, writer="erase", private=True) as draft:
        if path.suffix == ".csv":
            kept.write_csv(draft)
        elif was_sealed:
            sealed.write(kept, draft)
        elif of_rung:
            raw_file.write_rows(kept, draft)
        else:
            kept.write_parquet(draft)
        draft.chmod(mode)
    return int(mask.sum())
