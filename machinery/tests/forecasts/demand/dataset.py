"""What a row is: an hour of a station, and how many bikes were taken in it."""

from datetime import timedelta
from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "bikes"
TIME: str | None = "hour"
HORIZON: timedelta | None = timedelta(hours=24)
ORIGIN: str | None = None
SEASON: timedelta | None = timedelta(days=1)
QUANTILES: tuple[float, ...] = ()


class Row(pa.DataFrameModel):
    hour: pl.Datetime = pa.Field(description="Its beginning")
    station: str = pa.Field(isin=["north", "south"], description="Where")
    rain: float = pa.Field(ge=0, description="Rain that is expected")
    bikes: float = pa.Field(description="Bikes that were taken")

    class Config:
        unique = ["hour", "station"]


class RowWithOrigin(Row):
    made: pl.Datetime = pa.Field(description="When the forecast is made")

    class Config:
        unique = ["made", "hour", "station"]


def load(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)
