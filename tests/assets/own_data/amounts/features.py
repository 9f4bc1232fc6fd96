"""What the model sees of a credit."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("months"),
    pl.col("purpose"),
    pl.col("rate"),
    pl.col("age"),
    pl.col("job"),
]
