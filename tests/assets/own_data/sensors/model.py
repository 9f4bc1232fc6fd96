"""The model: gradient-boosted trees, which take missing values as they come."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

TRUSTED: list[str] = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(params: Mapping[str, Any]) -> HistGradientBoostingClassifier:
    """Make an untrained model."""
    return HistGradientBoostingClassifier(max_iter=params["trees"], random_state=params["seed"])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the probability of a failure."""
    return {"auc": float(roc_auc_score(truth, predicted))}
