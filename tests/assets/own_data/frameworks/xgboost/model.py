"""The model: boosted trees of XGBoost behind an encoder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from xgboost import XGBRegressor

TRUSTED = ["xgboost.core.Booster", "xgboost.sklearn.XGBRegressor"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model; `device = "cuda"` under [model] trains on a GPU."""
    settings = dict(params)
    seed = settings.pop("seed")
    category = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("soil", category, ["soil"])], remainder="passthrough")
    return Pipeline([("columns", columns), ("trees", XGBRegressor(random_state=seed, **settings))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in tonnes."""
    return {"mae": float(mean_absolute_error(truth, predicted))}
