"""What is new in the warehouse, as one file for each window, or the whole as one file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rung_ops import contract
from rung_ops.data.warehouse import query
from rung_ops.data.warehouse.query import Query, Window
from rung_ops.data.warehouse.settings import Address, Settings, WarehouseError
from rung_ops.data.warehouse.source import Ends, Rows, Source, full_disk
from rung_ops.model.columns import time_zone
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks
from rung_ops.system.printable import printable

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


def cast_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Bring a batch to the types of plain()."""
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
    actual: Types, wanted: Types, before: Types, before_in: str, watermark: str | None
) -> list[str]:
    """Name the columns that are not what they should be; their order does not matter.

    Args:
        actual: what the warehouse gives.
        wanted: the columns of Row.
        before: the columns of the window before; empty if there is none.
        before_in: its file.
        watermark: a column that Row need not have.
    """
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
    # What the types say; whether each value survives is for quality.py to tell, row by row.
    kinds: tuple[Callable[[pl.DataType], bool], ...] = (
        lambda dtype: dtype.is_numeric(),
        lambda dtype: dtype in (pl.Date, pl.Datetime),
        lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
    )
    return actual == wanted or any(kind(actual) and kind(wanted) for kind in kinds)


NOTE = b"rung.warehouse"  # the key of a note in a file's metadata


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one that takes rows; what a killed one left half written goes first.

    Raises:
        WarehouseError: another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = locks.try_lock(folder.with_name(f".{folder.name}.tmp"))  # git passes it over
    if lock is None:
        raise WarehouseError(f"Another pull is writing to {shown(folder)}: wait until it ends.")
    try:
        for left in folder.glob(".*.parquet.tmp"):
            left.unlink()
        yield
    finally:
        os.close(lock)


def write_rows(
    target: Path, rows: Rows, note: dict[str, Any], watermark: str | None, ends: Ends
) -> int:
    """Write rows to a file, batch by batch; no file where there are none.

    Args:
        target: the file; one that is there is replaced, unless it has the same content.
        rows: from a warehouse.
        note: what to remember of them.
        watermark: the column whose values must lie between the ends, where the rows have it.
        ends: since and until.

    Returns:
        The number of rows written: 0 if there are none, or the file has the same ones.

    Raises:
        WarehouseError: the disk is full, a row is outside the window, or there are no rows at
            all where all were asked for.
    """
    schema = plain_schema(rows.schema)
    count = 0
    try:
        noted = schema.with_metadata({NOTE: json.dumps(note, sort_keys=True)})
        with atomic.writing(target) as draft:
            with pq.ParquetWriter(draft, noted, compression="zstd") as file:
                for batch in rows.batches:
                    typed = cast_batch(batch, schema)
                    _stay_between(typed, watermark, ends, target.name)
                    file.write_batch(typed)
                    count += typed.num_rows
            if ends is None and not count:
                raise WarehouseError(
                    f"The query gives no rows: {target.name} was left as it is. Look at the table, "
                    "and at queries/rows.sql."
                )
            if target.exists() and _hash(draft) == _hash(target):
                count = 0
            if not count:
                draft.unlink()
    except pa.ArrowInvalid as error:
        raise WarehouseError(
            f"{target.name}: a value does not fit its column ({error}). Cast it in "
            "queries/rows.sql."
        ) from None
    except OSError as error:
        full = full_disk(error, shown(target))
        if full is None:
            raise
        raise full from None
    return count


def note_of(path: Path) -> dict[str, Any]:
    """Read what was noted with a file; empty if it is not one of ours."""
    note = (pq.read_schema(path).metadata or {}).get(NOTE, b"{}")
    return dict(json.loads(note))


def _stay_between(batch: pa.RecordBatch, watermark: str | None, ends: Ends, name: str) -> None:
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


