"""Conversion of a fitted estimator to ONNX: one input for each feature, one output of predictions.

It also converts steps that skl2onnx leaves out, or converts to something else: SimpleImputer loses its
indicators there, MissingIndicator is unknown, and a FunctionTransformer may only be the identity
(https://github.com/onnx/sklearn-onnx). The parity check compares all of it. blame_step() names the step
that keeps a model from ONNX, and what to use instead.

The only module that extends converters of skl2onnx; pyproject.toml bounds its version for that.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from skl2onnx import to_onnx as convert
from skl2onnx import update_registered_converter
from skl2onnx.algebra import onnx_ops as ops
from skl2onnx.algebra.onnx_operator import OnnxSubEstimator
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from skl2onnx.operator_converters.function_transformer import convert_sklearn_function_transformer
from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
from skl2onnx.shape_calculators.imputer import calculate_sklearn_imputer_output_shapes
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from rung_ops.model.bundle import MISSING_TEXT
from rung_ops.model.predictors import OnnxOutput
from rung_ops.quantiles import PerQuantile

ONE = np.array([1], np.float32)
FLOAT = 1  # of onnx.TensorProto
FUNCTIONS: dict[Any, Callable[[Any, int], Any]] = {
    np.abs: lambda x, v: ops.OnnxAbs(x, op_version=v),
    np.exp: lambda x, v: ops.OnnxExp(x, op_version=v),
    np.expm1: lambda x, v: ops.OnnxSub(ops.OnnxExp(x, op_version=v), ONE, op_version=v),
    np.log: lambda x, v: ops.OnnxLog(x, op_version=v),
    np.log1p: lambda x, v: ops.OnnxLog(ops.OnnxAdd(x, ONE, op_version=v), op_version=v),
    np.sqrt: lambda x, v: ops.OnnxSqrt(x, op_version=v),
    np.square: lambda x, v: ops.OnnxMul(x, x, op_version=v),
}


def _register_steps() -> None:
    """Let skl2onnx convert these steps, in any pipeline."""
    for step, alias, shape, converter in (
        (SimpleImputer, "SklearnSimpleImputer", _imputer_shape, _imputer),
        (MissingIndicator, "RungMissingIndicator", _indicator_shape, _ending(_missing)),
        (FunctionTransformer, "SklearnFunctionTransformer", _function_shape, _function),
        (PerQuantile, "RungPerQuantile", _quantiles_shape, _ending(_quantiles)),
    ):
        update_registered_converter(step, alias, shape, converter)


def _ending(build: Callable[[Any, Any, int], Any]) -> Callable[[Any, Any, Any], None]:
    """Make a converter of what builds the last node of inputs, a step and a version of operators."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        version = container.target_opset
        node = build(_joined(operator, version), operator.raw_operator, version)
        last = ops.OnnxIdentity(node, op_version=version, output_names=operator.outputs[:1])
        last.add_to(scope, container)

    return convert


def _imputer_shape(operator: Any) -> None:
    calculate_sklearn_imputer_output_shapes(operator)
    if operator.raw_operator.add_indicator:
        rows, columns = operator.outputs[0].type.shape
        added = len(operator.raw_operator.indicator_.features_)
        operator.outputs[0].type.shape = [rows, columns + added]


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    imputer, version = operator.raw_operator, container.target_opset
    if not imputer.add_indicator:
        convert_sklearn_imputer(scope, operator, container)
        return
    plain = copy.copy(imputer)
    plain.add_indicator = False
    inputs = _joined(operator, version)
    values = OnnxSubEstimator(plain, inputs, op_version=version)
    missing = _missing(inputs, imputer.indicator_, version)
    both = ops.OnnxConcat(
        values, missing, axis=1, op_version=version, output_names=operator.outputs[:1]
    )
    both.add_to(scope, container)


def _indicator_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([rows, len(operator.raw_operator.features_)])


def _missing(inputs: Any, indicator: MissingIndicator, version: int) -> Any:
    if not (isinstance(indicator.missing_values, float) and np.isnan(indicator.missing_values)):
        raise NotImplementedError(f"missing_values={indicator.missing_values!r} of an indicator")
    is_missing = ops.OnnxCast(
        ops.OnnxIsNaN(inputs, op_version=version), to=FLOAT, op_version=version
    )
    places = np.asarray(indicator.features_, np.int64)
    return ops.OnnxGather(is_missing, places, axis=1, op_version=version)


def _function_shape(operator: Any) -> None:
    function = operator.raw_operator.func
    if function is not None and function not in FUNCTIONS:
        name = getattr(function, "__name__", str(function))
        raise NotImplementedError(f"FunctionTransformer of {name} is not supported")
    rows = operator.inputs[0].get_first_dimension()
    widths = [each.type.shape[1] for each in operator.inputs]
    operator.outputs[0].type = copy.deepcopy(operator.inputs[0].type)
    operator.outputs[0].type.shape = [rows, None if None in widths else sum(widths)]


def _function(scope: Any, operator: Any, container: Any) -> None:
    if operator.raw_operator.func is None:
        convert_sklearn_function_transformer(scope, operator, container)
        return
    _ending(_applied)(scope, operator, container)


def _applied(inputs: Any, step: FunctionTransformer, version: int) -> Any:
    return FUNCTIONS[step.func](inputs, version)


def _quantiles_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([rows, len(operator.raw_operator.quantiles)])


def _quantiles(inputs: Any, model: PerQuantile, version: int) -> Any:
    each = [OnnxSubEstimator(one, inputs, op_version=version) for one in model.estimators_]
    return ops.OnnxConcat(*each, axis=1, op_version=version)


def _joined(operator: Any, version: int) -> Any:
    inputs = operator.inputs
    return inputs[0] if len(inputs) == 1 else ops.OnnxConcat(*inputs, axis=1, op_version=version)


# The converter of LightGBM needs exactly this version of the ai.onnx.ml operators.
OPERATORS = {"": 21, "ai.onnx.ml": 3}


def to_onnx(estimator: Any, features: pl.DataFrame) -> bytes:
    """Convert an estimator to ONNX, as bundle.ONNX describes it; `features` are some rows of them.

    Compare its predictions with the estimator's: numbers become 32-bit, and some converters are silently
    wrong. Converters raise anything where they cannot convert it.
    """
    _register_steps()
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


def blame_step(estimator: Any, features: pl.DataFrame) -> str:
    """Name the first step whose ONNX form is missing, or gives other numbers, and what to use instead."""
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
            yield from _of_branches(step)
        yield name, step, Pipeline(estimator.steps[: index + 1]), names


def _of_branches(columns: ColumnTransformer) -> Iterator[Step]:
    for branch, transformer, _ in columns.transformers_:
        if isinstance(transformer, str):
            continue  # dropped, or passed through
        read = list(transformer.feature_names_in_)
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
