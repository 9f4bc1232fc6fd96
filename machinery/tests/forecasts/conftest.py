"""A small project of forecasts in place of the one that was rendered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.small_project import *  # noqa: F403  fixtures
from machinery.tests.small_project import SmallProject
from rung_ops import contract
from rung_ops.features import EntityFeature
from rung_ops.model.target import Kind

FIRST = datetime(2026, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AHEAD = (6, 30)  # hours from the origin to the first and past the last hour that it predicts


def demand(number: int, seed: int = 1) -> pl.DataFrame:
    """Draw hours of two stations, by day and rain, with errors that stay for some hours."""
    draw = np.random.default_rng(seed)
    hours = np.arange(number // 2)
    error, rain = np.zeros(len(hours)), draw.exponential(1, len(hours)).round(1)
    for hour in hours[1:]:
        error[hour] = 0.8 * error[hour - 1] + draw.normal(0, 2)
    times = [FIRST + int(hour) * HOUR for hour in hours]
    taken = 30 + 20 * np.sin(hours * np.pi / 12) - 4 * rain + error
    of_station = {"north": taken, "south": 0.6 * taken + draw.normal(0, 1, len(hours))}
    return pl.concat(
        pl.DataFrame({"hour": times, "station": name, "rain": rain, "bikes": bikes.round(1)})
        for name, bikes in of_station.items()
    ).with_columns(pl.col("hour").cast(pl.Datetime("us")))


def with_origin(number: int) -> pl.DataFrame:
    """Predict each hour at 18:00 of the day before, and the first six of a day a day earlier, too."""
    rows = demand(number)
    origins = [FIRST + 18 * HOUR + day * DAY for day in range(-2, number // 48 + 1)]
    made = pl.DataFrame({"made": origins}, schema={"made": pl.Datetime("us")})
    pairs = rows.join(made, how="cross").with_columns(ahead=pl.col("hour") - pl.col("made"))
    first, last = AHEAD
    return pairs.filter(pl.col("ahead").is_between(first * HOUR, last * HOUR)).drop("ahead")


def mean_of_six_hours(rows: pl.DataFrame, **changed: Any) -> EntityFeature:
    """Declare the mean of a station's last six hours."""
    settings: dict[str, Any] = {
        "name": "bikes_6h",
        "entity": ["station"],
        "source": lambda: rows,
        "time": "hour",
        "aggregate": pl.col("bikes").mean(),
        "window": 6 * HOUR,
        "cadence": HOUR,
    }
    return EntityFeature(**(settings | changed))


SMALL = SmallProject(
    home=Path(__file__).parent,
    package="demand",
    draw=demand,
    rows=2_880,
    key="hour",
    time="hour",
    target="bikes",
    kind=Kind(),
)


@pytest.fixture(params=["HORIZON"])
def small(request: pytest.FixtureRequest) -> SmallProject:
    """The project that these tests are about; with an ORIGIN where a test asks for it."""
    return SMALL if request.param == "HORIZON" else replace(SMALL, draw=with_origin)


@pytest.fixture
def dataset(project: Path) -> ModuleType:
    return contract.dataset


@pytest.fixture(autouse=True)
def _origin(small: SmallProject, dataset: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if small.draw is with_origin:
        monkeypatch.setattr(dataset, "HORIZON", None)
        monkeypatch.setattr(dataset, "ORIGIN", "made")
        monkeypatch.setattr(dataset, "Row", dataset.RowWithOrigin)


Declare = Callable[..., None]


@pytest.fixture
def declare(dataset: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Set names of dataset.py."""

    def declare(**names: Any) -> None:
        for name, value in names.items():
            monkeypatch.setattr(dataset, name, value)

    return declare
