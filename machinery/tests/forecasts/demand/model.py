"""The model: a linear regression, and how good it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder


def build(params: Mapping[str, Any]) -> Pipeline:
    names = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("names", names, ["station", "hour_of_day"]), ("numbers", "passthrough", ["rain"])]
    )
    return Pipeline([("columns", columns), ("line", Ridge(alpha=params["alpha"]))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the values; of quantiles, shape (n_rows, 3), the median."""
    values = predicted if predicted.ndim == 1 else predicted[:, 1]
    return {"mae": float(mean_absolute_error(truth, values))}
