"""Compare logged rows with the bounds of the release's contract."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "rule": pl.String,
    "rows": pl.Int64,
    "share": pl.Float64,
    "example": pl.String,
}
COMPARISONS = {
    "ge": ("at least", pl.Expr.lt),
    "gt": ("more than", pl.Expr.le),
    "le": ("at most", pl.Expr.gt),
    "lt": ("less than", pl.Expr.ge),
}
SHOWN = 5  # of the values that a column may have, in the words of a rule


def violations(rows: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    """Count the rows that break a rule, for each rule that is broken.

    Args:
        rows: the input columns of logged rows.
        columns: of the release's contract.

    Returns:
        One row a broken rule, of SCHEMA; empty where all keep all.
    """
    breaches = []
    for column in columns:
        name = column["name"]
        if name not in rows.columns:
            continue
        values = rows[name]
        for rule, broken in _broken(values, column):
            bad = values.filter(broken.fill_null(False))
            if len(bad):
                share = len(bad) / rows.height
                breaches.append((name, rule, len(bad), share, _example(bad)))
    return pl.DataFrame(breaches, schema=SCHEMA, orient="row")


def _broken(values: pl.Series, column: Mapping[str, Any]) -> Iterator[tuple[str, pl.Series]]:
    """Give each rule of a column in words, and which values break it (null: nothing to say)."""
    if column["required"]:
        yield "must be there", values.is_null()
    for key, (words, breaks) in COMPARISONS.items():
        bound = column.get(key)
        if bound is not None:
            limit = _literal(bound, values.dtype)
            yield f"{words} {bound}", _mask(values, breaks(pl.col(values.name), limit))
    if column.get("isin"):
        allowed = pl.Series(column["isin"]).cast(values.dtype, strict=False)
        listed = ", ".join(map(str, column["isin"][:SHOWN]))
        more = f" or {len(column['isin']) - SHOWN} others" if len(column["isin"]) > SHOWN else ""
        yield f"one of {listed}{more}", ~values.is_in(allowed.implode())
    if column.get("pattern"):
        # Python's expressions, as pandera and the service read them; polars' know less.
        pattern = re.compile(column["pattern"])
        bad = [text for text in values.unique().drop_nulls() if not pattern.search(str(text))]
        yield (
            f"like {column['pattern']}",
            values.is_in(pl.Series(bad, dtype=values.dtype).implode()),
        )
    for key, words, breaks in (
        ("min_length", "at least", pl.Expr.lt),
        ("max_length", "at most", pl.Expr.gt),
    ):
        bound = column.get(key)
        if bound is not None:
            length = pl.col(values.name).str.len_chars()
            yield f"{words} {bound} characters", _mask(values, breaks(length, bound))


def _mask(values: pl.Series, broken: pl.Expr) -> pl.Series:
    return values.to_frame().select(broken).to_series()


def _literal(bound: Any, dtype: pl.DataType) -> pl.Expr:
    """Make a bound comparable: dates and moments stand in the contract as text."""
    if dtype.is_temporal() and isinstance(bound, str):
        text = pl.lit(bound).str
        return text.to_date() if dtype == pl.Date else text.to_datetime().cast(dtype)
    return pl.lit(bound)


def _example(bad: pl.Series) -> str:
    return "nothing" if bad[0] is None else str(bad[0])
