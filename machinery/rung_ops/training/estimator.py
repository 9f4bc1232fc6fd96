"""Predict with the project's model, and save and load it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.data.blocks import in_blocks
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.model import predictors, target
from rung_ops.model.predictors import predict_custom, trusted_types, untrusted
from rung_ops.project.paths import shown

# skops and scikit-learn are imported in functions: stages that need no model start faster.


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Compute FEATURES of rows; shape (n_rows, n_features)."""
    return rows.select(contract.FEATURES)


def kind() -> target.Kind:
    """Tell what the project predicts."""
    column = contract.Row.to_schema().columns[contract.TARGET]
    return target.kind_of(contract.TARGET, column, contract.QUANTILES)


def classes() -> list[str]:
    """Name the classes of the target in the order of Row; none if it is a number or Boolean."""
    return list(kind().classes)


def truth(rows: pl.DataFrame) -> np.ndarray:
    """Return the target of rows, shape (n_rows,).

    A Boolean target is 0 and 1, a class its place in `isin` of Row, counted from 0.

    Raises:
        StageError: a model can predict no such target.
    """
    return target.truth(rows[contract.TARGET], classes())


def predict(estimator: Any, rows: pl.DataFrame | pl.LazyFrame) -> np.ndarray:
    """Predict rows of Row.

    Returns:
        Shape (n_rows,): the probability of the positive class in [0, 1], or the value. Where the
        target is one of several classes, (n_rows, n_classes): their probabilities. Where there are
        QUANTILES, (n_rows, 3), ascending in each row.
    """
    # In blocks: FEATURES and the model's own copies take several times what rows do.
    parts = [predict_features(estimator, features(rows)) for rows in in_blocks(rows.lazy())]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def predict_features(estimator: Any, inputs: pl.DataFrame) -> np.ndarray:
    """Predict from computed features; returns the same as predict()."""
    predicted, names = kind(), classes()
    task = target.MULTICLASS if names else target.QUANTILE if predicted.quantiles else None
    if predictors.is_custom(contract.model):
        return predict_custom(contract.model, estimator, inputs, task)
    from sklearn.base import is_classifier

    if is_classifier(estimator):
        if task == target.QUANTILE:
            raise StageError(
                f"dataset.py has QUANTILES, and {type(estimator).__name__} is a classifier: build() in "
                "model.py must return a model whose predict() gives a column for each quantile."
            )
        probabilities = np.asarray(estimator.predict_proba(inputs))
        if names:
            return target.spread(probabilities, estimator.classes_, len(names))
        return target.positive(probabilities)
    if names:
        raise StageError(
            f"The target `{contract.TARGET}` is a class, and {type(estimator).__name__} is not a "
            "classifier: build() in model.py must return a model with predict_proba()."
        )
    return target.of_regressor(np.asarray(estimator.predict(inputs)), task)


def crossed(estimator: Any, rows: pl.DataFrame | pl.LazyFrame) -> float:
    """Return the share of rows in which a model's quantiles cross before predict() sorts them."""
    have_crossed = []
    for block in in_blocks(rows.lazy()):
        inputs = features(block)
        if predictors.is_custom(contract.model):
            raw = predict_custom(contract.model, estimator, inputs)
        else:
            raw = np.asarray(estimator.predict(inputs))
        have_crossed.append((np.diff(raw, axis=1) < 0).any(axis=1))
    return float(np.concatenate(have_crossed).mean())


def is_classification(estimator: Any) -> bool:
    """Return whether a model, or of None the type of the target, is of classes."""
    if hasattr(estimator, "__sklearn_tags__"):
        from sklearn.base import is_classifier

        return bool(is_classifier(estimator))
    column = contract.Row.to_schema().columns[contract.TARGET]
    return bool(classes() or column.dtype.type == pl.Boolean)


def task(estimator: Any) -> str:
    """Return the task of a model: classification, regression, MULTICLASS or QUANTILE."""
    if (predicted := kind()).width:
        return target.MULTICLASS if predicted.classes else target.QUANTILE
    return "classification" if is_classification(estimator) else "regression"


def save(estimator: Any, path: Path) -> None:
    """Save an estimator with save() of model.py, or else with skops, whose files hold no code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if predictors.is_custom(contract.model):
        contract.model.save(estimator, path)
        if not path.exists():
            raise StageError(
                f"save() in model.py did not write to {shown(path)}: write one file or folder at "
                "exactly this path (numpy.savez adds `.npz` to a path, but not to an open file)."
            )
        return
    import skops.io
    from sklearn.base import is_classifier

    if is_classifier(estimator) and not classes():
        target.refuse_classes(len(estimator.classes_))
    skops.io.dump(estimator, path)
    _refuse_untrusted(path)


def save_fitted(estimator: Any, path: Path) -> None:
    """Save an estimator that training has fitted, if it has learned all classes of the target."""
    if names := classes():
        target.refuse_unlearned(getattr(estimator, "classes_", range(len(names))), names)
    save(estimator, path)


def load(path: Path) -> Any:
    """Load an estimator that save() wrote, if TRUSTED lists its types."""
    if predictors.is_custom(contract.model):
        return contract.model.load(path)
    import skops.io

    _refuse_untrusted(path)
    return skops.io.load(path, trusted=trusted_types(contract.TRUSTED))


def _refuse_untrusted(path: Path) -> None:
    if reason := untrusted(path, contract.TRUSTED, shown(path)):
        raise UnreadableFileError(reason)
