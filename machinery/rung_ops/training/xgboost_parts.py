"""Fit XGBoost to rows of which a block at a time is in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost

from rung_ops.errors import StageError
from rung_ops.training.estimator import truth
from rung_ops.training.parts import Parts
from rung_ops.training.window import weight_arguments


class Blocks(xgboost.DataIter):
    """Features of parts, a block at a time, with an outcome and perhaps a weight of each row."""

    def __init__(self, parts: Parts, columns: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._parts, self._columns, self._first = parts, columns, 0

    def reset(self) -> None:
        self._first = 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._first >= len(self._parts):
            return False
        block = slice(self._first, self._first + self._parts.size)
        columns = {name: values[block] for name, values in self._columns.items()}
        input_data(data=self._parts[block], **columns)
        self._first = block.stop
        return True


def fit(model: Any, parts: Parts) -> Any:
    """Fit as fit_xgboost() of rung_ops.stages says."""
    _refuse(model)
    outcomes = truth(parts.rows)
    settings = model.get_xgb_params() | _classes(model, outcomes)
    columns = {"label": outcomes}
    if (weights := weight_arguments(model, parts.rows).get("sample_weight")) is not None:
        columns["weight"] = weights
    # What the estimator's own fit() makes of a frame: bins, of a byte a value up to 256 of them.
    rows = xgboost.QuantileDMatrix(
        Blocks(parts, columns),
        missing=model.missing,
        nthread=model.n_jobs,
        max_bin=model.max_bin,
        enable_categorical=model.enable_categorical,
    )
    trees = xgboost.train(
        settings, rows, model.get_num_boosting_rounds(), callbacks=model.callbacks
    )
    model.load_model(trees.save_raw())
    return model


def _refuse(model: Any) -> None:
    name = type(model).__name__
    if not isinstance(model, xgboost.XGBClassifier | xgboost.XGBRegressor):
        raise StageError(
            f"{name} cannot be fitted to parts: build() in model.py must return XGBoost's "
            "XGBClassifier or XGBRegressor. Preprocessing that is fitted to all rows, such as "
            "steps of a Pipeline, has no parts: write it as expressions in FEATURES."
        )
    given = model.get_params()
    unread = ("early_stopping_rounds", "feature_types", "feature_weights")
    refused = [key for key in unread if given.get(key) is not None]
    refused += ["objective"] if callable(given["objective"]) else []
    if given["tree_method"] not in {None, "auto", "hist"}:
        refused.append("tree_method")
    if given["booster"] == "gblinear":
        refused.append("booster")
    if refused:
        raise StageError(f"{name} cannot be fitted to parts with its `{refused[0]}`.")


def _classes(model: Any, outcomes: np.ndarray) -> dict[str, Any]:
    """Return what XGBClassifier adds to its parameters."""
    if not isinstance(model, xgboost.XGBClassifier):
        return {}
    learned = np.unique(outcomes)
    if len(learned) < 2 or not np.array_equal(learned, np.arange(len(learned))):
        raise StageError("XGBoost needs training rows of every class.")
    if len(learned) <= 2:
        return {}
    kept = model.objective == "multi:softmax"
    return {
        "objective": "multi:softmax" if kept else "multi:softprob",
        "num_class": len(learned),
    }
