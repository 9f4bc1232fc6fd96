"""Write a fitted estimator as ONNX: one input for each feature, one output with the answer."""

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from skl2onnx import to_onnx as convert
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from rung_ops.release.bundle import MISSING_TEXT

# LightGBM's converter needs just this version of the operators for machine learning.
OPERATORS = {"": 21, "ai.onnx.ml": 3}


def to_onnx(estimator: Any, features: pl.DataFrame) -> bytes:
    """Convert an estimator.

    Args:
        estimator: fitted on a frame of features.
        features: some rows of them, for their names and types.

    Returns:
        The model, as bundle.ONNX describes it. Whether it answers the same must be tried: numbers
        become 32-bit ones, and several converters are silently wrong on some settings.

    Raises:
        Exception: of any kind; converters raise what they like where they know no way.
    """
    if "lightgbm" in sys.modules:  # otherwise the estimator holds none
        _know_lightgbm()
    model = _from_named_columns(_with_missing_texts(estimator), features)
    inputs = [
        (name, (FloatTensorType if _is_number(kind) else StringTensorType)([None, 1]))
        for name, kind in features.schema.items()
    ]
    options = {id(model): {"zipmap": False}} if is_classifier(model) else None
    converted = convert(model, initial_types=inputs, target_opset=OPERATORS, options=options)
    # A classifier's first output is the label, which nobody asks for.
    return select_model_inputs_outputs(
        converted, outputs=[converted.graph.output[-1].name]
    ).SerializeToString()


def _is_number(kind: pl.DataType) -> bool:
    if kind.is_numeric() or kind == pl.Boolean:
        return True
    if kind == pl.String:
        return False
    raise TypeError(f"a feature of type {kind} has no form in ONNX here: make it a number or text")


def _from_named_columns(estimator: Any, features: pl.DataFrame) -> Any:
    """Put a step before an estimator that takes one matrix, which puts the columns together."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(first, ColumnTransformer):
        return estimator
    together = ColumnTransformer([("together", "passthrough", features.columns)])
    return Pipeline([("columns", together.fit(features)), ("model", estimator)])


def _with_missing_texts(estimator: Any) -> Any:
    """Copy an estimator that has learned None as a text, and give it a text that stands for it."""
    copied = copy.deepcopy(estimator)
    for part in _parts(copied, set()):
        if getattr(part, "missing_values", 0) is None:
            part.missing_values = MISSING_TEXT
        for categories in getattr(part, "categories_", []):
            if isinstance(categories, np.ndarray) and categories.dtype == object:
                categories[[value is None for value in categories]] = MISSING_TEXT
    return copied


def _parts(holder: Any, seen: set[int]) -> Iterator[BaseEstimator]:
    """Walk through an estimator and all those inside it."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, BaseEstimator):
        yield holder
        held = list(vars(holder).values())
    elif isinstance(holder, dict):
        held = list(holder.values())
    elif isinstance(holder, list | tuple):
        held = list(holder)
    else:
        return
    for each in held:
        yield from _parts(each, seen)


def _know_lightgbm() -> None:
    import lightgbm
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    update_registered_converter(
        lightgbm.LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    update_registered_converter(
        lightgbm.LGBMRegressor,
        "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes,
        convert_lightgbm,
        options={"split": None},
    )
