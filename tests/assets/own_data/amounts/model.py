"""The model: trees for each quantile, and how good they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rung_ops.quantiles import PerQuantile
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, mean_pinball_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from .dataset import QUANTILES

# Compiled trees, which a saved model may hold; a release has them in ONNX.
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model."""
    names = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer(
        [
            ("names", names, ["purpose", "job"]),
            ("numbers", "passthrough", ["months", "rate", "age"]),
        ]
    )
    trees = HistGradientBoostingRegressor(
        loss="quantile", max_iter=params["max_iter"], random_state=params["seed"]
    )
    return Pipeline([("columns", columns), ("quantiles", PerQuantile(trees, QUANTILES))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the quantiles, shape (n_rows, 3)."""
    losses = [
        mean_pinball_loss(truth, column, alpha=quantile)
        for column, quantile in zip(predicted.T, QUANTILES, strict=True)
    ]
    return {
        "pinball": float(np.mean(losses)),
        "mae": float(mean_absolute_error(truth, predicted[:, 1])),
    }
