"""Which number of a prediction is explained: the only one, or the probability of the class answered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung_ops.adverse import HIGH
from rung_ops.predictions import labels


@dataclass(frozen=True)
class Explained:
    """Predictions with the effects of features on them.

    Attributes:
        number: of each row that is explained, shape (n_rows,).
        effects: on that number, shape (n_rows, n_features).
        answers: what the examples of the report say of each row.
        ranked: rows in an order from which examples are taken evenly.
        adverse: of each row, `high` or `low` where only what made its number so is a reason.
        importance: mean absolute effect of each feature, shape (n_features,).
        by_class: the same on each class, shape (n_features, n_classes); None of a single number.
    """

    number: np.ndarray
    effects: np.ndarray
    answers: list[dict[str, Any]]
    ranked: np.ndarray
    adverse: list[str | None]
    importance: np.ndarray
    by_class: np.ndarray | None = None


def of_numbers(predicted: np.ndarray, values: np.ndarray, adverse: str | None) -> Explained:
    """Explain predictions of one number.

    Args:
        predicted: shape (n_rows,).
        values: SHAP values, shape (n_rows, n_features).
        adverse: `high` or `low`, as [reasons] of params.toml says.
    """
    return Explained(
        number=predicted,
        effects=values,
        answers=[{"predicted": round(float(number), 4)} for number in predicted],
        ranked=np.argsort(predicted, kind="stable"),
        adverse=[adverse] * len(predicted),
        importance=np.abs(values).mean(axis=0),
    )


def of_classes(
    predicted: np.ndarray, values: np.ndarray, names: Sequence[str], adverse: Collection[str]
) -> Explained:
    """Explain the probability of the class that each row is answered with, the most probable one.

    Args:
        predicted: probabilities, shape (n_rows, n_classes).
        values: SHAP values, shape (n_rows, n_features, n_classes).
        names: of the classes.
        adverse: those that are unfavourable; of them only what made them likelier is a reason.
    """
    rows, answered = np.arange(len(predicted)), predicted.argmax(axis=1)
    probabilities = predicted[rows, answered]
    named = labels(predicted, names)
    by_class = np.abs(values).mean(axis=0)
    return Explained(
        number=probabilities,
        effects=values[rows, :, answered],
        answers=[
            {"predicted": name, "probability": round(float(probability), 4)}
            for name, probability in zip(named, probabilities, strict=True)
        ],
        ranked=np.lexsort((probabilities, answered)),  # so that all classes are among them
        adverse=[HIGH if name in adverse else None for name in named],
        importance=by_class.mean(axis=1),
        by_class=by_class,
    )
