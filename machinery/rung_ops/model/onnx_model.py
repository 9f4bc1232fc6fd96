"""Run a model in ONNX on features as a frame, or on those of few rows as values."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model import bundle
from rung_ops.model.target import MULTICLASS, QUANTILE, of_classifier, of_regressor


class OnnxOutput:
    """The first output of a model in ONNX, for a frame of its inputs."""

    def __init__(self, content: bytes) -> None:
        """Load the model."""
        # Its wheels tell Microsoft how they are used, and keep an id on the disk, unless this is
        # set before the import: https://github.com/microsoft/onnxruntime/pull/27379
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread: a second one doubles the CPU of a small batch, and replicas use the other
        # cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = {each.name: each.type for each in self._session.get_inputs()}
        self._feeds = {name: _FEEDS[kind] for name, kind in self.inputs.items()}
        self._answer = [self._session.get_outputs()[0].name]

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Compute it for a frame, shape (n_rows, n_features)."""
        return self.of_arrays({c.name: self._feeds[c.name](c) for c in features.get_columns()})

    def of_arrays(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute it for arrays of the inputs' types, each of shape (n_rows, 1)."""
        return np.asarray(self._session.run(self._answer, inputs)[0])


class OnnxModel:
    """A model in ONNX: a predictor."""

    def __init__(self, content: bytes, task: str | None) -> None:
        """Load it; `task` is that of the release."""
        self._output = OnnxOutput(content)
        self._task = task

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Predict for a frame."""
        return self._predictions(self._output(features))

    def of_rows(
        self, features: Mapping[str, pl.DataType]
    ) -> Callable[[Sequence[Sequence[Any]]], np.ndarray] | None:
        """Return what predicts for values; None where these features need a frame."""
        kinds = {name: self._output.inputs[name] for name in features}
        if any((kinds[name] == TEXTS) != (dtype == pl.String) for name, dtype in features.items()):
            return None
        arrays = [(name, _ARRAYS[kind]) for name, kind in kinds.items()]

        def predict(rows: Sequence[Sequence[Any]]) -> np.ndarray:
            columns = zip(arrays, zip(*rows, strict=True), strict=True)
            return self._predictions(
                self._output.of_arrays({name: array(values) for (name, array), values in columns})
            )

        return predict

    def _predictions(self, output: np.ndarray) -> np.ndarray:
        # One column of values, quantiles, or the probabilities of the classes.
        numbers = output.astype(np.float64)
        if numbers.shape[1] == 1:
            return numbers[:, 0]
        if self._task == QUANTILE:
            return of_regressor(numbers, self._task)
        if self._task == MULTICLASS:
            # Rounded to 32 bits, they miss 1 by more than score() may allow.
            numbers /= numbers.sum(axis=1, keepdims=True)
        return of_classifier(numbers, self._task)


def _texts(column: pl.Series) -> np.ndarray:
    values = column.cast(pl.String) if column.dtype != pl.String else column
    if values.null_count():
        values = values.fill_null(bundle.MISSING_TEXT)
    return _array_of_texts(values.to_list())


def _array_of_texts(values: Sequence[str | None]) -> np.ndarray:
    if None in values:
        values = [bundle.MISSING_TEXT if value is None else value for value in values]
    return np.array(values, dtype=object).reshape(-1, 1)


def _numbers(dtype: type[np.floating]) -> Callable[[pl.Series], np.ndarray]:
    kind = pl.Float32() if dtype is np.float32 else pl.Float64()

    def feed(column: pl.Series) -> np.ndarray:
        # A missing number is NaN in ONNX, and polars writes it so for floating-point columns only.
        return column.cast(kind).to_numpy().reshape(-1, 1)

    return feed


TEXTS, FLOATS, DOUBLES = "tensor(string)", "tensor(float)", "tensor(double)"
_FEEDS: dict[str, Callable[[pl.Series], np.ndarray]] = {
    TEXTS: _texts,
    FLOATS: _numbers(np.float32),
    DOUBLES: _numbers(np.float64),
}
_ARRAYS: dict[str, Callable[[Sequence[Any]], np.ndarray]] = {
    TEXTS: _array_of_texts,
    FLOATS: lambda values: np.array(values, np.float32).reshape(-1, 1),  # None becomes NaN
    DOUBLES: lambda values: np.array(values, np.float64).reshape(-1, 1),
}
