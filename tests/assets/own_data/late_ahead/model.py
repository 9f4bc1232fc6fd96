"""The model: gradient-boosted trees, and how good they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

# Compiled trees, which a saved model may hold; a release has them in ONNX.
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model."""
    airport = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("airport", airport, ["airport"])], remainder="passthrough")
    settings = dict(params)
    trees = HistGradientBoostingRegressor(random_state=settings.pop("seed"), **settings)
    return Pipeline([("columns", columns), ("trees", trees)])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions, in flights."""
    return {
        "rmse": float(root_mean_squared_error(truth, predicted)),
        "mae": float(mean_absolute_error(truth, predicted)),
    }
