"""The model: XGBoost's trees, which several workers of Ray can fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from xgboost import XGBRegressor

TRUSTED = ["xgboost.core.Booster", "xgboost.sklearn.XGBRegressor"]


def build(params: Mapping[str, Any]) -> XGBRegressor:
    """Make an untrained model."""
    settings = dict(params)
    return XGBRegressor(random_state=settings.pop("seed"), **settings)


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in the unit of the target."""
    return {"mae": float(np.abs(truth - predicted).mean())}
