"""What a row is: a delivery as it is planned, and how many minutes it took."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "minutes"
QUANTILES = (0.1, 0.5, 0.9)
TIME: str | None = "planned"


class Row(pa.DataFrameModel):
    delivery: str = pa.Field(description="Its number")
    planned: pl.Datetime = pa.Field(description="When it is to begin")
    vehicle: str = pa.Field(isin=["bike", "van"], description="What brings it")
    distance: float = pa.Field(ge=0, le=100, description="How far it goes")
    stops: float | None = pa.Field(nullable=True, ge=0, description="Stops on the way")
    minutes: float = pa.Field(ge=0, description="How long it took")

    class Config:
        unique = ["delivery"]


def load(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)
