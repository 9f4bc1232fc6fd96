"""What a format of a model is compared with, and what came of it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model.predictors import Predictor
from rung_ops.model.target import QUANTILE

# Largest difference of a probability; for regression, in standard deviations of the predictions.
# Rounding to 32 bits alone stays below 3e-7; taking another branch of a tree does not.
TOLERANCE = 1e-5


def tolerance_of(expected: np.ndarray, task: str | None) -> float:
    """Return how far a format's predictions may be from the estimator's, in units of `expected`.

    Args:
        expected: the estimator's predictions; where they have a unit, their spread is the scale.
        task: of the release.
    """
    in_units = task in ("regression", QUANTILE)
    return TOLERANCE * (float(np.std(expected)) or 1.0 if in_units else 1.0)


def _nothing(features: pl.DataFrame) -> np.ndarray:
    return np.full(features.height, np.nan)


@dataclass
class FormatResult:
    """The result of trying one format, as the manifest records it.

    Attributes:
        format: onnx, lightgbm, skops or custom.
        ok: whether its predictions equal the estimator's.
        reason: why it is not used.
        max_difference: largest difference to the estimator's predictions; None if it did not run.
        microseconds_one_row, microseconds_64_rows: the fastest of several runs.
    """

    format: str
    ok: bool = False
    reason: str | None = None
    max_difference: float | None = None
    microseconds_one_row: float | None = None
    microseconds_64_rows: float | None = None
    predict: Predictor = field(default=_nothing, repr=False)

    def to_manifest(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {name: value for name, value in vars(self).items() if name != "predict"}


@dataclass(frozen=True)
class ParityCheck:
    """Rows on which a format has to predict what the estimator predicts.

    Attributes:
        features: of the rows, shape (n_rows, n_features).
        expected: the estimator's predictions, shape (n_rows,) or (n_rows, n_classes).
        tolerance: the largest accepted difference, in units of `expected`.
    """

    features: pl.DataFrame
    expected: np.ndarray
    tolerance: float

    def compare(self, predictions: np.ndarray, result: FormatResult) -> None:
        """Set the difference of a format's predictions, and whether it is ok or why not."""
        if predictions.shape != self.expected.shape:
            result.reason = (
                f"got predictions of shape {predictions.shape}; expected {self.expected.shape}"
            )
            return
        difference = np.abs(predictions - self.expected)
        if np.isfinite(difference).any():
            result.max_difference = float(np.nanmax(difference[np.isfinite(difference)]))
        same = difference <= self.tolerance  # NaN is different
        off = int((~same.reshape(len(same), -1).all(axis=1)).sum())
        result.ok = off == 0
        if off:
            result.reason = (
                f"{off:,} of {len(self.expected):,} rows differ by more than {self.tolerance:.3g}, "
                f"at most by {result.max_difference}"
            )

    def to_manifest(self, selected: FormatResult, tried: list[FormatResult]) -> dict[str, Any]:
        """Return what the manifest says of the comparison."""
        return {
            "rows": self.features.height,
            "max_difference": selected.max_difference,
            "tolerance": self.tolerance,
            "formats": [each.to_manifest() for each in tried],
        }
