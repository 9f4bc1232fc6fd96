"""What a target may be: true or false, or a number; a class among more than two is refused."""

import numpy as np
import polars as pl

from rung_ops.project.errors import StageError

SUPPORTED = (
    "Only targets of two classes and numbers are supported: make TARGET in dataset.py true or "
    "false, or a number that a regressor predicts."
)


class UnsupportedTargetError(StageError):
    """The target has more than two classes, or is neither true or false nor a number."""


def refuse_type(name: str, dtype: pl.DataType) -> None:
    """Refuse a target whose type is neither Boolean nor a number.

    Raises:
        UnsupportedTargetError: it is another type, such as a text.
    """
    if not (dtype == pl.Boolean or dtype.is_numeric()):
        raise UnsupportedTargetError(f"The target `{name}` is of type {dtype}. {SUPPORTED}")


def refuse_classes(number: int) -> None:
    """Refuse a classifier that does not tell two classes apart.

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


def positive(probabilities: np.ndarray) -> np.ndarray:
    """Take the probability of the positive class; shape (n_rows,), in [0, 1].

    Args:
        probabilities: what predict_proba() gives, shape (n_rows, 2).

    Raises:
        UnsupportedTargetError: it gives another number of classes.
    """
    refuse_classes(probabilities.shape[1])
    return np.asarray(probabilities[:, 1])
