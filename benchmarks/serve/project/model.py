"""The model of the benchmark: LightGBM behind an ordinal encoder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "origin", "destination", "route", "part_of_day"]

# Types in a saved model that skops loads only when told to.
TRUSTED: list[str] = [
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Make an untrained model, fed with a frame of FEATURES.

    Args:
        params: `seed`, and the settings under [model] in params.toml.
    """
    settings = dict(params)
    seed = settings.pop("seed")
    category = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("category", category, CATEGORIES)], remainder="passthrough")
    trees = LGBMClassifier(random_state=seed, verbosity=-1, **settings)
    return Pipeline([("columns", columns), ("trees", trees)])


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score probabilities of a late arrival, shape (n_rows,), against 0 and 1."""
    return {
        "auc": float(roc_auc_score(truth, predicted)),
        "log_loss": float(log_loss(truth, predicted, labels=[0, 1])),
    }
