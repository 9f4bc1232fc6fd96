"""SHAP values of an estimator's predictions, for features of any type."""

import time
from types import ModuleType
from typing import Any

import numba
import numpy as np
import polars as pl

from rung_ops.model.target import numbers
from rung_ops.training import estimator


def compute(
    model: Any, rows: pl.DataFrame, background: pl.DataFrame, seed: int, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the SHAP values of predictions.

    Args:
        model: the fitted estimator.
        rows: features of the rows to explain, shape (n_rows, n_features).
        background: features of the rows they are compared with, shape (n_background, n_features).
        seed: of the permutations of features.
        seconds: time limit; after it, no further row is started.

    Returns:
        SHAP values, shape (n_explained, n_features), each row adding up to its prediction minus
        the base value; and the base value, the mean prediction of the background. Of several
        classes both have a further axis: the probability of each.
    """
    encoder = FeatureEncoder(pl.concat([background, rows]))

    def predict(codes: np.ndarray) -> np.ndarray:
        return predicted(model, encoder.decode(codes))

    shap = _without_compiling()
    codes = encoder.encode(background)
    masker = shap.maskers.Independent(codes, max_samples=len(codes))
    explainer = shap.explainers.Permutation(predict, masker, seed=seed)
    evaluations = 2 * rows.width + 1  # the minimum: one permutation, forwards and backwards
    start = time.monotonic()
    values: list[np.ndarray] = []
    for row in encoder.encode(rows):
        if values and time.monotonic() - start > seconds:
            break
        explanation = explainer(row[np.newaxis, :], max_evals=evaluations, silent=True)
        values.append(explanation.values[0])
    return np.array(values), predict(codes).mean(axis=0)


def _without_compiling() -> ModuleType:
    """Import SHAP with its loops as Python: to compile them takes 9 s, and to run them 0.1 s."""
    settings: Any = numba.config
    before, settings.DISABLE_JIT = settings.DISABLE_JIT, True
    try:
        import shap
    finally:
        settings.DISABLE_JIT = before
    return shap


def predicted(model: Any, features: pl.DataFrame) -> np.ndarray:
    """Predict what is explained: of quantiles the median.

    Args:
        model: the fitted estimator.
        features: shape (n_rows, n_features).
    """
    answers, kind = estimator.predict_features(model, features), estimator.kind()
    return numbers(answers, kind) if kind.quantiles else answers


class FeatureEncoder:
    """Encodes features as numbers, as SHAP needs them; numeric features are unchanged."""

    def __init__(self, features: pl.DataFrame) -> None:
        """Assign a code to each value of the features that are not numeric."""
        self.schema = features.schema
        self.values = {
            name: features[name].unique(maintain_order=True)
            for name, kind in features.schema.items()
            if not kind.is_numeric()
        }

    def encode(self, features: pl.DataFrame) -> np.ndarray:
        """Encode features; shape (n_rows, n_features), a missing number is NaN."""
        columns = [
            self._codes(features[name])
            if name in self.values
            else features[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in self.schema
        ]
        return np.column_stack(columns)

    def decode(self, numbers: np.ndarray) -> pl.DataFrame:
        """Convert the numbers of encode() back to features."""
        columns = []
        for index, (name, kind) in enumerate(self.schema.items()):
            if name in self.values:
                column = self.values[name].gather(numbers[:, index].astype(int))
            else:
                column = pl.Series(name, numbers[:, index]).fill_nan(None).cast(kind)
            columns.append(column.alias(name))
        return pl.DataFrame(columns)

    def _codes(self, column: pl.Series) -> np.ndarray:
        known = self.values[column.name]
        table = pl.DataFrame({"value": known, "code": np.arange(len(known), dtype=float)})
        wanted = pl.DataFrame({"value": column})
        joined = wanted.join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        return joined["code"].to_numpy()
