"""What the model sees of a flight: twenty features of mixed types, from the timetable alone."""

import math

import polars as pl

departure = pl.col("scheduled").dt
hour = departure.hour()
clock = hour + departure.minute() / 60  # hours since midnight
# What of a day, a week and a year has passed, in radians.
day = clock * (2 * math.pi / 24)
week = (departure.weekday() - 1) * (2 * math.pi / 7)
year = (departure.month() - 1) * (2 * math.pi / 12)

# Sine and cosine are rounded: the sines of 4 and of 8 o'clock are one number to people and two to a
# computer, and a tree that splits between them answers differently in every other library.
FEATURES: list[pl.Expr] = [
    pl.col("carrier"),
    pl.col("origin"),
    pl.col("destination"),
    (pl.col("origin") + "-" + pl.col("destination")).alias("route"),
    pl.when(hour < 6)
    .then(pl.lit("night"))
    .when(hour < 12)
    .then(pl.lit("morning"))
    .when(hour < 18)
    .then(pl.lit("afternoon"))
    .otherwise(pl.lit("evening"))
    .alias("part_of_day"),
    pl.col("distance"),
    pl.col("distance").cast(pl.Float64).log().alias("log_distance"),
    (pl.col("distance") >= 1500).cast(pl.Int8).alias("long_haul"),
    clock.alias("clock"),
    departure.minute().alias("minute"),
    departure.weekday().alias("weekday"),  # 1 is Monday
    departure.day().alias("day"),
    departure.month().alias("month"),
    (departure.weekday() >= 6).cast(pl.Int8).alias("weekend"),
    day.sin().round(6).alias("day_sin"),
    day.cos().round(6).alias("day_cos"),
    week.sin().round(6).alias("week_sin"),
    week.cos().round(6).alias("week_cos"),
    year.sin().round(6).alias("year_sin"),
    year.cos().round(6).alias("year_cos"),
]
