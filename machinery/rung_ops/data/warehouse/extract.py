"""Write what comes out of a warehouse into a file that is there whole, or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rung_ops.data.warehouse import columns
from rung_ops.data.warehouse.errors import WarehouseError, full_disk
from rung_ops.data.warehouse.source import Ends, Rows
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks

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


def write(target: Path, rows: Rows, note: dict[str, Any], watermark: str | None, ends: Ends) -> int:
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
    schema = columns.plain(rows.schema)
    count = 0
    try:
        noted = schema.with_metadata({NOTE: json.dumps(note, sort_keys=True)})
        with atomic.writing(target) as draft:
            with pq.ParquetWriter(draft, noted, compression="zstd") as file:
                for batch in rows.batches:
                    typed = columns.cast(batch, schema)
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


def note(path: Path) -> dict[str, Any]:
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
