"""Quality of a period with and without the autopilot, on the same rows."""

import math
import warnings
from typing import Any

import numpy as np

from rung_ops import contract
from rung_ops.monitoring.jackknife import standard_error, student_t_quantile
from rung_ops.project.paths import params

LEVEL = 0.95  # of the intervals

Figure = dict[str, float]


def compare(actual: np.ndarray, given: np.ndarray, frozen: np.ndarray) -> dict[str, Figure | None]:
    """Score what was answered, and what the first release would have answered.

    Args:
        actual: what happened, shape (n_rows,).
        given, frozen: the two predictions, shape (n_rows,).

    Returns:
        with, without and difference, each with figure, low and high; None where it is not
        defined. A difference above 0 is in the autopilot's favour.
    """
    settings = params()
    metric, seed = settings["score"]["metric"], settings["seed"]
    sign = 1 if settings["score"]["higher_is_better"] else -1

    def score(chosen: np.ndarray, predicted: np.ndarray) -> float:
        with warnings.catch_warnings(action="ignore"):
            return float(contract.score(actual[chosen], predicted[chosen])[metric])

    def figure(of: Any) -> Figure | None:
        error = standard_error(of, len(actual), seed)
        if not math.isfinite(error):
            return None
        whole, half = of(np.arange(len(actual))), student_t_quantile(1 - LEVEL) * error
        return {"figure": whole, "low": whole - half, "high": whole + half}

    return {
        "with": figure(lambda chosen: score(chosen, given)),
        "without": figure(lambda chosen: score(chosen, frozen)),
        "difference": figure(lambda chosen: sign * (score(chosen, given) - score(chosen, frozen))),
    }
