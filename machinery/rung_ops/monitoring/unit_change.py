"""Recognizes a column whose unit has changed: all of its values are a known factor times what they were."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

# Of usual units: how many times larger the same quantity is in the smaller one.
FACTORS = {
    2.20462: "kilograms and pounds",
    2.54: "inches and centimetres",
    3.28084: "metres and feet",
    1.60934: "miles and kilometres",
    3.78541: "gallons and litres",
    28.3495: "ounces and grams",
    24.0: "days and hours",
    60.0: "minutes and seconds, or hours and minutes",
    3600.0: "hours and seconds",
    100.0: "shares and per cent, or a unit and hundredths",
    1000.0: "a unit and thousandths",
    1e6: "a unit and millionths",
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOLERANCE = 0.1  # of each quantile's ratio: they scatter with the rows
LEAST = 100  # rows, to know the quantiles by
NEAR_ZERO = 0.05  # of the largest quantile: a ratio of smaller ones says nothing


@dataclass(frozen=True)
class UnitChange:
    """A change of unit."""

    factor: float  # values now, divided by those before
    units: str  # that are so far apart, in words
    since: date  # first day on which the values are like those now

    def __str__(self) -> str:
        """Say what happened, in a clause."""
        times = self.factor if self.factor >= 1 else 1 / self.factor
        way = "times" if self.factor >= 1 else "times less than"
        return f"about {times:.3g} {way} what it was since {self.since} ({self.units})"


def find(reference: np.ndarray, values: np.ndarray, days: pl.Series) -> UnitChange | None:
    """Compare the values at the end with training; None if no known factor fits all quantiles."""
    newest = values[-max(LEAST, len(values) // 5) :]
    if min(len(newest), len(reference)) < LEAST:
        return None
    then, now = np.quantile(reference, QUANTILES), np.quantile(newest, QUANTILES)
    told = np.abs(then) > NEAR_ZERO * np.abs(then).max()
    if told.sum() < 3 or (then[told] * now[told] <= 0).any():
        return None
    ratios = np.log(now[told] / then[told])
    for size, units in FACTORS.items():
        for factor in (size, 1 / size):
            if np.abs(ratios - math.log(factor)).max() < math.log1p(TOLERANCE):
                return UnitChange(factor, units, _since(reference, values, days, factor))
    return None


def _since(reference: np.ndarray, values: np.ndarray, days: pl.Series, factor: float) -> date:
    """Find the first day from which on each day's median lies nearer to what it is now."""
    middle = float(np.median(reference))
    by_day = (
        pl.DataFrame({"day": days, "value": values})
        .group_by("day")
        .agg(pl.col("value").median())
        .sort("day", descending=True)
    )
    since: date = by_day["day"][0]
    for day, median in by_day.iter_rows():
        if abs(median - middle) < abs(median - factor * middle):
            break
        since = day
    return since
