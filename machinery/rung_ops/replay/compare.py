"""Quality of a period with and without the autopilot, on the same rows."""

import math
import warnings
from typing import Any

import numpy as np

from rung_ops import contract
from rung_ops.project.paths import params
from rung_ops.statistics.jackknife import dealt, standard_error, student_t_quantile

LEVEL = 0.95  # confidence level of the intervals

Figure = dict[str, float]


def compare(actual: np.ndarray, served: np.ndarray, frozen: np.ndarray) -> dict[str, Figure | None]:
    """Score the served predictions and those of the first release.

    Args:
        actual: outcomes, shape (n_rows,).
        served: predictions that the service returned, shape (n_rows,).
        frozen: predictions of the first release, shape (n_rows,).

    Returns:
        with, without and difference, each with figure, low and high; None if undefined. A positive
        difference favours the autopilot.
    """
    settings = params()
    metric, seed = settings["score"]["metric"], settings["seed"]
    sign = 1 if settings["score"]["higher_is_better"] else -1

    def score(chosen: np.ndarray, predicted: np.ndarray) -> float:
        with warnings.catch_warnings(action="ignore"):
            return float(contract.score(actual[chosen], predicted[chosen])[metric])

    def figure(of: Any) -> Figure | None:
        error = standard_error(of, dealt(len(actual), seed))
        if not math.isfinite(error):
            return None
        value, half = of(np.arange(len(actual))), student_t_quantile(1 - LEVEL) * error
        return {"figure": value, "low": value - half, "high": value + half}

    return {
        "with": figure(lambda chosen: score(chosen, served)),
        "without": figure(lambda chosen: score(chosen, frozen)),
        "difference": figure(lambda chosen: sign * (score(chosen, served) - score(chosen, frozen))),
    }
