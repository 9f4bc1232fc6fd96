"""What the model sees of a parcel."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("service"),
    pl.col("distance"),
    pl.col("weight"),
    pl.col("handed_in").dt.hour().cast(pl.Int16).alias("hour"),
]
