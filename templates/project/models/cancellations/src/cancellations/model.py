"""The model: a logistic regression on the features, and what makes a good one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CATEGORIES = ["carrier", "origin"]

# Types in a saved model that skops loads only when told to: this model needs none.
TRUSTED: list[str] = []


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model.

    Args:
        params: `seed`, and the settings under [model] in params.toml.

    Returns:
        An estimator with fit and predict_proba, fed with a polars frame of FEATURES.
    """
    settings = dict(params)
    seed = settings.pop("seed")
    category = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("category", category, CATEGORIES)], remainder=StandardScaler())
    regression = LogisticRegression(random_state=seed, **settings)
    return Pipeline([("columns", columns), ("regression", regression)])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions.

    Args:
        truth: 1 for a cancelled flight, 0 for any other, shape (n_rows,).
        predicted: probability of a cancellation, shape (n_rows,), in [0, 1].

    Returns:
        Ranking (auc, average_precision: higher is better) and quality of the probabilities
        themselves (log_loss, brier: lower is better).
    """
    return {
        "auc": float(roc_auc_score(truth, predicted)),
        "average_precision": float(average_precision_score(truth, predicted)),
        "log_loss": float(log_loss(truth, predicted, labels=[0, 1])),
        "brier": float(brier_score_loss(truth, predicted, pos_label=1)),
    }


def space(trial: Any) -> dict[str, Any]:
    """Name the parameters worth searching.

    Args:
        trial: an `optuna.Trial`, which suggests values.

    Returns:
        Values that replace those under [model] in params.toml.
    """
    return {"C": trial.suggest_float("C", 1e-3, 10, log=True)}
