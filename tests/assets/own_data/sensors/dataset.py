"""What a row is: what 300 sensors of a machine said, and whether it failed on the day after."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "failed"
TIME: str | None = "day"
SENSORS = [f"sensor_{number:03}" for number in range(298)]

SCHEMA = {"day": pl.Date, **dict.fromkeys(SENSORS, pl.Float64), "failed": pl.Boolean}

Row: type[pa.DataFrameModel] = type(
    "Row",
    (pa.DataFrameModel,),
    {
        "__doc__": "One machine on one day.",
        "__annotations__": dict(SCHEMA),
        **{name: pa.Field(nullable=name in SENSORS, description=name) for name in SCHEMA},
    },
)


def load(path: Path) -> pl.DataFrame:
    """Read one CSV file."""
    return pl.read_csv(path, schema_overrides=SCHEMA)
