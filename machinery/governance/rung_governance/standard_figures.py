"""Standard figures, computed by the library: a candidate's score() cannot give others under their names.

It is the candidate that computes its figures: score() is in its own model.py. A custom figure is
believed, and the plan names it; read its code.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from sklearn import metrics

from rung_ops.model.target import ONE_NUMBER, Kind

REL, ABS = 1e-6, 1e-9  # by which the same figure may differ, computed in another way

Figure = Callable[[np.ndarray, np.ndarray], Any]


def _log_loss(truth: np.ndarray, predicted: np.ndarray) -> Any:
    return metrics.log_loss(truth, predicted, labels=[0, 1])


def _brier(truth: np.ndarray, predicted: np.ndarray) -> Any:
    return np.mean((predicted - truth) ** 2)


FIGURES: dict[str, Figure] = {
    "auc": metrics.roc_auc_score,
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "log_loss": _log_loss,
    "brier": _brier,
    "mae": metrics.mean_absolute_error,
    "rmse": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
}


def _of_classes(figure: Figure) -> Figure:
    """Tell a figure of probabilities, shape (n_rows, n_classes), which classes there are."""

    def computed(truth: np.ndarray, predicted: np.ndarray) -> Any:
        return figure(truth, predicted, labels=list(range(predicted.shape[1])))  # type: ignore[call-arg]

    return computed


FIGURES_OF_CLASSES: dict[str, Figure] = {
    "accuracy": lambda truth, predicted: np.mean(truth == predicted.argmax(axis=1)),
    "brier": _of_classes(metrics.brier_score_loss),
    "log_loss": _of_classes(metrics.log_loss),
}


def _of(kind: Kind) -> dict[str, Figure]:
    """Return the figures of a kind of target; of quantiles none has one meaning."""
    if kind.quantiles:
        return {}
    return FIGURES_OF_CLASSES if kind.classes else FIGURES


def differences(
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]],
    truth: np.ndarray,
    predicted: np.ndarray,
    kind: Kind = ONE_NUMBER,
) -> Iterator[str]:
    """Say which figures of score() are not what their names say.

    Args:
        score: of model.py; it is asked for all rows and for each half of them.
        truth: of the gate's rows, shape (n_rows,).
        predicted: by the version, shape (n_rows,), (n_rows, n_classes) or (n_rows, 3).
        kind: of the target.
    """
    standard = _of(kind)
    wrong: dict[str, str] = {}
    for part in (slice(None), slice(None, None, 2), slice(1, None, 2)):
        if len(np.unique(truth[part])) < 2:
            continue  # most figures mean nothing there, and score() may refuse
        given = score(truth[part], predicted[part])
        for name in standard.keys() & given.keys() - wrong.keys():
            is_ = float(standard[name](truth[part], predicted[part]))
            if not math.isclose(float(given[name]), is_, rel_tol=REL, abs_tol=ABS):
                wrong[name] = (
                    f"score() in model.py says {name} {float(given[name]):.6g}, and it is {is_:.6g}: "
                    "give a figure of your own another name, which the change control plan bounds"
                )
    yield from (wrong[name] for name in sorted(wrong))


def unbounded(deciding: str, bounds: Collection[str], kind: Kind = ONE_NUMBER) -> Iterator[str]:
    """Say that a custom figure decides without a bound of the plan.

    Args:
        deciding: the metric that decides; empty if none was computed.
        bounds: names of the figures that the plan bounds.
        kind: of the target.
    """
    standard = _of(kind)
    if deciding and deciding not in standard and deciding not in bounds:
        yield (
            f"{deciding}, which decides, is computed by score() in model.py alone, and "
            "`performance` of the change control plan does not name it"
        )
