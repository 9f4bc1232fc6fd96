"""What a row is: a credit that was asked for, and its amount."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "amount"
# What is predicted of it: the low end of an interval, the median, the high end.
QUANTILES = (0.1, 0.5, 0.9)
TIME: str | None = None


class Row(pa.DataFrameModel):
    """One credit."""

    months: pl.Int64 = pa.Field(ge=1, le=120, description="Duration")
    purpose: str = pa.Field(str_matches=r"^A\d+$", description="What it is for, as a code")
    rate: pl.Int64 = pa.Field(ge=1, le=4, description="Instalment as a share of income, a class")
    age: pl.Int64 = pa.Field(ge=18, le=110, description="Age", metadata={"unit": "year"})
    job: str = pa.Field(str_matches=r"^A\d+$", description="Kind of job, as a code")
    amount: pl.Int64 = pa.Field(ge=1, description="Amount", metadata={"unit": "DM"})


def load(path: Path) -> pl.DataFrame:
    """Read one raw file."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, infer_schema_length=None)
