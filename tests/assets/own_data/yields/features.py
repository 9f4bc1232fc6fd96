"""What the model sees of a field."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("soil"),
    pl.col("rain"),
    pl.col("nitrogen"),
    pl.col("irrigated"),
]
