"""Fit XGBoost to rows of which a block at a time is in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xgboost

from rung_ops.errors import StageError
from rung_ops.training.estimator import truth
from rung_ops.training.window import Parts, weight_arguments

# Parameters, and their values with which rows can be read in parts.
KNOWN: dict[str, tuple[str, ...]] = {
    "booster": ("gbtree", "dart"),
    "early_stopping_rounds": (),
    "feature_types": (),
    "feature_weights": (),
    "tree_method": ("auto", "hist"),
}


class Blocks(xgboost.DataIter):
    """Blocks of rows, which XGBoost reads several times.

    Args:
        read: starts again with the first block, as arguments of XGBoost: data, label, perhaps weight.
    """

    def __init__(self, read: Callable[[], Iterator[dict[str, Any]]]) -> None:
        super().__init__()
        self._read, self._blocks = read, read()

    def reset(self) -> None:
        self._blocks = self._read()

    def next(self, input_data: Callable[..., Any]) -> bool:
        block = next(self._blocks, None)
        if block is not None:
            input_data(**block)
        return block is not None


def fit(model: Any, parts: Parts) -> Any:
    """Fit as fit_xgboost() of rung_ops.stages says."""
    refuse(model, "to parts")
    outcomes = truth(parts.rows)
    settings = settings_of(model, outcomes)
    columns = {"label": outcomes}
    if (weights := weight_arguments(model, parts.rows).get("sample_weight")) is not None:
        columns["weight"] = weights

    def read() -> Iterator[dict[str, Any]]:
        for first in range(0, len(parts), parts.size):
            block = slice(first, first + parts.size)
            yield {"data": parts[block]} | {name: all_[block] for name, all_ in columns.items()}

    trees = xgboost.train(
        settings,
        bins(model, read, model.n_jobs),
        model.get_num_boosting_rounds(),
        callbacks=model.callbacks,
    )
    model.load_model(trees.save_raw())
    return model


def refuse(model: Any, where: str, known: dict[str, tuple[str, ...]] = KNOWN) -> None:
    """Refuse what cannot be fitted there: another estimator, or settings that need all rows.

    Args:
        where: "to parts", for the message.
        known: the values of some parameters that are possible, besides None.
    """
    name = type(model).__name__
    if not isinstance(model, xgboost.XGBClassifier | xgboost.XGBRegressor):
        raise StageError(
            f"{name} cannot be fitted {where}: build() in model.py must return XGBoost's "
            "XGBClassifier or XGBRegressor. Preprocessing that is fitted to all rows, such as "
            "steps of a Pipeline, has no parts: write it as expressions in FEATURES."
        )
    values = model.get_params()
    refused = [
        key for key, possible in known.items() if str(values[key]) not in ("None", *possible)
    ]
    refused += ["objective"] if callable(values["objective"]) else []
    if refused:
        raise StageError(f"{name} cannot be fitted {where} with its `{refused[0]}`.")


def settings_of(model: Any, outcomes: np.ndarray) -> dict[str, Any]:
    """Return parameters of xgboost.train(), with what XGBClassifier adds for its classes."""
    settings = dict(model.get_xgb_params())
    if not isinstance(model, xgboost.XGBClassifier):
        return settings
    learned = np.unique(outcomes)
    if len(learned) < 2 or not np.array_equal(learned, np.arange(len(learned))):
        raise StageError("XGBoost needs training rows of every class.")
    if len(learned) > 2:
        kept = model.objective == "multi:softmax"
        settings["objective"] = "multi:softmax" if kept else "multi:softprob"
        settings["num_class"] = len(learned)
    return settings


def bins(model: Any, read: Callable[[], Iterator[dict[str, Any]]], threads: int | None) -> Any:
    """Make what the estimator's own fit() makes of a frame: up to 256 bins take a byte a value."""
    return xgboost.QuantileDMatrix(
        Blocks(read),
        missing=model.missing,
        nthread=threads,
        max_bin=model.max_bin,
        enable_categorical=model.enable_categorical,
    )
