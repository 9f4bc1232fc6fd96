"""What the model sees of a row: all of it is known when the flight is scheduled.

Training, batch scoring and everything later evaluate these same expressions. Each reads one
row alone: an average over rows would be another number for another set of rows.

Left out on purpose:
- the delay at departure, the weather and the aircraft: unknown that early;
- the flight number: 50,000 rows are too few for 3,000 of them;
- the day of the year: with a single year to learn from, it raises the score on a random split
  and lowers it on the months that follow.
"""

import polars as pl

departure = pl.col("scheduled").dt

FEATURES: list[pl.Expr] = [
    pl.col("carrier"),
    pl.col("origin"),
    pl.col("destination"),
    pl.col("distance"),
    (departure.hour() + departure.minute() / 60).alias("hour"),
    departure.weekday().alias("weekday"),  # 1 is Monday
]
