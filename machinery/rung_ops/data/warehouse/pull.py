"""Say what was taken from the warehouse, `poe data`, or take what is new, `poe data pull`.

That is one file for each window, or the whole as one file.
"""

import filecmp
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rung_ops import contract
from rung_ops.data.warehouse import query
from rung_ops.data.warehouse.query import DayRange, Ends, Query, Rows, Source, writing
from rung_ops.data.warehouse.settings import Address, Settings, WarehouseError
from rung_ops.model.columns import time_zone
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.printable import counted, printable

Types = dict[str, pl.DataType]

MEANT = (
    "Nothing was written. Write into queries/rows.sql what gives the columns as they were "
    "(`new_name AS name`, `CAST(column AS type)`). Where the change is meant, change Row in "
    "dataset.py too, and take all windows again: delete the folder data/incoming/warehouse, then "
    "`uv run poe data pull`."
)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Choose the types of a raw file: what only the warehouse knows becomes text or a number."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Cast rows to a schema of plain_schema()."""
    columns = [
        (column.storage if isinstance(column, pa.ExtensionArray) else column).cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def column_types(schema: pa.Schema) -> Types:
    """Name the columns' types as dataset.py does."""
    frame = pl.from_arrow(schema.remove_metadata().empty_table())
    assert isinstance(frame, pl.DataFrame)
    return dict(frame.schema)


def column_differences(
    actual: Types, wanted: Types, before: Types, before_in: str, watermark: str
) -> list[str]:
    """Name the columns that differ from Row or from the file before; their order does not matter."""
    differing = []
    for name in wanted | before:
        if name not in actual:
            differing.append(column_gone(name, wanted, before, before_in))
        elif name in before and actual[name] != before[name]:
            differing.append(
                f"column `{name}` has another type: it is {actual[name]}, and {before_in} has "
                f"{before[name]}."
            )
        elif name in wanted and not _fits(actual[name], wanted[name]):
            differing.append(f"column `{name}` is {actual[name]}, and Row wants {wanted[name]}.")
    for name, dtype in actual.items():
        if name not in wanted and name != watermark and name not in before:
            differing.append(f"column `{name}` is new: it is {dtype}, and Row has no such column.")
    return differing


def column_gone(name: str, wanted: Types, before: Types, before_in: str) -> str:
    """Say what a column was that the warehouse no longer gives."""
    expected = [f"Row wants {wanted[name]}"] if name in wanted else []
    expected += [f"{before_in} has {before[name]}"] if name in before else []
    return f"column `{name}` is gone: {', '.join(expected)}."


def _plain_type(dtype: pa.DataType) -> pa.DataType:
    if getattr(dtype, "type_name", None) == "numeric" or pa.types.is_decimal(dtype):
        return pa.float64()
    if isinstance(dtype, pa.BaseExtensionType):
        return dtype.storage_type
    if pa.types.is_dictionary(dtype):
        return dtype.value_type
    return dtype


def _fits(actual: pl.DataType, wanted: pl.DataType) -> bool:
    if time_zone(actual) and not time_zone(wanted):
        return False
    # What the types say; whether each value survives is for `poe validate` to tell.
    if actual == wanted or (actual.is_numeric() and wanted.is_numeric()):
        return True
    kinds = ((pl.Date, pl.Datetime), (pl.String, pl.Categorical, pl.Enum))
    return any(actual in kind and wanted in kind for kind in kinds)


NOTE = b"rung.warehouse"  # the key of a note in a file's metadata


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one that takes rows; what a killed one left half written goes first."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = files.try_lock(folder.with_name(f".{folder.name}.tmp"))  # git passes it over
    if lock is None:
        raise WarehouseError(f"Another pull is writing to {shown(folder)}: wait until it ends.")
    try:
        for left in folder.glob(".*.parquet.tmp"):
            left.unlink()
        yield
    finally:
        os.close(lock)


def write_rows(target: Path, rows: Rows, note: dict[str, Any], watermark: str, ends: Ends) -> int:
    """Write rows to a file, unless it holds the same; return their number, 0 if nothing was written."""
    schema = plain_schema(rows.schema)
    count = 0
    try:
        noted = schema.with_metadata({NOTE: json.dumps(note, sort_keys=True)})
        with writing(target) as draft:
            with pq.ParquetWriter(draft, noted, compression="zstd") as file:
                for batch in rows.batches:
                    typed = plain_batch(batch, schema)
                    _stay_between(typed, watermark, ends, target.name)
                    file.write_batch(typed)
                    count += typed.num_rows
            if ends is None and not count:
                raise WarehouseError(
                    f"The query gives no rows: {target.name} was left as it is. Look at the table, "
                    "and at queries/rows.sql."
                )
            if target.exists() and filecmp.cmp(draft, target, shallow=False):
                count = 0
            if not count:
                draft.unlink()
    except pa.ArrowInvalid as error:
        raise WarehouseError(
            f"{target.name}: a value does not fit its column ({error}). Cast it in "
            "queries/rows.sql."
        ) from None
    return count


def note_of(path: Path) -> dict[str, Any]:
    """Read what was noted with a file; empty if it is not one of ours."""
    note = (pq.read_schema(path).metadata or {}).get(NOTE, b"{}")
    return dict(json.loads(note))


def _stay_between(batch: pa.RecordBatch, watermark: str, ends: Ends, name: str) -> None:
    if ends is None or watermark not in batch.schema.names:
        return
    moments = batch.column(watermark)
    if not pa.types.is_temporal(moments.type):
        raise WarehouseError(
            f"`{watermark}`, the watermark in ops/warehouse.toml, is {moments.type}: it must be a time "
            "or a day."
        )
    # As UTC without a zone, whichever it has.
    extremes = pc.min_max(moments.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))).as_py()
    if moments.null_count or extremes["min"] < ends[0] or extremes["max"] >= ends[1]:
        raise WarehouseError(
            f"{name}: the query gives rows outside the window, which would count twice: write "
            f"`where {watermark} >= $since and {watermark} < $until` into queries/rows.sql."
        )


