"""The model: a ridge regression that bears missing values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TRUSTED: list[str] = ["numpy.dtype"]  # of SimpleImputer


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model."""
    columns = ColumnTransformer(
        [("category", OneHotEncoder(handle_unknown="ignore"), ["species", "sex"])],
        remainder=make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
    )
    ridge = Ridge(alpha=params["alpha"], random_state=params["seed"])
    return Pipeline([("columns", columns), ("ridge", ridge)])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in grams."""
    return {
        "rmse": float(root_mean_squared_error(truth, predicted)),
        "mae": float(mean_absolute_error(truth, predicted)),
        "r2": float(r2_score(truth, predicted)),
    }


def space(trial: Any) -> dict[str, Any]:
    """Name the parameters worth searching."""
    return {"alpha": trial.suggest_float("alpha", 1e-3, 100, log=True)}
