"""What a worker does for the search: it judges parameters by cross-validation."""

from typing import Any

import polars as pl

from rung_ops.training import tune


def judge(config: dict[str, Any], rows: pl.DataFrame, metric: str, seed: int) -> dict[str, Any]:
    """Score parameters.

    Args:
        config: `settings`, as rung_ops.training.tune.score_of() takes them.
        rows: training rows.
        metric: which figure of score().
        seed: of the model and the folds.

    Returns:
        `figure`, or `wrong`: what the user's code said. That is returned and not raised, as Ray
        would begin the trial anew, with the same end.
    """
    try:
        return {"figure": tune.score_of(config["settings"], rows, metric, seed)}
    except Exception as error:  # the user's code may raise anything
        return {"figure": float("nan"), "wrong": f"{type(error).__name__}: {error}"}
