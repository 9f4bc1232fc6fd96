"""A small project that predicts quantiles in place of the one that was rendered."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.small_project import *  # noqa: F403  fixtures
from machinery.tests.small_project import SmallProject
from rung_ops.model.target import Kind

QUANTILES = (0.1, 0.5, 0.9)
FIRST = datetime(2026, 1, 1)


def deliveries(number: int, seed: int = 1, jam: float = 1.0) -> pl.DataFrame:
    """Draw deliveries; `jam` multiplies what chance adds to their minutes."""
    draw = np.random.default_rng(seed)
    bike, distance = draw.random(number) < 0.4, draw.uniform(1, 40, number)
    stops = draw.integers(0, 6, number).astype(float)
    spread = draw.lognormal(0, 0.5, number) * (2 + distance / 5) * jam
    minutes = 5 + distance * np.where(bike, 2, 1) + 3 * stops + spread
    return pl.DataFrame(
        {
            "delivery": [f"{seed}-{each}" for each in range(number)],
            "planned": [FIRST + timedelta(minutes=37 * each) for each in range(number)],
            "vehicle": np.where(bike, "bike", "van"),
            "distance": distance.round(1),
            "stops": np.where(draw.random(number) < 0.05, np.nan, stops),
            "minutes": minutes.round(1),
        },
        schema_overrides={"planned": pl.Datetime("us")},
    ).with_columns(pl.col("stops").fill_nan(None))


SMALL = SmallProject(
    home=Path(__file__).parent,
    package="deliveries",
    draw=deliveries,
    rows=1_600,
    key="delivery",
    time="planned",
    target="minutes",
    kind=Kind((), QUANTILES),
)


@pytest.fixture
def small() -> SmallProject:
    """The project that these tests are about."""
    return SMALL
