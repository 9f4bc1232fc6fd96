"""Predict with the project's model, and save and load it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract, custom_model
from rung_ops.project.errors import StageError
from rung_ops.project.paths import shown
from rung_ops.target import positive, refuse_classes, refuse_type
from rung_ops.trusted_types import refusal, trusted

# skops and scikit-learn are imported in functions: stages that need no model start faster.


class UntrustedModelError(StageError):
    """A model file holds types that TRUSTED in model.py does not list."""


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Compute FEATURES of rows; shape (n_rows, n_features)."""
    return rows.select(contract.FEATURES)


def truth(rows: pl.DataFrame) -> np.ndarray:
    """Return the target of rows, shape (n_rows,); a boolean target as 0 and 1.

    Raises:
        UnsupportedTargetError: it is neither true or false nor a number.
    """
    target = rows[contract.TARGET]
    refuse_type(contract.TARGET, target.dtype)
    return (target.cast(pl.Int8) if target.dtype == pl.Boolean else target).to_numpy()


def predict(estimator: Any, rows: pl.DataFrame) -> np.ndarray:
    """Predict rows of Row.

    Returns:
        Shape (n_rows,): the probability of the positive class in [0, 1], or the value.
    """
    return predict_features(estimator, features(rows))


def predict_features(estimator: Any, inputs: pl.DataFrame) -> np.ndarray:
    """Predict from computed features; returns the same as predict()."""
    if custom_model.is_custom(contract.model):
        return custom_model.predict(contract.model, estimator, inputs)
    from sklearn.base import is_classifier

    if is_classifier(estimator):
        return positive(np.asarray(estimator.predict_proba(inputs)))
    return np.asarray(estimator.predict(inputs))


def is_classification(estimator: Any) -> bool:
    """Return whether a model predicts a probability.

    For a model that is not a scikit-learn estimator, the type of the target decides.
    """
    if hasattr(estimator, "__sklearn_tags__"):
        from sklearn.base import is_classifier

        return bool(is_classifier(estimator))
    return bool(contract.Row.to_schema().columns[contract.TARGET].dtype.type == pl.Boolean)


def save(estimator: Any, path: Path) -> None:
    """Save an estimator with save() of model.py, or else with skops, whose files hold no code.

    Raises:
        UntrustedModelError: TRUSTED lacks a type that load() would need.
        UnsupportedTargetError: it is a classifier of more than two classes, or of one.
        StageError: save() of model.py did not write to the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if custom_model.is_custom(contract.model):
        contract.model.save(estimator, path)
        if not path.exists():
            raise StageError(
                f"save() in model.py did not write to {shown(path)}: write one file or folder at "
                "exactly this path (numpy.savez adds `.npz` to a path, but not to an open file)."
            )
        return
    import skops.io
    from sklearn.base import is_classifier

    if is_classifier(estimator):
        refuse_classes(len(estimator.classes_))
    skops.io.dump(estimator, path)
    _refuse_untrusted(path)


def load(path: Path) -> Any:
    """Load an estimator that save() wrote.

    Raises:
        UntrustedModelError: the file holds a type that TRUSTED does not list.
    """
    if custom_model.is_custom(contract.model):
        return contract.model.load(path)
    import skops.io

    _refuse_untrusted(path)
    return skops.io.load(path, trusted=trusted(contract.TRUSTED))


def _refuse_untrusted(path: Path) -> None:
    if said := refusal(path, contract.TRUSTED, shown(path)):
        raise UntrustedModelError(said)
