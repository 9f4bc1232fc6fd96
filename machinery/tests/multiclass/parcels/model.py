"""The model: a logistic regression of three classes, and how good it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CLASSES = [0, 1, 2]


def build(params: Mapping[str, Any]) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("service", OneHotEncoder(handle_unknown="ignore"), ["service"]),
            ("numbers", numbers, ["distance", "weight", "hour"]),
        ]
    )
    return Pipeline([("columns", columns), ("logistic", LogisticRegression(C=params["C"]))])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score the probabilities of the three classes, shape (n_rows, 3)."""
    return {
        "brier": float(brier_score_loss(truth, predicted, labels=CLASSES)),
        "log_loss": float(log_loss(truth, predicted, labels=CLASSES)),
        "macro_auc": float(
            roc_auc_score(truth, predicted, multi_class="ovr", average="macro", labels=CLASSES)
        ),
        "accuracy": float(accuracy_score(truth, predicted.argmax(axis=1))),
    }
