"""Convert a fitted estimator to ONNX: one input for each feature, one output of predictions."""

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

from rung_ops.model.bundle import MISSING_TEXT
from rung_ops.release import onnx_steps

# The converter of LightGBM needs exactly this version of the ai.onnx.ml operators.
OPERATORS = {"": 21, "ai.onnx.ml": 3}


def to_onnx(estimator: Any, features: pl.DataFrame) -> bytes:
    """Convert an estimator to ONNX.

    Args:
        estimator: fitted on a frame of features.
        features: some rows of features, for their names and types.

    Returns:
        The serialized model, as bundle.ONNX describes it. Compare its predictions with the
        estimator's: numbers become 32-bit, and some converters are silently wrong.

    Raises:
        Exception: of any type; the estimator cannot be converted.
    """
    onnx_steps.register()
    if "lightgbm" in sys.modules:  # otherwise the estimator has no part of it
        _register_lightgbm()
    model = _from_named_columns(_with_missing_texts(estimator), features)
    inputs = [
        (name, (FloatTensorType if _is_number(kind) else StringTensorType)([None, 1]))
        for name, kind in features.schema.items()
    ]
    options = {id(model): {"zipmap": False}} if is_classifier(model) else None
    converted = convert(model, initial_types=inputs, target_opset=OPERATORS, options=options)
    # A classifier's first output is the label, which the service does not use.
    made = select_model_inputs_outputs(converted, outputs=[converted.graph.output[-1].name])
    _name_inputs(made.graph, features.columns)
    # The converter takes them out of a set; the same estimator gives the same bytes.
    operators = sorted(made.opset_import, key=lambda each: each.domain)
    del made.opset_import[:]
    made.opset_import.extend(operators)
    return made.SerializeToString(deterministic=True)


def _name_inputs(graph: Any, names: list[str]) -> None:
    """Name the inputs as the features: the converter replaces spaces and other signs."""
    renamed = {each.name: name for each, name in zip(graph.input, names, strict=True)}
    for each in graph.input:
        each.name = renamed[each.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _is_number(kind: pl.DataType) -> bool:
    if kind.is_numeric() or kind == pl.Boolean:
        return True
    if kind == pl.String:
        return False
    raise TypeError(f"got a feature of type {kind}; ONNX export expects numbers or text")


def _from_named_columns(estimator: Any, features: pl.DataFrame) -> Any:
    """Prepend a step that joins the named columns, if the estimator expects one matrix."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(first, ColumnTransformer):
        return estimator
    joined = ColumnTransformer([("joined", "passthrough", features.columns)])
    return Pipeline([("columns", joined.fit(features)), ("model", estimator)])


def _with_missing_texts(estimator: Any) -> Any:
    """Copy an estimator, with MISSING_TEXT in place of None among the texts that it learned."""
    copied = copy.deepcopy(estimator)
    for part in _parts(copied, set()):
        if getattr(part, "missing_values", 0) is None:
            part.missing_values = MISSING_TEXT
        for categories in getattr(part, "categories_", []):
            if isinstance(categories, np.ndarray) and categories.dtype == object:
                categories[[value is None for value in categories]] = MISSING_TEXT
    return copied


def _parts(value: Any, visited: set[int]) -> Iterator[BaseEstimator]:
    """Yield an estimator and all estimators nested in it."""
    if id(value) in visited:
        return
    visited.add(id(value))
    if isinstance(value, BaseEstimator):
        yield value
        children = list(vars(value).values())
    elif isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value)
    else:
        return
    for child in children:
        yield from _parts(child, visited)


def _register_lightgbm() -> None:
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
