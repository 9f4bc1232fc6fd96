"""What a row is: one ticket as a customer wrote it, and whether it was urgent."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "urgent"
TIME: str | None = "received"


class Row(pa.DataFrameModel):
    """One ticket."""

    received: pl.Datetime = pa.Field(description="When it came in")
    message: str = pa.Field(description="What the customer wrote")
    urgent: bool = pa.Field(description="It could not wait until the next day")


def load(path: Path) -> pl.DataFrame:
    """Read one CSV file."""
    return pl.read_csv(path, try_parse_dates=True)
