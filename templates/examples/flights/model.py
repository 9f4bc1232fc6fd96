"""The model: gradient-boosted trees on the features, and what makes a good one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "origin", "destination"]

# Types in a saved model that skops loads only when told to. This one holds the trees, and is
# safe in files that this project wrote: a forged one could make scikit-learn read past its end.
TRUSTED: list[str] = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model.

    Args:
        params: `seed`, and the settings under [model] in params.toml.

    Returns:
        An estimator with fit and predict_proba, fed with a polars frame of FEATURES.
    """
    settings = dict(params)
    seed = settings.pop("seed")
    category = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("category", category, CATEGORIES)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(random_state=seed, **settings)
    return Pipeline([("columns", columns), ("trees", trees)])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions.

    Args:
        truth: 1 for a late arrival, 0 for any other, shape (n_rows,).
        predicted: probability of a late arrival, shape (n_rows,), in [0, 1].

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
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 50, 300, step=50),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 63, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 500, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 100, log=True),
    }
