"""What a row is: one penguin, and how heavy it was."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "body_mass"
TIME: str | None = "egg_laid"

COLUMNS = {
    "studyName": "study",
    "Sample Number": "sample",
    "Species": "species",
    "Island": "island",
    "Clutch Completion": "clutch",
    "Date Egg": "egg_laid",
    "Culmen Length (mm)": "bill_length",
    "Culmen Depth (mm)": "bill_depth",
    "Flipper Length (mm)": "flipper_length",
    "Body Mass (g)": "body_mass",
    "Sex": "sex",
    "Delta 15 N (o/oo)": "nitrogen",
    "Delta 13 C (o/oo)": "carbon",
}


class Row(pa.DataFrameModel):
    """One adult penguin that was weighed."""

    study: str = pa.Field(description="Expedition")
    sample: pl.Int16 = pa.Field(ge=1, description="Number of the sample within its species")
    species: str = pa.Field(isin=["Adelie", "Chinstrap", "Gentoo"], description="Species")
    island: str = pa.Field(isin=["Biscoe", "Dream", "Torgersen"], description="Island")
    clutch: bool = pa.Field(description="The nest was seen with two eggs")
    egg_laid: pl.Date = pa.Field(description="Day on which the nest was seen with one egg")
    bill_length: float = pa.Field(
        ge=20, le=80, description="Length of the bill", metadata={"unit": "mm"}
    )
    bill_depth: float = pa.Field(
        ge=5, le=40, description="Depth of the bill", metadata={"unit": "mm"}
    )
    flipper_length: pl.Int16 = pa.Field(
        ge=100, le=300, description="Length of a flipper", metadata={"unit": "mm"}
    )
    sex: str = pa.Field(
        isin=["FEMALE", "MALE"], nullable=True, description="Sex, where blood told it"
    )
    nitrogen: float = pa.Field(
        nullable=True, description="Share of nitrogen-15 in blood", metadata={"unit": "per mille"}
    )
    carbon: float = pa.Field(
        nullable=True, description="Share of carbon-13 in blood", metadata={"unit": "per mille"}
    )
    body_mass: float = pa.Field(ge=1000, le=10_000, description="Mass", metadata={"unit": "g"})

    class Config:
        """The samples of a species are numbered."""

        unique = ["species", "sample"]


def load(path: Path) -> pl.DataFrame:
    """Read the raw CSV, or a Parquet or CSV file with the columns of Row.

    Two penguins of the raw file were never measured and are left out. Rows to
    predict may lack the mass.
    """
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    frame = pl.read_csv(path, null_values="NA", try_parse_dates=True, infer_schema_length=None)
    if "studyName" not in frame.columns:
        return frame
    named = frame.rename(COLUMNS, strict=False)
    return (
        named.select(name for name in COLUMNS.values() if name in named.columns)
        .filter(pl.col("bill_length").is_not_null())
        .with_columns(
            pl.col("species").str.split(" ").list.first(),
            pl.col("clutch") == "Yes",
        )
    )
