"""What the network sees of a field: numbers alone, none missing, of about the same size."""

import polars as pl

FEATURES: list[pl.Expr] = [
    *(pl.col("soil").eq(kind).cast(pl.Float32).alias(kind) for kind in ("clay", "loam", "sand")),
    (pl.col("rain").fill_null(225) / 400).cast(pl.Float32).alias("rain"),
    (pl.col("nitrogen") / 200).cast(pl.Float32).alias("nitrogen"),
    pl.col("irrigated").cast(pl.Float32).alias("irrigated"),
]
