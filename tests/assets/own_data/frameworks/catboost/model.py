"""The model: boosted trees of CatBoost, which takes the kind of soil as text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from catboost import CatBoostRegressor
from sklearn.metrics import mean_absolute_error


class Trees:
    """CatBoost's regressor, fed with Polars frames."""

    def __init__(self, regressor: CatBoostRegressor) -> None:
        """Take a regressor, fitted or not."""
        self.regressor = regressor

    def fit(self, features: pl.DataFrame, truth: np.ndarray) -> "Trees":
        """Fit the trees."""
        self.regressor.fit(_frame(features), truth)
        return self

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        """Predict tonnes, shape (n_rows,)."""
        return np.asarray(self.regressor.predict(_frame(features)))


def _frame(features: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(features.to_dict(as_series=False))


def build(params: Mapping[str, Any]) -> Trees:
    """Make an untrained model; `task_type = "GPU"` under [model] trains on a GPU."""
    settings = dict(params)
    seed = settings.pop("seed")
    quiet = {"verbose": False, "allow_writing_files": False}
    return Trees(CatBoostRegressor(cat_features=["soil"], random_seed=seed, **quiet, **settings))


def save(model: Trees, path: Path) -> None:
    """Write CatBoost's own format, which holds trees and runs no code when it is read."""
    model.regressor.save_model(str(path), format="cbm")


def load(path: Path) -> Trees:
    """Read it."""
    return Trees(CatBoostRegressor().load_model(str(path), format="cbm"))


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in tonnes."""
    return {"mae": float(mean_absolute_error(truth, predicted))}
