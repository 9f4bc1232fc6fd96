"""Name the step of a model that keeps it from ONNX, and what to use instead."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from rung_ops.model.predictors import OnnxOutput
from rung_ops.release.to_onnx import to_onnx

CLOSE = 1e-4  # of a step's numbers, relative; rounding to 32 bits stays far below

# By the name of a class, what does the same and becomes ONNX.
INSTEAD = {
    "CalibratedClassifierCV": "it around the last step alone, not around the whole pipeline",
    "FunctionTransformer": "an expression in features.py, such as `pl.col(...).log1p()`",
    "HistGradientBoostingClassifier": "OneHotEncoder or TargetEncoder before it, and no "
    "`categorical_features`; or LightGBM",
    "HistGradientBoostingRegressor": "OneHotEncoder or TargetEncoder before it, and no "
    "`categorical_features`; or LightGBM",
    "IterativeImputer": "SimpleImputer",
    "KNNImputer": "SimpleImputer",
    "OneHotEncoder": "it on text, or on numbers without gaps: SimpleImputer before it fills them",
    "OrdinalEncoder": "it on text, or on numbers without gaps: SimpleImputer before it fills them",
    "SplineTransformer": "KBinsDiscretizer or PolynomialFeatures",
    "TransformedTargetRegressor": "its regressor alone, on a target that load() has transformed",
}
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PowerTransformer")
UNKNOWN = "an expression in features.py, or a step that skl2onnx converts"

Step = tuple[str, Any, Any, list[str]]  # its name, the step, all up to it, the columns they read


def blame(estimator: Any, features: pl.DataFrame) -> str:
    """Find the first step whose ONNX form is missing, or gives other numbers.

    Args:
        estimator: fitted on a frame of features.
        features: rows to compare the steps on, shape (n_rows, n_features).

    Returns:
        A sentence that names the step and what to use instead.
    """
    for name, step, until, columns in _steps(estimator, features.columns):
        if not _becomes_onnx(until, features.select(columns)):
            return _sentence(f"the step `{name}` ({type(step).__name__})", type(step).__name__)
    final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    kind = type(final).__name__
    steps = [type(step).__name__ for _, step, *_ in _steps(estimator, features.columns)]
    scaler = next((each for each in steps if each in SCALERS), None)
    if scaler and _is_of_trees(final):
        return (
            f"{scaler} before {kind} rounds to 32 bits, which takes other branches of its trees; "
            f"leave it out, as trees need no scaling"
        )
    return _sentence(f"the model ({kind})", kind, "a model that skl2onnx converts, or LightGBM")


def _sentence(what: str, kind: str, otherwise: str = UNKNOWN) -> str:
    return f"{what} keeps it from ONNX; use instead: {INSTEAD.get(kind, otherwise)}"


def _is_of_trees(model: Any) -> bool:
    return any(word in type(model).__name__ for word in ("Forest", "Trees", "Tree", "Boosting"))


def _steps(estimator: Any, names: list[str]) -> Iterator[Step]:
    """Yield the steps before the model, those in the branches of a ColumnTransformer first."""
    if not isinstance(estimator, Pipeline):
        return
    for index, (name, step) in enumerate(estimator.steps[:-1]):
        if index == 0 and isinstance(step, ColumnTransformer):
            yield from _of_branches(step, names)
        yield name, step, Pipeline(estimator.steps[: index + 1]), names


def _of_branches(columns: ColumnTransformer, names: list[str]) -> Iterator[Step]:
    for branch, transformer, _ in columns.transformers_:
        if isinstance(transformer, str):
            continue  # dropped, or passed through
        read = [names[index] for index in columns._transformer_to_input_indices[branch]]
        steps = transformer.steps if isinstance(transformer, Pipeline) else [(branch, transformer)]
        for number, (name, step) in enumerate(steps):
            yield (
                name if name == branch else f"{branch}, {name}",
                step,
                _alone(steps[: number + 1], read),
                read,
            )


def _alone(steps: list[tuple[str, Any]], read: list[str]) -> ColumnTransformer:
    """Put fitted steps into a ColumnTransformer of their own, without fitting them again."""
    fitted = steps[0][1] if len(steps) == 1 else Pipeline(steps)
    alone = ColumnTransformer([("alone", fitted, read)])
    alone.transformers_ = [("alone", fitted, read)]
    return alone


def _becomes_onnx(until: Any, features: pl.DataFrame) -> bool:
    transform = until.transform
    if isinstance(until, ColumnTransformer) and len(until.transformers_) == 1:
        transform = until.transformers_[0][1].transform
    expected = transform(features)
    expected = np.asarray(expected.todense() if sparse.issparse(expected) else expected)
    try:
        answer = OnnxOutput(to_onnx(until, features))(features)
    except Exception:  # converters and runtimes may raise anything
        return False
    if answer.shape != expected.shape:
        return False
    if answer.dtype.kind in "fiub":
        return bool(
            np.allclose(answer, expected.astype(float), rtol=CLOSE, atol=CLOSE, equal_nan=True)
        )
    return True  # texts are compared by what the next step makes of them
