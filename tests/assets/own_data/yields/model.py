"""The model: a ridge regression that bears missing values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model."""
    columns = ColumnTransformer(
        [("soil", OneHotEncoder(handle_unknown="ignore"), ["soil"])],
        remainder=SimpleImputer(),
    )
    return Pipeline([("columns", columns), ("ridge", Ridge(alpha=params["alpha"]))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in tonnes."""
    return {"mae": float(mean_absolute_error(truth, predicted))}
