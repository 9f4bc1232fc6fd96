"""Stage: hold the model against the simplest ones, so that its worth is known."""

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
LEVEL = 0.95  # of the interval; its ends are the 2.5th and 97.5th percentile


def baseline(train: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Predict with the rule that ignores every feature: the mean, or the share of positives.

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
    """Find the range of a figure by a bootstrap over rows.

    Args:
        figure: takes the numbers of the rows drawn, shape (n_rows,).
        n_rows: how many rows there are.
        seed: of the draws.
    """
    draws = np.random.default_rng(seed)
    figures = []
    for _ in range(RESAMPLES):
        try:
            figures.append(figure(draws.integers(0, n_rows, n_rows)))
        except ValueError:  # a draw of one class only cannot be scored
            continue
    low, high = np.nanpercentile(figures, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def compare(actual: np.ndarray, model: np.ndarray, simple: np.ndarray) -> dict[str, float | bool]:
    """Compare two sets of predictions of the same rows by the deciding figure.

    Returns:
        The figure of both, the gain of the model (positive is better) with its interval, and
        whether the whole interval is a gain.
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
    found = compare(estimator.truth(rows), rows["predicted"].to_numpy(), simple)
    COMPARISON.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(
        f"{params()['score']['metric']}: {found['model']:.4f}, a constant {found['baseline']:.4f}; "
        f"gain {found['gain']:+.4f}, {LEVEL:.0%} interval "
        f"{found['gain_low']:+.4f} to {found['gain_high']:+.4f}"
    )
    if not found["better"]:
        print("The model is not clearly better than a constant: do not release it.")
    return 0
