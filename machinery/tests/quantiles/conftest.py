"""A small project that predicts quantiles in place of the one that was rendered."""

import importlib
import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import FACTS, Trained
from machinery.tests.in_project import stage
from rung_ops import contract
from rung_ops.checks import data, promises
from rung_ops.project import paths

HERE = Path(__file__).parent
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


@pytest.fixture(autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with params.toml, in which `contract` is that of deliveries/."""
    folder = tmp_path_factory.mktemp("deliveries")
    shutil.copy(HERE / "params.toml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setattr(paths, "ROOT", folder)
        patch.setattr(
            contract, "_module", lambda name: importlib.import_module(f"deliveries.{name}")
        )
        yield folder


@pytest.fixture
def trained(project: Path) -> Trained:
    """A model of deliveries."""
    train, test = stage("split").split(deliveries(1_600), 0.4, 1)
    return Trained(stage("train").fit(train), train, test)


@pytest.fixture
def release_folder(trained: Trained, tmp_path: Path, release_private_key: bytes) -> Path:
    """A signed release of that model."""
    from rung_ops.release import make
    from rung_ops.training import estimator
    from rung_ops.training.slices import score_by_slice

    predicted = estimator.predict(trained.estimator, trained.test)
    documents = {"slices.json": json.dumps(score_by_slice(trained.test, predicted).to_dicts())}
    folder = tmp_path / "candidates"
    folder.mkdir()
    return make.write(
        *(folder, trained.estimator, trained.train, trained.test, FACTS, release_private_key),
        documents,
    )


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A raw file of deliveries that the promises are checked with; nothing is remembered of it."""
    raw = tmp_path / "deliveries.parquet"
    deliveries(600).write_parquet(raw)
    for name in ("raw_files", "raw_files_in"):
        monkeypatch.setattr(data, name, lambda *folder: [raw])
    for remembered in (data.sample, data.featured_sample, promises.broken):
        remembered.cache_clear()
    monkeypatch.setattr(promises.hooks, "check_all", lambda: None)
    return raw
