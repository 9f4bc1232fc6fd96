"""A small project with a target of three classes in place of the one that was rendered."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.small_project import *  # noqa: F403  fixtures
from machinery.tests.small_project import SmallProject
from rung_ops.model.target import Kind

CLASSES = ["on time", "late", "lost & found"]
FIRST = datetime(2026, 1, 1)


def parcels(number: int, seed: int = 1, hurry: float = 0.0) -> pl.DataFrame:
    """Draw parcels; `hurry` is added to the log-odds of being late."""
    draw = np.random.default_rng(seed)
    express, distance = draw.random(number) < 0.3, draw.uniform(5, 1_500, number)
    weight = draw.lognormal(0, 0.6, number)
    late = np.exp(-1 + distance / 600 - 1.2 * express + hurry)
    lost = np.exp(-2.5 + 0.6 * weight)
    odds = np.column_stack([np.ones(number), late, lost])
    shares = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    code = (draw.random((number, 1)) > shares).sum(axis=1).clip(0, 2)
    return pl.DataFrame(
        {
            "parcel": [f"{seed}-{each}" for each in range(number)],
            "handed_in": [FIRST + timedelta(minutes=37 * each) for each in range(number)],
            "service": np.where(express, "express", "standard"),
            "distance": distance.round(1),
            "weight": np.where(draw.random(number) < 0.05, np.nan, weight.round(2)),
            "outcome": [CLASSES[each] for each in code],
        },
        schema_overrides={"handed_in": pl.Datetime("us")},
    ).with_columns(pl.col("weight").fill_nan(None))


SMALL = SmallProject(
    home=Path(__file__).parent,
    package="parcels",
    draw=parcels,
    rows=2_000,
    key="parcel",
    time="handed_in",
    target="outcome",
    kind=Kind(tuple(CLASSES)),
)


@pytest.fixture
def small() -> SmallProject:
    """The project that these tests are about."""
    return SMALL
