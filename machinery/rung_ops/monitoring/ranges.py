"""Compare logged rows with the bounds of the release's contract."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from rung_ops.model.columns import columns_of
from rung_ops.model.rules import broken

SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "rule": pl.String,
    "rows": pl.Int64,
    "share": pl.Float64,
    "example": pl.String,
}


def violations(rows: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    """Count the rows that break a rule, for each rule that is broken.

    Args:
        rows: the input columns of logged rows.
        columns: of the release's contract.

    Returns:
        One row a broken rule, of SCHEMA; empty where all keep all.
    """
    breaches = []
    for column in columns_of({"columns": columns}):
        if column.name not in rows.columns:
            continue
        values = rows.get_column(column.name)
        for rule, breaks in broken(column, values):
            bad = values.filter(breaks)
            if len(bad):
                breaches.append(
                    (column.name, rule, len(bad), len(bad) / rows.height, _example(bad))
                )
    return pl.DataFrame(breaches, schema=SCHEMA, orient="row")


def _example(bad: pl.Series) -> str:
    return "nothing" if bad[0] is None else str(bad[0])
