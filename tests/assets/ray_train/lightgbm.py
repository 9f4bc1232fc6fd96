"""The model: LightGBM's trees, which several workers of Ray can fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightgbm import LGBMRegressor

TRUSTED = ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMRegressor"]


def build(params: Mapping[str, Any]) -> LGBMRegressor:
    """Make an untrained model."""
    settings = dict(params)
    return LGBMRegressor(random_state=settings.pop("seed"), verbosity=-1, **settings)


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in the unit of the target."""
    return {"mae": float(np.abs(truth - predicted).mean())}
