"""Quantiles from a regressor that predicts one: a copy of it for each, for build() in model.py."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone


class PerQuantile(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fits a copy of a regressor for each quantile; predict() gives a column for each.

    A release holds it in ONNX where that holds the regressor, as the last step of a pipeline.

    Args:
        estimator: of scikit-learn's interface, not fitted.
        quantiles: QUANTILES of dataset.py.
        parameter: of the regressor that takes the quantile: `quantile` of
            HistGradientBoostingRegressor and QuantileRegressor, `alpha` of
            GradientBoostingRegressor and LGBMRegressor.
    """

    def __init__(
        self, estimator: Any, quantiles: Sequence[float], parameter: str = "quantile"
    ) -> None:
        self.estimator = estimator
        self.quantiles = quantiles
        self.parameter = parameter

    def fit(self, features: Any, truth: Any, sample_weight: Any = None) -> "PerQuantile":
        """Fit each copy; features of shape (n_rows, n_features), truth and weights of (n_rows,)."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.estimators_ = [
            clone(self.estimator)
            .set_params(**{self.parameter: level})
            .fit(features, truth, **weights)
            for level in self.quantiles
        ]
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Predict the quantiles; shape (n_rows, n_quantiles)."""
        return np.column_stack([each.predict(features) for each in self.estimators_])
