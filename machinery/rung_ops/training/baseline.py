"""Stage: compare the model with a baseline that ignores every feature."""

import json
import math

import numpy as np
import polars as pl
from sklearn.dummy import DummyClassifier, DummyRegressor

from rung_ops import contract, jackknife, target
from rung_ops.project.paths import PREDICTIONS, REPORTS, TRAIN, params
from rung_ops.training import estimator

COMPARISON = REPORTS / "comparison.json"
LEVEL = 0.95  # confidence level of the interval


def baseline(train: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Predict rows with a baseline: the mean, the quantiles, the share of positives or of classes.

    Of constants it has the lowest log loss, Brier score, squared error and pinball loss; its most
    probable class is that of the majority, which has the highest accuracy.

    Returns:
        Shape (n_rows,), or (n_rows, n_classes), or (n_rows, 3).
    """
    if levels := estimator.kind().quantiles:
        return np.tile(np.quantile(estimator.truth(train), levels), (rows.height, 1))
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    dummy = (
        DummyClassifier(strategy="prior")
        if estimator.is_classification(model)
        else DummyRegressor()
    )
    dummy.fit(np.zeros((train.height, 1)), estimator.truth(train))
    inputs = np.zeros((rows.height, 1))
    if names := estimator.classes():
        return target.spread(dummy.predict_proba(inputs), dummy.classes_, len(names))
    if estimator.is_classification(model):
        return np.asarray(dummy.predict_proba(inputs))[:, 1]
    return np.asarray(dummy.predict(inputs))


def compare(actual: np.ndarray, model: np.ndarray, simple: np.ndarray) -> dict[str, float | bool]:
    """Compare two sets of predictions of the same rows by the metric of params.toml.

    Args:
        actual: target values, shape (n_rows,).
        model: predictions of the model, shape (n_rows,).
        simple: predictions of the baseline, shape (n_rows,).

    Returns:
        The figures of both, the gain of the model (positive is better), its confidence interval
        where there are rows enough for one, and whether the whole interval is positive.
    """
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1

    def gain(chosen: np.ndarray) -> float:
        ours = contract.score(actual[chosen], model[chosen])[metric]
        return float(sign * (ours - contract.score(actual[chosen], simple[chosen])[metric]))

    result: dict[str, float | bool] = {
        "model": float(contract.score(actual, model)[metric]),
        "baseline": float(contract.score(actual, simple)[metric]),
        "gain": gain(np.arange(len(actual))),
        "better": False,
    }
    error = jackknife.standard_error(gain, len(actual), settings["seed"])
    if math.isnan(error):
        return result
    half = jackknife.student_t_quantile(1 - LEVEL) * error
    low, high = result["gain"] - half, result["gain"] + half
    return result | {"gain_low": low, "gain_high": high, "better": low > 0}


def main() -> int:
    """Compare the model with the baseline; return the exit code."""
    rows = pl.read_parquet(PREDICTIONS)
    simple = baseline(pl.read_parquet(TRAIN), rows)
    result = compare(estimator.truth(rows), rows["predicted"].to_numpy(), simple)
    COMPARISON.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    metric = params()["score"]["metric"]
    bounds = (
        f"{LEVEL:.0%} interval {result['gain_low']:+.4f} to {result['gain_high']:+.4f}"
        if "gain_low" in result
        else f"{rows.height} rows are too few for an interval"
    )
    print(
        f"{metric}: {result['model']:.4f}, a constant {result['baseline']:.4f}; "
        f"gain {result['gain']:+.4f}, {bounds}"
    )
    if not result["better"]:
        print("The model is not clearly better than a constant: do not release it.")
    return 0
