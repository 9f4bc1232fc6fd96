"""Whether score() of model.py and `[score]` in params.toml fit each other."""

import math
import warnings

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import ContractError, calling
from rung_ops.project.paths import parameter_line, params
from rung_ops.training import estimator
from rung_ops.training.baseline import baseline

ROWS = 10_000  # enough to tell perfect predictions from a constant


def refuse_wrong_score(rows: pl.DataFrame) -> None:
    """Refuse a `metric` that score() does not return, and a direction in which a constant is best."""
    rows = rows.sample(min(rows.height, ROWS), seed=1)
    actual, metric = estimator.truth(rows), params()["score"]["metric"]
    with calling("score()"):
        figures = contract.score(actual, _guesses(len(actual)))
    if not isinstance(figures, dict):
        kind = type(figures).__name__
        raise ContractError(
            f"model.py: score() returns {kind}; it must be a dict of figures by name."
        )
    if metric not in figures:
        raise ContractError(
            f"{parameter_line('score', 'metric')}: [score] metric is `{metric}`, but score() returns "
            f"{', '.join(figures)}."
        )
    for name, value in figures.items():
        with calling(f"reading `{name}` of score() as a number"):
            float(value)
    try:
        with warnings.catch_warnings(action="ignore"):
            perfect = float(contract.score(actual, _perfect(actual))[metric])
            simple = float(contract.score(actual, baseline(rows, rows))[metric])
    except Exception:  # src/ is the user's; other promises say what is wrong with build()
        return
    if perfect == simple or math.isnan(perfect - simple):
        return
    if (higher := perfect > simple) != params()["score"]["higher_is_better"]:
        raise ContractError(
            f"{parameter_line('score', 'higher_is_better')}: `{metric}` is {perfect:.4g} for perfect "
            f"predictions and {simple:.4g} for a constant: write `higher_is_better = "
            f"{str(higher).lower()}`."
        )


def _guesses(n_rows: int) -> np.ndarray:
    """Make predictions for score() to try: probabilities, those of each class, or quantiles."""
    kind = estimator.kind()
    if kind.classes:
        return np.random.default_rng(1).dirichlet(np.ones(kind.width), n_rows)
    one = np.linspace(0.1, 0.9, n_rows)
    return one[:, None] + kind.quantiles if kind.quantiles else one


def _perfect(actual: np.ndarray) -> np.ndarray:
    """Predict what came true."""
    kind = estimator.kind()
    if kind.classes:
        return np.eye(kind.width)[actual.astype(int)]
    one = actual.astype(float)
    return np.tile(one[:, None], (1, kind.width)) if kind.quantiles else one
