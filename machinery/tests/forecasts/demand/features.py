"""What the model sees of an hour."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("station"),
    pl.col("hour").dt.hour().cast(pl.String).alias("hour_of_day"),
    pl.col("rain"),
]