SNAPSHOT = "all-rows.parquet"  # the file of a project without a watermark
SAMPLE = "sample.parquet"  # the file of a project whose rows are judged in the warehouse

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pull:
    """A pull under way: from where, by which query, into which folder."""

    source: Source
    address: Address
    query: Query
    settings: Settings
    folder: Path
    say: Say

    def windows(self) -> int:
        """Take every window that is over and was not taken; return the number of rows."""
        limit = self.until()
        size = timedelta(days=self.settings.window_days)
        rows = 0
        for run in query.waiting(query.taken(self.folder), self.settings.first, limit, size):
            empty = 0
            for window in run:
                came = self.take(self.folder / window.file_name, window.ends, f"{window}: ")
                rows += came
                empty = 0 if came else empty + 1
                # After 1, 2, 4, ... empty ones in a row: is there anything at all further on?
                rest = DayRange(window.until, run[-1].until)
                if empty and empty & (empty - 1) == 0 and not self._holds_any(rest):
                    break
        return rows

    def snapshot(self) -> int:
        """Take all rows; return their number."""
        return self.take(self.folder / SNAPSHOT, None, "")

    def until(self) -> date:
        """Return the first day whose rows may still come or change."""
        return (self.source.now() - timedelta(hours=self.settings.lag_hours)).date()

    def _holds_any(self, rest: DayRange) -> bool:
        return rest.since < rest.until and self.source.holds_any(self.query, rest.ends)

    def take(self, target: Path, ends: Ends, words: str) -> int:
        """Write the rows of the query to a file; return their number, 0 where it holds the same."""
        try:
            with self.source.rows(self.query, ends) as rows:
                self.refuse_others(rows.schema)
                # Nothing that differs between two machines: the same rows make the same file.
                note = {"query": self.query.hash, "sample": self.address.is_sample}
                came = write_rows(target, rows, note, self.settings.watermark, ends)
        except WarehouseError as error:
            raise self._explained(error) from None
        if came:
            self.say(f"{words}{came:,} rows: {shown(target)}")
        return came

    def refuse_others(self, schema: pa.Schema) -> None:
        """Refuse columns that are not those of Row and of the file before."""
        actual = column_types(plain_schema(schema))
        if len(actual) != len(schema):
            raise WarehouseError(f"{shown(self.query.file)} gives two columns of one name.")
        before, name = self._before()
        actual, before = _of_the_query(actual), _of_the_query(before)
        wrong = column_differences(actual, row_types(), before, name, self.settings.watermark)
        if wrong:
            raise WarehouseError("\n".join([*map(printable, wrong), MEANT]))

    def _explained(self, error: WarehouseError) -> WarehouseError:
        """Say what a column was that the query asks for and the warehouse no longer has."""
        before, name = self._before()
        if error.gone is None or error.gone not in row_types() | before:
            return error
        gone = column_gone(error.gone, row_types(), before, name)
        return WarehouseError("\n".join([str(error), gone, MEANT]))

    def _before(self) -> tuple[Types, str]:
        """Read the columns of the file taken last, and its name."""
        last = last_here(self.folder)
        return (column_types(pq.read_schema(last)), last.name) if last else ({}, "")


def pull(
    says: Settings,
    address: Address,
    folder: Path,
    say: Say = print,
    sample: Callable[[Pull], int] | None = None,
) -> int:
    """Take what is new; return the number of rows.

    Args:
        sample: takes the rows where ops/warehouse.toml says `rows = "sample"`.
    """
    sql_query = query.read(says.query, says.watermark)
    with alone(folder):
        refuse_to_mix(says, address, folder)
        if fill_missing_sample(address):
            say(f"filled {address.shown} from data/sample, as WAREHOUSE_URL is not set")
        with connected(address) as source:
            under_way = Pull(source, address, sql_query, says, folder, say)
            if says.rows == "sample":
                assert sample is not None
                return sample(under_way)
            return under_way.windows() if sql_query.windowed else under_way.snapshot()


