"""The model: words by weight, and a logistic regression."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model."""
    columns = ColumnTransformer(
        [("words", TfidfVectorizer(), "message")], remainder=StandardScaler()
    )
    return Pipeline([("columns", columns), ("logistic", LogisticRegression(C=params["C"]))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the probability that a ticket is urgent."""
    return {
        "auc": float(roc_auc_score(truth, predicted)),
        "log_loss": float(log_loss(truth, predicted, labels=[0, 1])),
    }
