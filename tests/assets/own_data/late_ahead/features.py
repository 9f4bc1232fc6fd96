"""What the model sees of six hours: the timetable, the day, and how late the airport was lately."""

from datetime import timedelta

import polars as pl
from rung_ops.features import EntityFeature, raw_rows

ENTITY_FEATURES = [
    EntityFeature(
        name=f"late_{days}d",
        entity=["airport"],
        source=raw_rows,
        time="part",
        known=pl.col("part") + pl.duration(hours=12),  # the last flights have landed
        aggregate=pl.col("late").sum() / pl.col("planned").sum(),
        window=timedelta(days=days),
        cadence=timedelta(hours=6),
        zone="America/New_York",
        unit="share of flights",
        description=f"Late arrivals of the airport in {days} days",
    )
    for days in (2, 28)
]

FEATURES: list[pl.Expr] = [
    pl.col("airport"),
    pl.col("planned"),
    pl.col("part").dt.hour().cast(pl.Int16).alias("hour"),
    pl.col("part").dt.weekday().cast(pl.Int16).alias("weekday"),
    pl.col("late_2d"),
    pl.col("late_28d"),
]