def fill_missing_sample(address: Address) -> bool:
    """Make the warehouse of data/sample, where it is meant and missing; return whether it was."""
    if not address.is_sample or address.file is None or address.file.exists():
        return False
    from rung_ops.data.warehouse.duckdb import fill_sample

    fill_sample(address.file)
    return True


@contextmanager
def connected(address: Address) -> Iterator[Source]:
    """Connect to the warehouse at an address."""
    # Imported here: a project has the drivers of both, but only one is used at a time.
    try:
        if address.file is None:
            from rung_ops.data.warehouse import postgresql

            opened: AbstractContextManager[Source] = postgresql.connect(address)
        else:
            from rung_ops.data.warehouse import duckdb

            opened = duckdb.connect(address)
    except ImportError as error:
        raise WarehouseError(
            f"The driver for {address.shown} is not installed ({error}): `uv sync` installs it."
        ) from None
    with opened as source:
        yield source


def refuse_to_mix(says: Settings, address: Address, folder: Path) -> None:
    """Refuse where what is here is of another kind than what would come."""
    done = query.taken(folder)
    wholes = [f for f in (SNAPSHOT, SAMPLE) if any(folder.glob(f"{f}*"))]
    others = [file for file in wholes if file != whole_file(says)]
    others += [window.file_name for window in done if whole_file(says)]
    if others:
        raise WarehouseError(
            f"{shown(folder / others[0])} was taken by another `watermark` or `rows` than "
            f"ops/warehouse.toml has now. {_start_over(folder)}"
        )
    last = last_here(folder)
    if (done or wholes) and last is None:
        raise WarehouseError(
            f"What was taken before is versioned, but not in {shown(folder)}, so that nothing can "
            "be compared with it: `uv run poe pull` fetches it."
        )
    if last and (note_of(last).get("sample", False) != address.is_sample):
        came = "the warehouse of the sample" if not address.is_sample else "a warehouse of your own"
        now = "is not set" if address.is_sample else f"names {address.shown}"
        raise WarehouseError(
            f"{shown(last)} came out of {came}, and WAREHOUSE_URL {now}: rows of the two must not "
            f"be mixed. Fix WAREHOUSE_URL. {_start_over(folder)}"
        )


def _of_the_query(columns: Types) -> Types:
    """Leave out what entity_sql added."""
    return {name: kind for name, kind in columns.items() if not name.startswith("rung ")}


def whole_file(says: Settings) -> str | None:
    """Name the file that each pull replaces; None where each window has a file."""
    return SAMPLE if says.rows == "sample" else None if says.watermark else SNAPSHOT


def last_here(folder: Path) -> Path | None:
    """Find the file taken last whose content is here."""
    names = [window.file_name for window in query.taken(folder)] + [SNAPSHOT, SAMPLE]
    return next((folder / name for name in reversed(names) if (folder / name).exists()), None)


def row_types() -> dict[str, Any]:
    """Name the columns of Row and their types."""
    return {name: column.dtype.type for name, column in contract.Row.to_schema().columns.items()}


def _start_over(folder: Path) -> str:
    return f"To start again, delete the folder {shown(folder)}, and pull."


def describe(says: Settings, where: Address, folder: Path) -> list[str]:
    """Say what is here; nothing is asked of the warehouse."""
    sql_query = query.read(says.query, says.watermark)
    unset = ": the sample's own, as WAREHOUSE_URL is not set" if where.is_sample else ""
    lines = [f"warehouse  {where.shown}{unset}", f"query      {shown(sql_query.file)}"]
    done = query.taken(folder)
    whole = whole_file(says)
    names = [whole] if whole else [window.file_name for window in done]
    here = [folder / name for name in names if (folder / name).exists()]
    away = [name for name in names if (folder / f"{name}.dvc").exists()]
    away = [name for name in away if folder / name not in here]
    counts = {path: pq.read_metadata(path).num_rows for path in here}
    lines += [f"  {path.name:32} {count:>12,} rows" for path, count in counts.items()]
    lines += [f"  {name:32} versioned, not here: `uv run poe pull`" for name in away]
    if not whole:
        day = done[-1].until if done else says.first
        lines.append(f"watermark  {says.watermark} < {day}, in UTC")
    lines.append(f"rows       {sum(counts.values()):,} in {counted(len(here), 'file')}")
    if not here and not away:
        lines.append("Nothing was taken yet: `uv run poe data pull`.")
    others = Counter(note_of(path).get("query") == sql_query.hash for path in here)[False]
    if others:
        lines.append(
            f"Taken by another text of {shown(sql_query.file)}: {counted(others, 'file')}. Where that "
            "matters, delete them together with their .dvc files, and pull: they are taken again."
        )
    return lines
