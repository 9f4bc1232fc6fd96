"""How often a missing value was replaced by the contract's default."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from rung_ops.monitoring import contingency

SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "defaulted": pl.Int64,
    "share": pl.Float64,
    "expected": pl.Float64,
    "p_value": pl.Float64,
}


def defaulted(
    log: pl.DataFrame,
    columns: list[Mapping[str, Any]],
    reference: pl.DataFrame,
    trained: dict[str, float] | None = None,
) -> pl.DataFrame:
    """Count the rows in which a default was used, column by column.

    A share that rises is often the first sign of trouble: the model still answers, and a source
    has fallen silent.

    Args:
        log: rows of the prediction log.
        columns: of the release's contract; those that may be missing are counted. `default_share`
            says how often one was missing in training.
        reference: features of training rows, for a release whose contract has no such share: a
            feature of the same name says how often it was missing; otherwise never is expected.
        trained: by entity feature, the share of the training rows that had the default.

    Returns:
        One row a column, of SCHEMA: share of the rows, the share expected, and the probability of
        so different a share where nothing differs; null without rows.
    """
    used = Counter(log["defaults_used"].explode().drop_nulls().to_list())
    shares = {column["name"]: column.get("default_share") for column in columns} | (trained or {})
    optional = [column["name"] for column in columns if not column["required"]]
    rows_of_columns = []
    for name in sorted({*optional, *used}):
        absent = reference[name].null_count() if name in reference.columns else 0
        if (known := shares.get(name)) is not None:
            absent = round(known * reference.height)
        row = {
            "column": name,
            "defaulted": used[name],
            "expected": absent / max(1, reference.height),
        }
        if log.height and reference.height:
            row["share"] = used[name] / log.height
            row["p_value"] = contingency.fisher(used[name], log.height, absent, reference.height)
        rows_of_columns.append(row)
    return pl.DataFrame(rows_of_columns, schema=SCHEMA)
