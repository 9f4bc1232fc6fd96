"""Run the model of a release, in any of the formats that a release may hold.

A predictor takes the frame of features, shape (n_rows, n_features), and returns what the estimator
would have returned: shape (n_rows,), float64, the probability of the positive class or the value;
for the task of several classes (n_rows, n_classes), their probabilities, and for quantiles
(n_rows, 3).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import custom_model
from rung_ops.release import bundle, source_import
from rung_ops.release.bundle import BadBundle
from rung_ops.release.release_files import ReleaseFiles
from rung_ops.serving.boosters import Booster
from rung_ops.target import MULTICLASS, QUANTILE, of_classifier, of_regressor

Predictor = Callable[[pl.DataFrame], np.ndarray]


def predictor_of(release: Path | ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    """Load the model of a release.

    Args:
        release: its verified files; a folder while it is being made.
        manifest: its `format`, its `task`, and the name of the user's `package`.

    Raises:
        BadBundle: it is of an unknown format, or cannot be loaded.
    """
    files = ReleaseFiles.of(release)
    load = FORMATS.get(manifest["format"])
    if load is None:
        raise BadBundle(
            f"{files.name}: the model's format is {manifest['format']!r}, and this service knows "
            f"{', '.join(FORMATS)}. Bring the service up to date, or release the version again."
        )
    try:
        return load(files, manifest)
    except BadBundle:
        raise
    except Exception as error:  # each runtime raises errors of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BadBundle(
            f"{files.name}: the model cannot be loaded ({type(error).__name__}: {reason})"
        ) from error


def onnx_output(content: bytes) -> Predictor:
    """Load a model in ONNX; return a function that gives its first output for a frame."""
    # Its wheels tell Microsoft how they are used, and keep an id on the disk, unless this is set
    # before the import: https://github.com/microsoft/onnxruntime/pull/27379
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread: a second one doubles the CPU of a small batch, and replicas use the other cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feeds = {each.name: _FEEDS[each.type] for each in session.get_inputs()}
    answer = [session.get_outputs()[0].name]

    def output(features: pl.DataFrame) -> np.ndarray:
        given = {column.name: feeds[column.name](column) for column in features.get_columns()}
        return np.asarray(session.run(answer, given)[0])

    return output


def _onnx(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    output, task = onnx_output(files.read(bundle.ONNX)), manifest.get("task")

    def predict(features: pl.DataFrame) -> np.ndarray:
        # One column of values, quantiles, or the probabilities of the classes.
        numbers = output(features).astype(np.float64)
        if numbers.shape[1] == 1:
            return numbers[:, 0]
        if task == QUANTILE:
            return of_regressor(numbers, task)
        if task == MULTICLASS:  # rounded to 32 bits, they miss 1 by more than score() may allow
            numbers /= numbers.sum(axis=1, keepdims=True)
        return of_classifier(numbers, task)

    return predict


def _texts(column: pl.Series) -> np.ndarray:
    values = column.cast(pl.String) if column.dtype != pl.String else column
    if values.null_count():
        values = values.fill_null(bundle.MISSING_TEXT)
    return np.array(values.to_list(), dtype=object).reshape(-1, 1)


def _numbers(dtype: type[np.floating]) -> Callable[[pl.Series], np.ndarray]:
    kind = pl.Float32() if dtype is np.float32 else pl.Float64()

    def feed(column: pl.Series) -> np.ndarray:
        # A missing number is NaN in ONNX, and polars writes it so for floating-point columns only.
        return column.cast(kind).to_numpy().reshape(-1, 1)

    return feed


_FEEDS: dict[str, Callable[[pl.Series], np.ndarray]] = {
    "tensor(string)": _texts,
    "tensor(float)": _numbers(np.float32),
    "tensor(double)": _numbers(np.float64),
}


class EncodedBooster:
    """A LightGBM model, and the encoder of its features: a predictor."""

    def __init__(self, files: ReleaseFiles) -> None:
        """Load both from the files of a release."""
        columns = files.json(bundle.ENCODER)["columns"]
        self._booster = Booster(files.read(bundle.LIGHTGBM).decode(), len(columns))
        self._feeds = [(column["feature"], _coder(column)) for column in columns]

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Predict; shape (n_rows,)."""
        return self._booster.predict(self._matrix(features))

    def effects(self, features: pl.DataFrame) -> np.ndarray:
        """Compute what each feature adds to the raw score; shape (n_rows, n_features + 1).

        The last column is the mean score. See Booster.contributions().
        """
        parts = self._booster.contributions(self._matrix(features))
        scores = np.zeros((features.height, features.width + 1))
        for index, (name, _) in enumerate(self._feeds):
            scores[:, features.get_column_index(name)] += parts[:, index]
        scores[:, -1] = parts[:, -1]
        return scores

    def _matrix(self, features: pl.DataFrame) -> np.ndarray:
        matrix = np.empty((features.height, len(self._feeds)))
        for index, (name, feed) in enumerate(self._feeds):
            matrix[:, index] = feed(features.get_column(name))
        return matrix


def _lightgbm(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    return EncodedBooster(files)


def _coder(column: dict[str, Any]) -> Callable[[pl.Series], np.ndarray | list[float]]:
    if column["values"] is None:
        return lambda values: values.cast(pl.Float64).to_numpy()
    codes = dict(zip(column["values"], map(_code, column["codes"]), strict=True))
    codes[None] = _code(column["missing"])
    unknown = _code(column["unknown"])
    return lambda values: [codes.get(value, unknown) for value in values.to_list()]


def _code(value: float | None) -> float:
    return float("nan") if value is None else value


def _skops(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    # Imports scikit-learn: a second of start and 100 MB, which only such a release costs.
    from sklearn.base import is_classifier

    from rung_ops.release import estimators

    model = estimators.load(files, manifest["package"])
    task = manifest.get("task")
    if is_classifier(model):
        return lambda features: of_classifier(
            np.asarray(model.predict_proba(features), np.float64), task
        )
    return lambda features: of_regressor(np.asarray(model.predict(features), np.float64), task)


def _custom(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    # By the model.py that the release carries, signed as everything in it.
    module = source_import.module_of(files, manifest["package"], "model")
    if not custom_model.is_custom(module):
        raise BadBundle(f"{files.name}: model.py lacks save() and load(), which read its model")
    copy = files.copy(bundle.CUSTOM)
    model = module.load(copy.folder / bundle.CUSTOM)

    def predict(features: pl.DataFrame) -> np.ndarray:
        assert copy, "kept as long as the model, which may read its files later"
        return custom_model.predict(module, model, features, manifest.get("task"))

    return predict


FORMATS: dict[str, Callable[[ReleaseFiles, dict[str, Any]], Predictor]] = {
    "onnx": _onnx,
    "lightgbm": _lightgbm,
    "skops": _skops,
    "custom": _custom,
}
