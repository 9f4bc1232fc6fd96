"""Stage: compare the model with a baseline that ignores every feature."""

import json
from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn.dummy import DummyClassifier, DummyRegressor

from rung_ops import contract
from rung_ops.project.paths import PREDICTIONS, REPORTS, TRAIN, params
from rung_ops.training import estimator

COMPARISON = REPORTS / "comparison.json"
RESAMPLES = 500
LEVEL = 0.95  # confidence level: from the 2.5th to the 97.5th percentile


def baseline(train: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Predict rows with a baseline: the mean, or the share of positives, of the training rows.

    Returns:
        Shape (n_rows,).
    """
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    dummy = (
        DummyClassifier(strategy="prior")
        if estimator.is_classification(model)
        else DummyRegressor()
    )
    dummy.fit(np.zeros((train.height, 1)), estimator.truth(train))
    inputs = np.zeros((rows.height, 1))
    if estimator.is_classification(model):
        return np.asarray(dummy.predict_proba(inputs))[:, 1]
    return np.asarray(dummy.predict(inputs))


def interval(figure: Callable[[np.ndarray], float], n_rows: int, seed: int) -> tuple[float, float]:
    """Compute the bootstrap confidence interval of a figure.

    Args:
        figure: computes the figure for row numbers, shape (n_rows,).
        n_rows: number of rows.
        seed: of the bootstrap samples.

    Returns:
        The lower and the upper bound.
    """
    random = np.random.default_rng(seed)
    figures = []
    for _ in range(RESAMPLES):
        try:
            figures.append(figure(random.integers(0, n_rows, n_rows)))
        except ValueError:  # a sample of a single class cannot be scored
            continue
    low, high = np.nanpercentile(figures, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def compare(actual: np.ndarray, model: np.ndarray, simple: np.ndarray) -> dict[str, float | bool]:
    """Compare two sets of predictions of the same rows by the metric of params.toml.

    Args:
        actual: target values, shape (n_rows,).
        model: predictions of the model, shape (n_rows,).
        simple: predictions of the baseline, shape (n_rows,).

    Returns:
        The figures of both, the gain of the model (positive is better) with its confidence
        interval, and whether the whole interval is positive.
    """
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1

    def gain(chosen: np.ndarray) -> float:
        ours = contract.score(actual[chosen], model[chosen])[metric]
        return float(sign * (ours - contract.score(actual[chosen], simple[chosen])[metric]))

    low, high = interval(gain, len(actual), settings["seed"])
    everything = np.arange(len(actual))
    return {
        "model": float(contract.score(actual, model)[metric]),
        "baseline": float(contract.score(actual, simple)[metric]),
        "gain": gain(everything),
        "gain_low": low,
        "gain_high": high,
        "better": bool(low > 0),
    }


def main() -> int:
    """Compare the model with the baseline; return the exit code."""
    rows = pl.read_parquet(PREDICTIONS)
    simple = baseline(pl.read_parquet(TRAIN), rows)
    result = compare(estimator.truth(rows), rows["predicted"].to_numpy(), simple)
    COMPARISON.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    metric = params()["score"]["metric"]
    print(
        f"{metric}: {result['model']:.4f}, a constant {result['baseline']:.4f}; "
        f"gain {result['gain']:+.4f}, {LEVEL:.0%} interval "
        f"{result['gain_low']:+.4f} to {result['gain_high']:+.4f}"
    )
    if not result["better"]:
        print("The model is not clearly better than a constant: do not release it.")
    return 0
