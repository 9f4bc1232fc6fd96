"""Which number of a prediction is explained: the only one, or the probability of the class answered.

What the report says of several classes in another way than of one number is written here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rung_ops.model.reasons import HIGH
from rung_ops.model.target import labels


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
        by_class: the same on each class, by its name, each of shape (n_features,); empty of a
            single number.
    """

    number: np.ndarray
    effects: np.ndarray
    answers: list[dict[str, Any]]
    ranked: np.ndarray
    adverse: list[str | None]
    importance: np.ndarray
    by_class: Mapping[str, np.ndarray] = field(default_factory=dict)

    def importances(self, features: Sequence[str]) -> dict[str, Any]:
        """Give each feature's importance, and that on each class, the most important one first."""
        order = sorted(range(len(features)), key=lambda at: (-self.importance[at], features[at]))
        named = {"importance": {features[at]: round(float(self.importance[at]), 5) for at in order}}
        if not self.by_class:
            return named
        rounded = {name: weights.round(5).tolist() for name, weights in self.by_class.items()}
        return named | {
            "importance_by_class": {
                features[at]: {name: weights[at] for name, weights in rounded.items()}
                for at in order
            }
        }


def of(
    predicted: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    adverse: str | Collection[str] | None,
) -> Explained:
    """Explain predictions.

    Args:
        predicted: as from shap_values.predicted().
        values: as from shap_values.compute().
        names: of the classes; empty if a single number is predicted.
        adverse: what is unfavourable, from adverse.of().
    """
    if names:
        return of_classes(predicted, values, names, adverse or ())
    return of_numbers(predicted, values, adverse if isinstance(adverse, str) else None)


def reasons_are(adverse: str | Collection[str] | None) -> str:
    """Say which effects are reasons."""
    if adverse is None:
        return "effects of any sign"
    if isinstance(adverse, str):
        return f"what makes a prediction {adverse}er"
    named = ", ".join(adverse)
    return f"what makes the answer likelier where it is {named}; else effects of any sign on it"


def rounded(base: np.ndarray, names: Sequence[str]) -> float | dict[str, float]:
    """Round the base value, or that of each class."""
    if not names:
        return round(float(base), 4)
    return dict(zip(names, base.round(4).tolist(), strict=True))


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
        by_class=dict(zip(names, by_class.T, strict=True)),
    )
