"""What a row is: one flight as the timetable knows it, and whether it arrived late.

Replace this file to bring data of your own.
"""

from pathlib import Path

import pandera.polars as pa
import polars as pl

# What is predicted: a column of Row, true or false (or a number, or a text with classes in `isin`).
TARGET: str = "late"
# The column that orders the rows: the model learns from the earlier ones, and the later ones
# judge it. None where rows have no time.
TIME: str | None = "scheduled"


class Row(pa.DataFrameModel):
    """One flight out of New York that arrived where it was meant to."""

    scheduled: pl.Datetime = pa.Field(
        description="Scheduled departure",
        metadata={"unit": "local time"},
    )
    carrier: str = pa.Field(
        str_matches=r"^[A-Z0-9]{2}$",
        description="Airline, its two-character code",
    )
    flight: pl.Int16 = pa.Field(ge=1, le=9999, description="Flight number")
    origin: str = pa.Field(
        isin=["EWR", "JFK", "LGA"],
        description="Airport of departure",
    )
    destination: str = pa.Field(
        str_matches=r"^[A-Z]{3}$",
        description="Airport of arrival, its three-letter code",
    )
    distance: pl.Int16 = pa.Field(
        ge=10,
        le=10_000,
        description="Distance between the two airports",
        metadata={"unit": "mile"},
    )
    late: bool = pa.Field(description="Arrived more than 15 minutes after the scheduled time")

    class Config:
        """No two rows are of the same flight."""

        unique = ["scheduled", "carrier", "flight"]


def load(path: Path) -> pl.DataFrame:
    """Read one raw file, Parquet or CSV, into a frame with the columns of Row."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)
