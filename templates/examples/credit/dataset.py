"""What a row is: one credit application, and whether it turned out a bad risk.

Replace this file to bring data of your own.
"""

from pathlib import Path

import pandera.polars as pa
import polars as pl

# What is predicted: a column of Row, true or false (or a number, for a regression).
TARGET: str = "bad"
# The column that orders the rows, so that the later ones judge the model. These have no time.
TIME: str | None = None

# The raw file's codes in words, column by column. Its ninth column holds two facts in one code,
# which become two columns here.
CODES: dict[str, dict[str, str]] = {
    "checking": {
        "A11": "overdrawn",
        "A12": "below 200",
        "A13": "200 and more",
        "A14": "no account",
    },
    "history": {
        "A30": "no credits, or all repaid",
        "A31": "all repaid at this bank",
        "A32": "repaid so far",
        "A33": "late in the past",
        "A34": "critical, or credits elsewhere",
    },
    "purpose": {
        "A40": "new car",
        "A41": "used car",
        "A42": "furniture",
        "A43": "radio or television",
        "A44": "household appliance",
        "A45": "repairs",
        "A46": "education",
        "A47": "holiday",
        "A48": "retraining",
        "A49": "business",
        "A410": "other",
    },
    "savings": {
        "A61": "below 100",
        "A62": "100 to 500",
        "A63": "500 to 1000",
        "A64": "1000 and more",
        "A65": "none or unknown",
    },
    "employed": {
        "A71": "unemployed",
        "A72": "below 1 year",
        "A73": "1 to 4 years",
        "A74": "4 to 7 years",
        "A75": "7 years and more",
    },
    "sex": {"A91": "male", "A92": "female", "A93": "male", "A94": "male", "A95": "female"},
    "marital_status": {
        "A91": "divorced or separated",
        "A92": "divorced, separated or married",
        "A93": "single",
        "A94": "married or widowed",
        "A95": "single",
    },
    "other_debtors": {"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
    "assets": {
        "A121": "real estate",
        "A122": "savings contract or life insurance",
        "A123": "car or other",
        "A124": "none or unknown",
    },
    "other_plans": {"A141": "bank", "A142": "shop", "A143": "none"},
    "housing": {"A151": "rent", "A152": "own", "A153": "free"},
    "job": {
        "A171": "unskilled, not resident",
        "A172": "unskilled, resident",
        "A173": "skilled or official",
        "A174": "manager, self-employed or highly qualified",
    },
    "telephone": {"A191": "none", "A192": "registered"},
    "foreign_worker": {"A201": "yes", "A202": "no"},
}

RAW = [
    *("checking", "months", "history", "purpose", "amount", "savings", "employed", "rate"),
    *("status", "other_debtors", "residence", "assets", "age", "other_plans", "housing"),
    *("credits", "job", "dependents", "telephone", "foreign_worker", "class"),
]

PERSONAL = {"personal": True}  # says something about the applicant, not about the credit


def words(column: str) -> list[str]:
    """List the values a column may have."""
    return sorted(set(CODES[column].values()))


class Row(pa.DataFrameModel):
    """One application that was granted, and how it went."""

    checking: str = pa.Field(
        isin=words("checking"),
        description="Balance of the checking account at this bank",
        metadata={"unit": "DM"},
    )
    months: pl.Int16 = pa.Field(
        ge=1, le=120, description="Duration of the credit", metadata={"unit": "month"}
    )
    history: str = pa.Field(isin=words("history"), description="How earlier credits went")
    purpose: str = pa.Field(isin=words("purpose"), description="What the credit is for")
    amount: pl.Int32 = pa.Field(
        ge=1, le=100_000, description="Amount of the credit", metadata={"unit": "DM"}
    )
    savings: str = pa.Field(
        isin=words("savings"),
        description="Savings account or bonds",
        metadata={"unit": "DM"} | PERSONAL,
    )
    employed: str = pa.Field(
        isin=words("employed"), description="Time with the present employer", metadata=PERSONAL
    )
    rate: pl.Int8 = pa.Field(
        ge=1,
        le=4,
        description="Instalment as a share of disposable income, in four classes",
        metadata={"unit": "class"},
    )
    sex: str = pa.Field(isin=words("sex"), description="Sex", metadata=PERSONAL)
    marital_status: str = pa.Field(
        isin=words("marital_status"), description="Marital status", metadata=PERSONAL
    )
    other_debtors: str = pa.Field(
        isin=words("other_debtors"), description="Who else answers for the credit"
    )
    residence: pl.Int8 = pa.Field(
        ge=1,
        le=4,
        description="Time at the present address, in four classes",
        metadata={"unit": "class"} | PERSONAL,
    )
    assets: str = pa.Field(
        isin=words("assets"), description="Most valuable asset", metadata=PERSONAL
    )
    age: pl.Int16 = pa.Field(ge=18, le=110, description="Age", metadata={"unit": "year"} | PERSONAL)
    other_plans: str = pa.Field(isin=words("other_plans"), description="Instalments paid to others")
    housing: str = pa.Field(isin=words("housing"), description="Housing", metadata=PERSONAL)
    credits: pl.Int8 = pa.Field(ge=1, le=20, description="Credits at this bank, this one included")
    job: str = pa.Field(isin=words("job"), description="Kind of job", metadata=PERSONAL)
    dependents: pl.Int8 = pa.Field(
        ge=0, le=20, description="People the applicant has to maintain", metadata=PERSONAL
    )
    telephone: str = pa.Field(
        isin=words("telephone"),
        description="Telephone in the applicant's name",
        metadata=PERSONAL,
    )
    foreign_worker: str = pa.Field(
        isin=words("foreign_worker"), description="Foreign worker", metadata=PERSONAL
    )
    bad: bool = pa.Field(description="The bank counted the credit as a bad risk")


def load(path: Path) -> pl.DataFrame:
    """Read one raw file into a frame with the columns of Row.

    A .data file has the form of german.data: codes between spaces, no header. Parquet and CSV
    files have the columns of Row already. A code that is not in CODES is left as it is, so that
    validation names the row.
    """
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix == ".csv":
        return pl.read_csv(path, infer_schema_length=None)
    raw = pl.read_csv(path, separator=" ", has_header=False, new_columns=RAW)
    coded = raw.with_columns(sex="status", marital_status="status")
    return coded.select(
        *(pl.col(name) for name in RAW if name not in [*CODES, "status", "class"]),
        *(pl.col(name).replace(codes) for name, codes in CODES.items()),
        (pl.col("class") - 1).alias("bad"),  # 1 is good, 2 is bad
    )
