"""What a row is: one field, and what it yielded."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "tonnes"
TIME: str | None = None


class Row(pa.DataFrameModel):
    """One field in one year."""

    soil: str = pa.Field(isin=["clay", "loam", "sand"], description="Kind of soil")
    rain: float = pa.Field(ge=0, nullable=True, description="Rain from April to July")
    nitrogen: float = pa.Field(ge=0, description="Nitrogen that was spread")
    irrigated: bool = pa.Field(description="The field is irrigated")
    tonnes: float = pa.Field(description="Yield for each hectare")


def load(path: Path) -> pl.DataFrame:
    """Read one CSV file."""
    return pl.read_csv(path, schema_overrides={"rain": pl.Float64, "nitrogen": pl.Float64})
