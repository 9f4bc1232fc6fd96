"""Split a prediction into what each feature adds to it: exact Shapley values.

A probability is split in log-odds, where the parts of a logistic regression and of boosted trees
add up; a value, of quantiles the median, in its own unit. Of several classes the logarithm of each
probability is split, less the mean of them all, where the parts of a regression of several classes
and of boosted trees add up: the difference of two classes is then the log-odds between them.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model.columns import columns_of
from rung_ops.model.predictors import Predictor
from rung_ops.model.requests import Reader
from rung_ops.model.target import MULTICLASS, QUANTILE

# From features, shape (n_rows, n_features), to shape (n_rows, n_features + 1), or (n_rows,
# n_features + 1, n_classes): each row adds up to its margin, and the last column, that of no feature,
# is the same for all rows.
Effects = Callable[[pl.DataFrame], np.ndarray]

# Log-odds of probabilities beyond this say nothing: 32 bits hold none closer to 1.
SMALLEST = 1e-7
# Logarithms alone go further: 32 bits hold small numbers as exactly as others.
SMALLEST_OF_CLASS = 1e-30


def margins(predictions: np.ndarray, task: str) -> np.ndarray:
    """Return log-odds of probabilities, or values, of quantiles the median; shape (n_rows,).

    Of several classes: the logarithms of their probabilities less their mean, (n_rows, n_classes).
    """
    if task == MULTICLASS:
        logarithms = np.log(np.maximum(predictions, SMALLEST_OF_CLASS))
        return logarithms - logarithms.mean(axis=1, keepdims=True)
    if task == QUANTILE:
        return predictions[:, 1]
    if task != "classification":
        return predictions
    clipped = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    return np.log(clipped) - np.log1p(-clipped)


def typical(contract: dict[str, Any], expressions: list[pl.Expr]) -> pl.DataFrame:
    """Compute the features of the contract's example; shape (1, n_features).

    Raises:
        Refusal: it breaks the contract.
    """
    reader = Reader(columns_of(contract))
    row = reader.one(json.dumps(contract["example"]).encode())
    return reader.table([row]).frame.select(expressions)


class AdditiveEffects:
    """Effects of a model whose margin is a sum with one term for each feature.

    Such are linear and logistic regressions and additive models, whatever encodes their features.
    Then a feature's Shapley value is its term less the mean of that term over the background, and
    the difference of two terms shows when one feature of a row is changed alone.
    """

    def __init__(
        self, predict: Predictor, task: str, base: pl.DataFrame, means: np.ndarray | None = None
    ) -> None:
        """Describe a model.

        Args:
            predict: the model.
            task: of the release.
            base: features of any row, shape (1, n_features).
            means: mean of terms() over the background, shape (n_features,) or (n_features,
                n_classes); zeros by default.
        """
        self._predict = predict
        self._task = task
        self._base = base
        self._start = margins(predict(base), task)[0]
        self._means = np.zeros((base.width, *self._start.shape)) if means is None else means

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Return the effects of features."""
        height = features.height
        blocks = [
            pl.concat(
                [
                    same.new_from_index(0, index * height),
                    features.get_column(same.name).cast(same.dtype),
                    same.new_from_index(0, (features.width - 1 - index) * height),
                ]
            )
            for index, same in enumerate(self._base.get_columns())
        ]
        contributions = margins(self._predict(pl.DataFrame(blocks)), self._task) - self._start
        each = contributions.reshape(features.width, height, *self._start.shape)
        effects = np.empty((height, features.width + 1, *self._start.shape))
        effects[:, :-1] = each.swapaxes(0, 1) - self._means
        effects[:, -1] = self._start + self._means.sum(axis=0)
        return effects

    def terms(self, name: str, values: pl.Series) -> np.ndarray:
        """Return the terms of one feature, less that of the base row.

        Returns:
            Shape (n_values,) or (n_values, n_classes).
        """
        frame = pl.DataFrame(
            [
                values.rename(name) if each.name == name else each.new_from_index(0, len(values))
                for each in self._base.get_columns()
            ]
        )
        return margins(self._predict(frame), self._task) - self._start


def difference(parts: np.ndarray, predictions: np.ndarray, task: str) -> np.ndarray:
    """Compare effects with predictions.

    Args:
        parts: effects of the rows, as Effects gives them.
        predictions: of the same rows, as a release gives them.
        task: of the release.

    Returns:
        Shape (n_rows,): how far the sum of the parts is from the margin, in log-odds, or relative
        to the largest part.
    """
    total = parts.sum(axis=1)
    if task not in ("classification", MULTICLASS):
        values = margins(predictions, task)
        return np.abs(total - values) / np.maximum(np.abs(parts).max(axis=1), SMALLEST)
    # A difference of probabilities, in log-odds. Nearer to 0 and 1 it would be all rounding.
    slope = np.maximum(predictions * (1 - predictions), 1e-3)
    if task == MULTICLASS:  # that of the class for which it is largest
        odds = np.exp(total - total.max(axis=1, keepdims=True))
        apart = np.abs(odds / odds.sum(axis=1, keepdims=True) - predictions) / slope
        return np.asarray(apart.max(axis=1))
    return np.abs(1 / (1 + np.exp(-np.clip(total, -30, 30))) - predictions) / slope
