"""Convert steps to ONNX that skl2onnx leaves out, or converts to something else.

SimpleImputer loses its indicators there, MissingIndicator is unknown, and a FunctionTransformer may
only be the identity: https://github.com/onnx/sklearn-onnx. The parity check compares all of it.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_operator import OnnxSubEstimator
from skl2onnx.algebra.onnx_ops import (
    OnnxAbs,
    OnnxAdd,
    OnnxCast,
    OnnxConcat,
    OnnxExp,
    OnnxGather,
    OnnxIdentity,
    OnnxIsNaN,
    OnnxLog,
    OnnxMul,
    OnnxSqrt,
    OnnxSub,
)
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.operator_converters.function_transformer import convert_sklearn_function_transformer
from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
from skl2onnx.shape_calculators.imputer import calculate_sklearn_imputer_output_shapes
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import FunctionTransformer

from rung_ops.quantiles import PerQuantile

ONE = np.array([1], np.float32)
FLOAT = 1  # of onnx.TensorProto
FUNCTIONS: dict[Any, Callable[[Any, int], Any]] = {
    np.abs: lambda x, v: OnnxAbs(x, op_version=v),
    np.exp: lambda x, v: OnnxExp(x, op_version=v),
    np.expm1: lambda x, v: OnnxSub(OnnxExp(x, op_version=v), ONE, op_version=v),
    np.log: lambda x, v: OnnxLog(x, op_version=v),
    np.log1p: lambda x, v: OnnxLog(OnnxAdd(x, ONE, op_version=v), op_version=v),
    np.sqrt: lambda x, v: OnnxSqrt(x, op_version=v),
    np.square: lambda x, v: OnnxMul(x, x, op_version=v),
}


def register() -> None:
    """Let skl2onnx convert these steps, in any pipeline."""
    update_registered_converter(SimpleImputer, "SklearnSimpleImputer", _imputer_shape, _imputer)
    update_registered_converter(
        MissingIndicator, "RungMissingIndicator", _indicator_shape, _indicator
    )
    update_registered_converter(
        FunctionTransformer, "SklearnFunctionTransformer", _function_shape, _function
    )
    update_registered_converter(PerQuantile, "RungPerQuantile", _quantiles_shape, _quantiles)


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
    given = _joined(operator, version)
    values = OnnxSubEstimator(plain, given, op_version=version)
    missing = _missing(given, imputer.indicator_, version)
    both = OnnxConcat(
        values, missing, axis=1, op_version=version, output_names=operator.outputs[:1]
    )
    both.add_to(scope, container)


def _indicator_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([rows, len(operator.raw_operator.features_)])


def _indicator(scope: Any, operator: Any, container: Any) -> None:
    version = container.target_opset
    missing = _missing(_joined(operator, version), operator.raw_operator, version)
    _end(missing, scope, operator, container)


def _missing(given: Any, indicator: MissingIndicator, version: int) -> Any:
    if not (isinstance(indicator.missing_values, float) and np.isnan(indicator.missing_values)):
        raise NotImplementedError(f"missing_values={indicator.missing_values!r} of an indicator")
    is_missing = OnnxCast(OnnxIsNaN(given, op_version=version), to=FLOAT, op_version=version)
    places = np.asarray(indicator.features_, np.int64)
    return OnnxGather(is_missing, places, axis=1, op_version=version)


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
    function, version = operator.raw_operator.func, container.target_opset
    if function is None:
        convert_sklearn_function_transformer(scope, operator, container)
        return
    _end(FUNCTIONS[function](_joined(operator, version), version), scope, operator, container)


def _quantiles_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([rows, len(operator.raw_operator.quantiles)])


def _quantiles(scope: Any, operator: Any, container: Any) -> None:
    version = container.target_opset
    given = _joined(operator, version)
    each = [
        OnnxSubEstimator(one, given, op_version=version)
        for one in operator.raw_operator.estimators_
    ]
    _end(OnnxConcat(*each, axis=1, op_version=version), scope, operator, container)


def _joined(operator: Any, version: int) -> Any:
    inputs = operator.inputs
    return inputs[0] if len(inputs) == 1 else OnnxConcat(*inputs, axis=1, op_version=version)


def _end(node: Any, scope: Any, operator: Any, container: Any) -> None:
    version = container.target_opset
    last = OnnxIdentity(node, op_version=version, output_names=operator.outputs[:1])
    last.add_to(scope, container)
