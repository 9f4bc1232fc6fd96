"""What the trees see of a field: numbers."""

import polars as pl

KINDS = {"clay": 0, "loam": 1, "sand": 2}
FEATURES: list[pl.Expr] = [
    pl.col("soil").replace_strict(KINDS, return_dtype=pl.Int8),
    *map(pl.col, ("rain", "nitrogen", "irrigated")),
]
