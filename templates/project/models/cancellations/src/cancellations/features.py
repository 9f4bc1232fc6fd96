"""What the model sees of a row: all of it is known when the flight is scheduled.

Few flights are cancelled, so there are few features: each further one finds spurious patterns.
"""

import polars as pl

departure = pl.col("scheduled").dt

FEATURES: list[pl.Expr] = [
    pl.col("carrier"),
    pl.col("origin"),
    pl.col("distance").log().alias("log_distance"),
    (departure.hour() + departure.minute() / 60).alias("hour"),
    (departure.weekday() >= 6).cast(pl.Int8).alias("weekend"),
]