def _hash(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


SNAPSHOT = "all-rows.parquet"  # the file of a project without a watermark

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
        limit = self.source.now() - self.settings.lag
        done = query.taken(self.folder)
        rows = 0
        for run in query.waiting(done, self.settings.first, limit, self.settings.window):
            empty = 0
            for window in run:
                came = self._take(self.folder / window.file_name, window.ends, f"{window}: ")
                rows += came
                empty = 0 if came else empty + 1
                # After 1, 2, 4, ... empty ones in a row: is there anything at all further on?
                if empty and empty & (empty - 1) == 0 and not self._more(window, run[-1]):
                    break
        return rows

    def snapshot(self) -> int:
        """Take all rows; return their number."""
        return self._take(self.folder / SNAPSHOT, None, "")

    def _more(self, window: Window, last: Window) -> bool:
        rest = Window(window.until, last.until)
        return rest.since < rest.until and self.source.holds_any(self.query, rest.ends)

    def _take(self, target: Path, ends: Ends, words: str) -> int:
        try:
            with self.source.rows(self.query, ends) as rows:
                self._refuse_others(rows)
                came = write_rows(target, rows, self._note(), self.settings.watermark, ends)
        except WarehouseError as error:
            raise self._explained(error) from None
        if came:
            self.say(f"{words}{came:,} rows: {shown(target)}")
        return came

    def _note(self) -> dict[str, Any]:
        # Nothing that differs between two machines: the same rows make the same file.
        return {"query": self.query.hash, "sample": self.address.is_sample}

    def _refuse_others(self, rows: Rows) -> None:
        actual = column_types(plain_schema(rows.schema))
        if len(actual) != len(rows.schema):
            raise WarehouseError(f"{shown(self.query.file)} gives two columns of one name.")
        last = last_here(self.folder)
        before = column_types(pq.read_schema(last)) if last else {}
        wrong = column_differences(
            actual, row_types(), before, last.name if last else "", self.settings.watermark
        )
        if wrong:
            raise WarehouseError("\n".join([*map(printable, wrong), MEANT]))

    def _explained(self, error: WarehouseError) -> WarehouseError:
        """Say what a column was that the query asks for and the warehouse no longer has."""
        last = last_here(self.folder)
        before = column_types(pq.read_schema(last)) if last else {}
        if error.gone is None or error.gone not in row_types() | before:
            return error
        gone = column_gone(error.gone, row_types(), before, last.name if last else "")
        return WarehouseError("\n".join([str(error), gone, MEANT]))


def pull(settings: Settings, address: Address, folder: Path, say: Say = print) -> int:
    """Take what is new; return the number of rows.

    Raises:
        WarehouseError: the warehouse says no, or gives what must not be mixed with what is here.
    """
    asked = query.read(settings.query, settings.watermark)
    with alone(folder):
        refuse_to_mix(settings, address, folder)
        if address.is_sample and address.file is not None and not address.file.exists():
            from rung_ops.data.warehouse.duckdb import fill_sample

            fill_sample(address.file)
            say(f"filled {address.shown} from data/sample, as WAREHOUSE_URL is not set")
        with connected(address) as source:
            under_way = Pull(source, address, asked, settings, folder, say)
            return under_way.windows() if asked.windowed else under_way.snapshot()


@contextmanager
def connected(address: Address) -> Iterator[Source]:
    """Connect to the warehouse at an address.

    Raises:
        WarehouseError: there is no driver, or access is denied.
    """
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


def refuse_to_mix(settings: Settings, address: Address, folder: Path) -> None:
    """Refuse where what is here is of another kind than what would come.

    Raises:
        WarehouseError: it is.
    """
    done = query.taken(folder)
    snapshots = [path for path in (folder / SNAPSHOT, folder / f"{SNAPSHOT}.dvc") if path.exists()]
    if (settings.watermark and snapshots) or (not settings.watermark and done):
        other = SNAPSHOT if snapshots else done[0].file_name
        raise WarehouseError(
            f"{shown(folder / other)} was taken {'without' if snapshots else 'with'} a watermark, and "
            f"warehouse.toml now says otherwise. {_start_over(folder)}"
        )
    last = last_here(folder)
    if (done or snapshots) and last is None:
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


def last_here(folder: Path) -> Path | None:
    """Find the file taken last whose content is here."""
    names = [window.file_name for window in query.taken(folder)] + [SNAPSHOT]
    return next((folder / name for name in reversed(names) if (folder / name).exists()), None)


def row_types() -> dict[str, Any]:
    """Name the columns of Row and their types."""
    return {name: column.dtype.type for name, column in contract.Row.to_schema().columns.items()}


def _start_over(folder: Path) -> str:
    return f"To start again, delete the folder {shown(folder)}, and pull."
