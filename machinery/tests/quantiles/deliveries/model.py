"""The model: a linear regression for each quantile, and how good they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_absolute_error, mean_pinball_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from rung_ops.quantiles import PerQuantile

from .dataset import QUANTILES


def build(params: Mapping[str, Any]) -> Pipeline:
    columns = ColumnTransformer(
        [
            ("vehicle", OneHotEncoder(handle_unknown="ignore"), ["vehicle"]),
            ("numbers", SimpleImputer(), ["distance", "stops", "hour"]),
        ]
    )
    line = QuantileRegressor(alpha=params["alpha"])
    return Pipeline([("columns", columns), ("lines", PerQuantile(line, QUANTILES))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the three quantiles, shape (n_rows, 3)."""
    losses = [
        mean_pinball_loss(truth, column, alpha=quantile)
        for column, quantile in zip(predicted.T, QUANTILES, strict=True)
    ]
    return {
        "pinball": float(np.mean(losses)),
        "mae": float(mean_absolute_error(truth, predicted[:, 1])),
    }
