"""What a row is: a parcel as it was handed in, and how its delivery went."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "outcome"
TIME: str | None = "handed_in"


class Row(pa.DataFrameModel):
    parcel: str = pa.Field(description="Its number")
    handed_in: pl.Datetime = pa.Field(description="When it was handed in")
    service: str = pa.Field(isin=["standard", "express"], description="What was paid for")
    distance: float = pa.Field(ge=0, le=5_000, description="How far it goes")
    weight: float | None = pa.Field(nullable=True, description="What it weighs")
    outcome: str = pa.Field(isin=["on time", "late", "lost & found"], description="How it went")

    class Config:
        unique = ["parcel"]


def load(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, try_parse_dates=True)
