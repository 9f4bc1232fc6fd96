"""What the model sees of a penguin."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("species"),
    pl.col("sex"),
    pl.col("clutch"),
    pl.col("flipper_length"),
    (pl.col("bill_length") * pl.col("bill_depth")).alias("bill_area"),
    pl.col("nitrogen"),
    pl.col("carbon"),
]
