"""What the model sees of a delivery."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("vehicle"),
    pl.col("distance"),
    pl.col("stops"),
    pl.col("planned").dt.hour().cast(pl.Int16).alias("hour"),
]
