"""Tables for the plots of the report; also written as CSV, to compare runs."""

from typing import Any

import numpy as np
import polars as pl
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from rung_ops import contract
from rung_ops.project.paths import params
from rung_ops.training import estimator

POINTS = 200  # more points would not change the look of a curve
IMPORTANCE_ROWS = 4_000
REPEATS = 3
PERIODS = 24  # parts of equal size, so that each mean rests on as many rows


def roc(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute the ROC curve: false and true positive rate, at most POINTS rows."""
    false_positive, true_positive, _ = roc_curve(truth, predicted)
    curve = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
    return _thinned(pl.DataFrame(curve))


def precision_recall(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute precision and recall by threshold, at most POINTS rows."""
    precision, recall, _ = precision_recall_curve(truth, predicted)
    return _thinned(pl.DataFrame({"recall": recall, "precision": precision}))


def calibration(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute mean predicted probability and observed share in ten bins of equal size."""
    observed, mean_predicted = calibration_curve(truth, predicted, n_bins=10, strategy="quantile")
    return pl.DataFrame({"predicted": mean_predicted, "observed": observed})


def residuals(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute predicted value and residual (actual minus predicted) of up to 2,000 rows."""
    chosen = np.linspace(0, len(truth) - 1, min(2_000, len(truth))).astype(int)
    table = {"predicted": predicted[chosen], "residual": truth[chosen] - predicted[chosen]}
    return pl.DataFrame(table)


def residuals_over_time(truth: np.ndarray, predicted: np.ndarray, time: pl.Series) -> pl.DataFrame:
    """Compute the mean residual (actual minus predicted), and its p10 and p90, in PERIODS parts.

    Args:
        truth, predicted: shape (n_rows,).
        time: of each row; the parts have equal numbers of rows.

    Returns:
        One row for each part, earliest first: time (its first), rows, residual, p10, p90.
    """
    table = pl.DataFrame({"time": time, "residual": truth - predicted}).drop_nulls("time")
    part = pl.int_range(pl.len()) * PERIODS // pl.len()
    residual = pl.col("residual")
    return (
        table.sort("time", maintain_order=True)
        .group_by(part.alias("part"), maintain_order=True)
        .agg(
            pl.col("time").first(),
            rows=pl.len(),
            residual=residual.mean(),
            p10=residual.quantile(0.1),
            p90=residual.quantile(0.9),
        )
        .drop("part")
    )


def importances(model: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the permutation importance of each feature: loss of score when it is shuffled.

    Args:
        model: the fitted estimator.
        rows: test rows; at most IMPORTANCE_ROWS of them are used.

    Returns:
        One row for each feature, most important first: feature, importance (mean over REPEATS),
        deviation (standard deviation).
    """
    settings = params()
    metric, sign = settings["score"]["metric"], 1 if settings["score"]["higher_is_better"] else -1
    rows = rows.sample(min(IMPORTANCE_ROWS, rows.height), seed=settings["seed"])
    actual, inputs = estimator.truth(rows), estimator.features(rows)

    def figure(changed: pl.DataFrame) -> float:
        return contract.score(actual, estimator.predict_features(model, changed))[metric]

    unshuffled = figure(inputs)
    results = []
    for name in inputs.columns:
        drops = [
            sign * (unshuffled - figure(inputs.with_columns(inputs[name].shuffle(seed=repeat))))
            for repeat in range(REPEATS)
        ]
        results.append((name, float(np.mean(drops)), float(np.std(drops))))
    table = pl.DataFrame(results, schema=["feature", "importance", "deviation"], orient="row")
    return table.sort("importance", "feature", descending=[True, False])


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    chosen = np.unique(np.linspace(0, curve.height - 1, min(POINTS, curve.height)).astype(int))
    return curve[chosen]
