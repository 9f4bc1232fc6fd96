"""What a target may be, and what its predictions look like: the one home for the kind of problem.

|TARGET in Row|Truth|A prediction|`task` of a release|
|-|-|-|-|
|true or false|0 or 1|the probability of true: shape (n_rows,)|classification|
|a number|the value|the value: shape (n_rows,)|regression|
|a text with `isin`|its place in `isin`, from 0|the probability of each class: (n_rows, n_classes)|multiclass|

A model is fitted to the truth, so a class is a number to it. Whatever leaves the library names it:
`prediction` is the most probable class, and `probabilities` has those of all by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from rung_ops.project.errors import StageError

MULTICLASS = "multiclass"  # the `task` of a release, beside classification and regression
PREDICTION, PROBABILITIES = "prediction", "probabilities"
SUPPORTED = (
    "TARGET in dataset.py is true or false, a number that a regressor predicts, or a text whose "
    "classes Row lists, as in `pa.Field(isin=[...])`."
)


class UnsupportedTargetError(StageError):
    """The target is of a type or has classes that no model of a project can predict."""


def class_names(name: str, column: Any) -> list[str]:
    """Name the classes of a target in the order of Row; none where it is a number or Boolean.

    Args:
        name: of the target.
        column: of the schema of Row.

    Raises:
        UnsupportedTargetError: it is another type, or a text without two or more classes.
    """
    dtype = column.dtype.type
    if dtype == pl.Boolean or dtype.is_numeric():
        return []
    listed = [check for check in column.checks if check.name == "isin"]
    if dtype != pl.String or not listed:
        what = "a text without `isin`" if dtype == pl.String else f"of type {dtype}"
        raise UnsupportedTargetError(f"The target `{name}` is {what}. {SUPPORTED}")
    names = [str(value) for value in listed[0].statistics["allowed_values"]]
    if len(set(names)) < 2 or len(set(names)) < len(names) or "" in names or column.nullable:
        raise UnsupportedTargetError(
            f"The target `{name}` must list two or more classes in `isin`, each once, none of them "
            "empty, and may not be nullable."
        )
    return names


def refuse_classes(number: int) -> None:
    """Refuse a classifier of a Boolean target that does not tell two classes apart.

    Raises:
        UnsupportedTargetError: it knows one class, or more than two.
    """
    if number == 1:
        raise UnsupportedTargetError(
            "The model knows one class: all rows that it learned from have the same target. Bring "
            "rows of both classes."
        )
    if number != 2:
        raise UnsupportedTargetError(f"The model tells {number} classes apart. {SUPPORTED}")


def refuse_unlearned(codes: Sequence[int], names: Sequence[str]) -> None:
    """Refuse a classifier that has not learned every class of Row.

    Args:
        codes: of the classes that it learned.
        names: of all classes.

    Raises:
        UnsupportedTargetError: it lacks one.
    """
    if lacking := [name for code, name in enumerate(names) if code not in set(codes)]:
        raise UnsupportedTargetError(
            f"The rows that the model learned from have none of the class {', '.join(lacking)}: "
            "bring rows of it, or remove it from `isin` in dataset.py."
        )


def truth(values: pl.Series, names: Sequence[str]) -> np.ndarray:
    """Return target values as a model learns them, shape (n_rows,): false and true as 0 and 1.

    Args:
        values: of the target.
        names: of the classes, which become 0, 1, 2 and so on; none for a Boolean or a number.
    """
    if names:
        codes = dict(zip(names, range(len(names)), strict=True))
        return values.cast(pl.String).replace_strict(codes, return_dtype=pl.Int64).to_numpy()
    return (values.cast(pl.Int8) if values.dtype == pl.Boolean else values).to_numpy()


def positive(probabilities: np.ndarray) -> np.ndarray:
    """Take the probability of the positive class; shape (n_rows,), in [0, 1].

    Args:
        probabilities: what predict_proba() gives, shape (n_rows, 2).

    Raises:
        UnsupportedTargetError: it gives another number of classes.
    """
    refuse_classes(probabilities.shape[1])
    return np.asarray(probabilities[:, 1])


def of_classifier(probabilities: np.ndarray, task: str | None) -> np.ndarray:
    """Take from predict_proba() what a prediction of the task is.

    Args:
        probabilities: shape (n_rows, n_classes).
        task: of the release.

    Returns:
        All of them for MULTICLASS, otherwise as positive().
    """
    return probabilities if task == MULTICLASS else positive(probabilities)


def spread(probabilities: np.ndarray, codes: Sequence[int], number: int) -> np.ndarray:
    """Put probabilities of the classes that a model learned among all; 0 for the others.

    Args:
        probabilities: shape (n_rows, len(codes)).
        codes: of its columns.
        number: of all classes.

    Returns:
        Shape (n_rows, number).
    """
    found = np.zeros((len(probabilities), number))
    found[:, np.asarray(codes, dtype=int)] = probabilities
    return found


def shape(n_rows: int, names: Sequence[str]) -> tuple[int, ...]:
    """Return the shape of the predictions of some rows."""
    return (n_rows, len(names)) if names else (n_rows,)


def finite_rows(predictions: np.ndarray) -> np.ndarray:
    """Tell of each row whether all that was predicted for it are finite numbers; shape (n_rows,)."""
    finite = np.isfinite(predictions.astype(float))
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how far two sets of predictions of the same rows lie apart; shape (n_rows,).

    For classes it is half the sum of the differences: the probability that moved, in [0, 1].
    """
    apart = np.abs(one - other)
    return apart if apart.ndim == 1 else np.asarray(apart.sum(axis=1) / 2)


def labels(predictions: np.ndarray, names: Sequence[str]) -> list[str]:
    """Name the most probable class of each row; of equal ones the first.

    Args:
        predictions: shape (n_rows, n_classes).
        names: of the classes.
    """
    return [names[code] for code in predictions.argmax(axis=1)]


def columns(predictions: np.ndarray, names: Sequence[str]) -> list[pl.Series]:
    """Write predictions as columns: `prediction`, and for classes `probabilities` beside it.

    Args:
        predictions: shape (n_rows,), or (n_rows, n_classes) where there are names.
        names: of the classes; none for a Boolean or a number.
    """
    if not names:
        return [pl.Series(PREDICTION, predictions, dtype=pl.Float64)]
    each = pl.DataFrame(
        {name: predictions[:, code] for code, name in enumerate(names)},
        schema=dict.fromkeys(names, pl.Float64),
    )
    return [
        pl.Series(PREDICTION, labels(predictions, names), dtype=pl.String),
        each.to_struct(PROBABILITIES),
    ]


def predictions(frame: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Read the predictions back from what columns() wrote.

    Args:
        frame: with the columns `prediction` and, for classes, `probabilities`.
        names: of the classes.

    Returns:
        Shape (n_rows,), or (n_rows, n_classes).
    """
    if not names:
        return frame[PREDICTION].to_numpy()
    return frame.select(pl.col(PROBABILITIES).struct.field(*names)).to_numpy()


def names_of(contract: Mapping[str, Any]) -> list[str]:
    """Name the classes of a released contract; none where it predicts a probability or a value."""
    return list(contract.get("classes") or ())
