"""A small project with a target of three classes in place of the one that was rendered."""

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


@pytest.fixture(autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with params.toml, in which `contract` is that of parcels/."""
    folder = tmp_path_factory.mktemp("parcels")
    shutil.copy(HERE / "params.toml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setattr(paths, "ROOT", folder)
        patch.setattr(contract, "_module", lambda name: importlib.import_module(f"parcels.{name}"))
        yield folder


@pytest.fixture
def trained(project: Path) -> Trained:
    """A model of parcels."""
    train, test = stage("split").split(parcels(2_000), 0.4, 1)
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
    """A raw file of parcels that the promises are checked with; nothing is remembered of it."""
    raw = tmp_path / "parcels.parquet"
    parcels(600).write_parquet(raw)
    for name in ("raw_files", "raw_files_in"):
        monkeypatch.setattr(data, name, lambda *folder: [raw])
    for remembered in (data.sample, data.featured_sample, promises.broken):
        remembered.cache_clear()
    monkeypatch.setattr(promises.hooks, "check_all", lambda: None)
    return raw
