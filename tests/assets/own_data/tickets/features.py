"""What the model sees of a ticket."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("message"),
    pl.col("message").str.len_chars().alias("length"),
    pl.col("received").dt.hour().alias("hour"),
]
