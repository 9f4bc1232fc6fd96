"""What a row is: a quarter of a day at an airport, and how many of its flights arrived late."""

from datetime import timedelta
from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "late"
TIME: str | None = "part"
# Each row is predicted a day before its time, and weeks resemble each other.
HORIZON = timedelta(days=1)
SEASON = timedelta(days=7)


class Row(pa.DataFrameModel):
    """Six hours at an airport."""

    part: pl.Datetime = pa.Field(description="Beginning of the six hours")
    airport: str = pa.Field(isin=["EWR", "JFK", "LGA"], description="Airport of departure")
    planned: pl.Int64 = pa.Field(ge=1, description="Flights in the timetable")
    late: pl.Int64 = pa.Field(ge=0, description="Those that arrived more than 15 minutes late")

    class Config:
        """An airport is a series: it has one row for each part of a day."""

        unique = ["part", "airport"]


def load(path: Path) -> pl.DataFrame:
    """Read one raw file."""
    return pl.read_csv(path, try_parse_dates=True)
