"""Compare what the model sees today with what it learned from, feature by feature."""

from typing import Any

import polars as pl

from rung_ops.monitoring import contingency
from rung_ops.monitoring.samples import categories, numbers

PREDICTION = "prediction"

SCHEMA: dict[str, Any] = {
    "feature": pl.String,
    "kind": pl.String,
    "rows": pl.Int64,
    "reference_rows": pl.Int64,
    "change": pl.Float64,
    "p_value": pl.Float64,
    "psi": pl.Float64,
    "unseen": pl.Float64,
    "missing": pl.Float64,
    "reference_missing": pl.Float64,
    "missing_p_value": pl.Float64,
    "moved": pl.String,
    **{
        f"{whose}{name}": pl.Float64
        for name in ("mean", "p5", "p50", "p95")
        for whose in ("", "reference_")
    },
    "bars": pl.List(pl.String),
    "shares": pl.List(pl.Float64),
    "reference_shares": pl.List(pl.Float64),
}


def compare(reference: pl.DataFrame, window: pl.DataFrame) -> pl.DataFrame:
    """Compare every column of the reference with the same column of the window.

    Numbers, dates and moments: the two-sample Kolmogorov-Smirnov test. Texts and truth values:
    tests of counts, with rare levels pooled. Missing values are left out of both and compared on
    their own, with Fisher's exact test. Nothing is judged here.

    Args:
        reference: features and predictions of training rows.
        window: the same of the rows to look at; further columns are passed over.

    Returns:
        One row a column, of SCHEMA, null if there is nothing to compare:
        kind: number, category, or why it cannot be compared;
        rows: of the window, with a value;
        change: the largest gap between the distribution functions, or the share of rows in other
        levels than before;
        moved: the levels whose shares changed most;
        unseen: share of rows with a level that the reference lacks, or a number beyond its range;
        missing: share of rows without a value;
        bars, shares, reference_shares: what to draw.
    """
    compared = [_compare(reference[name], window) for name in reference.columns]
    return pl.DataFrame(compared, schema=SCHEMA, orient="row")


def _compare(reference: pl.Series, window: pl.DataFrame) -> dict[str, Any]:
    name, kind = reference.name, _kind(reference.dtype)
    if name not in window.columns or kind not in ("number", "category"):
        missing = "not in the log" if name not in window.columns else str(reference.dtype)
        return {"feature": name, "kind": missing}
    then, now = _present(reference, kind), _present(window[name], kind)
    lacking = len(reference) - len(then), len(window[name]) - len(now)
    row: dict[str, Any] = {
        "feature": name,
        "kind": kind,
        "rows": len(now),
        "reference_rows": len(then),
        "missing": lacking[1] / max(1, window.height),
        "reference_missing": lacking[0] / max(1, len(reference)),
    }
    if any(lacking) and window.height and len(reference):
        row["missing_p_value"] = contingency.fisher(
            lacking[1], window.height, lacking[0], len(reference)
        )
    if len(then) and len(now):
        row |= (numbers if kind == "number" else categories)(then, now)
    return row


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric() or dtype.is_temporal():
        return "number"
    if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        return "category"
    return "neither"


def _present(column: pl.Series, kind: str) -> pl.Series:
    """Take the values that are there, as floats or as text."""
    if kind == "category":
        return column.cast(pl.String).drop_nulls()
    return column.to_physical().cast(pl.Float64, strict=False).drop_nulls().drop_nans()
