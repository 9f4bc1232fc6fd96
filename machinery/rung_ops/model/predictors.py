"""Run the model of a release, in any of the formats that a release may hold.

A predictor takes the frame of features, shape (n_rows, n_features), and returns what the estimator
would have returned: shape (n_rows,), float64, the probability of the positive class or the value;
for the task of several classes (n_rows, n_classes), their probabilities, and for quantiles
(n_rows, 3).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model import bundle, custom_model, source_import
from rung_ops.model.boosters import Booster
from rung_ops.model.bundle import BadBundle
from rung_ops.model.onnx_model import OnnxModel
from rung_ops.model.release_files import ReleaseFiles
from rung_ops.model.target import MULTICLASS, QUANTILE, of_classifier, of_regressor

Predictor = Callable[[pl.DataFrame], np.ndarray]
# The same for features as values, n_rows times n_features.
RowPredictor = Callable[[Sequence[Sequence[Any]]], np.ndarray]


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
    except Exception as error:  # each runtime raises different errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BadBundle(
            f"{files.name}: the model cannot be loaded ({type(error).__name__}: {reason})"
        ) from error


def row_predictor(predictor: Predictor, features: Mapping[str, pl.DataType]) -> RowPredictor | None:
    """Return what predicts for values instead of a frame; None if a frame is needed.

    Args:
        predictor: from predictor_of().
        features: their names and types: booleans, numbers or texts.
    """
    of_rows = getattr(predictor, "of_rows", None)
    return of_rows(features) if of_rows is not None else None


def _onnx(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    return OnnxModel(files.read(bundle.ONNX), manifest.get("task"))


class EncodedBooster:
    """A LightGBM model, and the encoder of its features: a predictor."""

    def __init__(self, files: ReleaseFiles, task: str | None) -> None:
        """Load both from the files of a release of a task."""
        self._task = task
        columns = files.json(bundle.ENCODER)["columns"]
        self._booster = Booster(files.read(bundle.LIGHTGBM).decode(), len(columns))
        self._feeds = [(column["feature"], _coder(column)) for column in columns]
        self._codes = [(column["feature"], _codes(column)) for column in columns]

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Predict; shape (n_rows,), (n_rows, n_classes), or of quantiles (n_rows, 3)."""
        return self._predict(self._matrix(features))

    def of_rows(self, features: Mapping[str, pl.DataType]) -> RowPredictor | None:
        """Return what predicts for values; None where these features need a frame."""
        if any(features[name] == pl.String for name, code in self._codes if code is None):
            return None
        order = [list(features).index(name) for name, _ in self._codes]
        codes = [(at, code) for at, (_, code) in enumerate(self._codes) if code is not None]

        def predict(rows: Sequence[Sequence[Any]]) -> np.ndarray:
            matrix = [[row[at] for at in order] for row in rows]
            for row in matrix:
                for at, code in codes:
                    row[at] = code(row[at])
            return self._predict(np.array(matrix, np.float64))  # None becomes NaN

        return predict

    def effects(self, features: pl.DataFrame) -> np.ndarray:
        """Compute what each feature adds to the margin: shape (n_rows, n_features + 1).

        The last column is the mean. Of several classes there is a last axis for them, and each part
        is less the mean of its classes. Of quantiles it is what makes the one that is the middle.
        See Booster.contributions() and effects.margins().
        """
        parts = self._booster.contributions(self._matrix(features))
        if self._task == QUANTILE:
            middle = parts.sum(axis=1).argsort(axis=1)[:, 1]
            parts = parts[np.arange(len(parts)), :, middle]
        elif self._task == MULTICLASS and parts.ndim == 2:
            parts = np.stack([-parts, parts], axis=2) / 2
        elif self._task == MULTICLASS:
            parts -= parts.mean(axis=2, keepdims=True)
        scores = np.zeros((features.height, features.width + 1, *parts.shape[2:]))
        for index, (name, _) in enumerate(self._feeds):
            scores[:, features.get_column_index(name)] += parts[:, index]
        scores[:, -1] = parts[:, -1]
        return scores

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        predicted = self._booster.predict(matrix)
        if self._task == MULTICLASS and predicted.ndim == 1:  # two classes are one number to it
            return np.column_stack([1 - predicted, predicted])
        return of_regressor(predicted, self._task)

    def _matrix(self, features: pl.DataFrame) -> np.ndarray:
        matrix = np.empty((features.height, len(self._feeds)))
        for index, (name, feed) in enumerate(self._feeds):
            matrix[:, index] = feed(features.get_column(name))
        return matrix


def _lightgbm(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    return EncodedBooster(files, manifest.get("task"))


def _coder(column: dict[str, Any]) -> Callable[[pl.Series], np.ndarray | list[float]]:
    code = _codes(column)
    if code is None:
        return lambda values: values.cast(pl.Float64).to_numpy()
    return lambda values: list(map(code, values.to_list()))


def _codes(column: dict[str, Any]) -> Callable[[Any], float] | None:
    """Return what encodes a value; None for a number, which is its own code."""
    if column["values"] is None:
        return None
    codes = dict(zip(column["values"], map(_code, column["codes"]), strict=True))
    codes[None] = _code(column["missing"])
    unknown = _code(column["unknown"])
    return lambda value: codes.get(value, unknown)


def _code(value: float | None) -> float:
    return float("nan") if value is None else value


def _skops(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    # Imports scikit-learn: a second of start and 100 MB, which only such a release costs.
    from sklearn.base import is_classifier

    from rung_ops.model import estimators

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
