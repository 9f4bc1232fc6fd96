"""Write rows many times over, each time at another moment, so that no two are of the same flight.

The last argument is a file, or a folder for files of 20 times each, whose rows are wide: each
carries 600 characters along.
"""

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

source, times, target = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
rows = pl.read_parquet(source)
# Each text is another one, as equal ones would be held in memory once.
wide = pl.format("{}{}", pl.int_range(pl.len()), pl.lit("x" * 600)).alias("note")


def write(file: Path, numbers: range, *more: pl.Expr) -> None:
    """Write a file, a row group for each time."""
    writer = None
    for number in numbers:
        moved = pl.col("scheduled") + timedelta(days=364 * (number % 100))
        table = rows.with_columns(moved, *more).to_arrow()
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()


if target.suffix:
    write(target, range(times))
else:
    target.mkdir()
    for number in range(0, times, 20):
        write(target / f"{number:06}.parquet", range(number, number + 20), wide)
