"""Score the hyperparameters of a trial by cross-validation, on a worker."""

from typing import Any

import polars as pl

from rung_ops.tracking import tune


def evaluate(config: dict[str, Any], rows: pl.DataFrame, metric: str, seed: int) -> dict[str, Any]:
    """Score hyperparameters.

    Args:
        config: `settings`, for rung_ops.tracking.tune.score_of().
        rows: training rows.
        metric: the figure of score().
        seed: of the model and the folds.

    Returns:
        `figure`, or `wrong`: the error of the user's code. It is not raised, because Ray would
        retry the trial with the same result.
    """
    try:
        return {"figure": tune.score_of(config["settings"], rows, metric, seed)}
    except Exception as error:  # the user's code may raise anything
        return {"figure": float("nan"), "wrong": f"{type(error).__name__}: {error}"}
