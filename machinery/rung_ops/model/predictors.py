"""Run the model of a release, in any of the formats that a release may hold.

A predictor takes the frame of features, shape (n_rows, n_features), and returns what the estimator
would have returned: shape (n_rows,), float64, the probability of the positive class or the value;
for the task of several classes (n_rows, n_classes), their probabilities, and for quantiles
(n_rows, 3).

A model that skops cannot hold is written and read by save() and load() of the project's model.py:
see docs/contract.md. Such a file may run code, which one of skops never does, so an add-on may
refuse to release it.
"""

import ctypes
import importlib.util
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import SKOPS, BundleError, ReleaseFiles
from rung_ops.model.target import MULTICLASS, QUANTILE, of_classifier, of_regressor

# What scikit-learn's own estimators hold and skops does not know. A list, as any name of a module,
# such as one that it imports from elsewhere, would pass a test of its first word. Left out are
# compiled structures that are not checked when they are loaded, such as trees: a forged one makes
# scikit-learn read past its end, so a project lists it, and knows who wrote its models.
BY_DEFAULT = frozenset(
    f"{module}.{name}"
    for module, names in {
        "numpy": ("dtype", "mean"),
        "rung_ops.quantiles": ("PerQuantile",),
        "scipy.sparse._csc": ("csc_matrix",),
        "scipy.sparse._csr": ("csr_matrix",),
        "sklearn._loss.loss": ("HalfTweedieLossIdentity",),
        "sklearn.calibration": ("_CalibratedClassifier", "_SigmoidCalibration"),
        "sklearn.feature_selection._mutual_info": ("mutual_info_classif", "mutual_info_regression"),
        "sklearn.feature_selection._univariate_selection": (
            *("chi2", "f_classif", "f_regression", "r_regression"),
        ),
        "sklearn.gaussian_process._gpc": ("_BinaryGaussianProcessClassifierLaplace",),
        "sklearn.gaussian_process.kernels": (
            *("CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared"),
            *("Exponentiation", "Matern", "Product", "RBF", "RationalQuadratic", "Sum"),
            "WhiteKernel",
        ),
        "sklearn.metrics._classification": ("balanced_accuracy_score",),
        "sklearn.metrics._scorer": ("_CurveScorer", "_PassthroughScorer", "_Scorer"),
        "sklearn.model_selection._search_successive_halving": (
            *("HalvingGridSearchCV", "HalvingRandomSearchCV"),
        ),
        "sklearn.model_selection._split": (
            *("GroupKFold", "KFold", "ShuffleSplit", "StratifiedKFold", "TimeSeriesSplit"),
        ),
        "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
        "sklearn.utils._bunch": ("Bunch",),
        "sklearn.utils._metadata_requests": ("MetadataRequest", "MethodMetadataRequest"),
    }.items()
    for name in names
)


def trusted_types(listed: Iterable[str]) -> list[str]:
    """Return the types that a model may hold beside those that skops knows: TRUSTED and ours."""
    return sorted(BY_DEFAULT.union(listed))


def untrusted(saved: Path | bytes, listed: Iterable[str], name: str) -> str | None:
    """Say which types of a file, or its content, are not trusted; None where all are."""
    import skops.io

    given = {"data": saved} if isinstance(saved, bytes) else {"file": saved}
    unknown = sorted(set(skops.io.get_untrusted_types(**given)) - set(trusted_types(listed)))
    if not unknown:
        return None
    names = ", ".join(f'"{each}"' for each in unknown)
    return (
        f"{name} holds types that are not trusted: {names}. If you trust them, add them to TRUSTED "
        "in model.py."
    )


def is_custom(module: ModuleType) -> bool:
    """Tell whether a model.py reads and writes its model itself."""
    return hasattr(module, "save") and hasattr(module, "load")


def predict_custom(
    module: ModuleType, model: Any, features: pl.DataFrame, task: str | None = None
) -> np.ndarray:
    """Predict with such a model; float64, of the shape that model.target says for the task."""
    if hasattr(module, "predict"):
        return of_regressor(np.asarray(module.predict(model, features), np.float64), task)
    if hasattr(model, "predict_proba"):
        return of_classifier(np.asarray(model.predict_proba(features), np.float64), task)
    return of_regressor(np.asarray(model.predict(features), np.float64), task)


class OnnxOutput:
    """The first output of a model in ONNX, for a frame of its inputs."""

    def __init__(self, content: bytes) -> None:
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
    """A model in ONNX of a task: a predictor."""

    def __init__(self, content: bytes, task: str | None) -> None:
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


def _array_of_texts(values: Sequence[str | None]) -> np.ndarray:
    if None in values:
        values = [bundle.MISSING_TEXT if value is None else value for value in values]
    return np.array(values, dtype=object).reshape(-1, 1)


TEXTS, FLOATS, DOUBLES = "tensor(string)", "tensor(float)", "tensor(double)"
# A missing number is NaN in ONNX, and polars writes it so for floating-point columns only.
_FEEDS: dict[str, Callable[[pl.Series], np.ndarray]] = {
    TEXTS: lambda column: _array_of_texts(column.cast(pl.String).to_list()),
    FLOATS: lambda column: column.cast(pl.Float32).to_numpy().reshape(-1, 1),
    DOUBLES: lambda column: column.cast(pl.Float64).to_numpy().reshape(-1, 1),
}
_ARRAYS: dict[str, Callable[[Sequence[Any]], np.ndarray]] = {
    TEXTS: _array_of_texts,
    FLOATS: lambda values: np.array(values, np.float32).reshape(-1, 1),  # None becomes NaN
    DOUBLES: lambda values: np.array(values, np.float64).reshape(-1, 1),
}

NAMES = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
FLOAT64, ROW_MAJOR, NORMAL, CONTRIBUTIONS, FIRST, ALL = 1, 1, 0, 3, 0, -1  # of its c_api.h
# One thread: a second one doubles the CPU of a small batch.
PARAMETERS = b"num_threads=1"


class Booster:
    """A model in LightGBM's text format: of one number, or of several."""

    def __init__(self, text: str, columns: int) -> None:
        self._library = _library()
        self._handle = ctypes.c_void_p()
        self._columns = columns
        rounds, classes, expected = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._call(
            "LGBM_BoosterLoadModelFromString",
            text.encode(),
            ctypes.byref(rounds),
            ctypes.byref(self._handle),
        )
        self._call("LGBM_BoosterGetNumClasses", self._handle, ctypes.byref(classes))
        self._call("LGBM_BoosterGetNumFeature", self._handle, ctypes.byref(expected))
        if expected.value != columns:
            raise ValueError(
                f"the model expects {expected.value} columns; the encoder gives {columns}"
            )
        self._numbers = classes.value  # of a row
        # What a call for one row needs is kept: it would cost more than the trees.
        self._row = np.empty(columns)
        self._answer = np.empty(self._numbers)
        self._lock = threading.Lock()
        self._count = ctypes.c_int64()
        fast = ctypes.c_void_p()
        self._call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            *(self._handle, NORMAL, FIRST, ALL, FLOAT64, columns, PARAMETERS),
            ctypes.byref(fast),
        )
        self._fast = fast
        self._one = (
            fast,
            self._row.ctypes.data_as(ctypes.c_void_p),
            ctypes.byref(self._count),
            self._answer.ctypes.data_as(ctypes.c_void_p),
        )

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Predict: shape (n_rows,), or (n_rows, n_numbers).

        `matrix` is float64 in C order, shape (n_rows, n_columns); NaN is missing.
        """
        if len(matrix) == 1:
            with self._lock:
                self._row[:] = matrix[0]
                self._call("LGBM_BoosterPredictForMatSingleRowFast", *self._one)
                answer = self._answer.copy()
        else:
            answer = self._predict(matrix, NORMAL, self._numbers)
        return answer if self._numbers == 1 else answer.reshape(-1, self._numbers)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Compute what each column adds to the raw score: SHAP values of the trees, exact.

        They are conditional on the paths of the trees, so they need no other rows.

        Returns:
            Shape (n_rows, n_columns + 1), of several numbers with a last axis for them; the last
            column is the mean score of the training rows. Each row adds up to the raw score: for a
            classifier in log-odds, of several classes before the softmax.
        """
        parts = self._predict(matrix, CONTRIBUTIONS, self._numbers * (self._columns + 1))
        if self._numbers == 1:
            return parts.reshape(len(matrix), -1)
        return parts.reshape(len(matrix), self._numbers, -1).swapaxes(1, 2)

    def _predict(self, matrix: np.ndarray, kind: int, width: int) -> np.ndarray:
        answer, count = np.empty(len(matrix) * width), ctypes.c_int64()
        self._call(
            "LGBM_BoosterPredictForMat",
            *(self._handle, matrix.ctypes.data_as(ctypes.c_void_p), FLOAT64),
            *(ctypes.c_int32(len(matrix)), ctypes.c_int32(self._columns), ROW_MAJOR),
            *(kind, FIRST, ALL, PARAMETERS),
            ctypes.byref(count),
            answer.ctypes.data_as(ctypes.c_void_p),
        )
        return answer

    def __del__(self) -> None:
        """Give the memory back."""
        if getattr(self, "_fast", None):
            self._library.LGBM_FastConfigFree(self._fast)
        if getattr(self, "_handle", None):
            self._library.LGBM_BoosterFree(self._handle)

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._library, function)(*arguments):
            raise ValueError(self._library.LGBM_GetLastError().decode(errors="replace"))


def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("lightgbm")  # finds, and does not import
    places = spec.submodule_search_locations if spec else None
    for location in places or ():
        for path in (Path(location) / folder / name for folder in ("lib", "bin") for name in NAMES):
            if path.is_file():
                library = ctypes.CDLL(str(path))
                library.LGBM_GetLastError.restype = ctypes.c_char_p
                return library
    raise BundleError(
        "this release needs LightGBM: add `lightgbm` to the dependencies in pyproject.toml"
    )


def load_estimator(release: Path | ReleaseFiles, package: str) -> Any:
    """Load the estimator of a release, or of a folder in which one is being made.

    Raises:
        BundleError: it holds a type that neither skops nor TRUSTED in the release's model.py
        trusts.
    """
    import skops.io  # imports scikit-learn: seconds of start

    # People wrote and reviewed TRUSTED; never trust the types that the file itself lists.
    files = ReleaseFiles.wrap(release)
    content = files.read(SKOPS)
    listed = list(getattr(source_import.module_of(files, package, "model"), "TRUSTED", []))
    if reason := untrusted(content, listed, files.name):
        raise BundleError(reason)
    modules = {name.rpartition(".")[0] for name in listed}
    with source_import.importable_by_name(files, package, modules):
        return skops.io.loads(content, trusted=trusted_types(listed))


Predictor = Callable[[pl.DataFrame], np.ndarray]
# The same for features as values, n_rows times n_features.
RowPredictor = Callable[[Sequence[Sequence[Any]]], np.ndarray]


def predictor_of(release: Path | ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    """Load the model of a release, or of a folder in which one is being made.

    Raises:
        BundleError: it is of an unknown format, or cannot be loaded.
    """
    files = ReleaseFiles.wrap(release)
    load = FORMATS.get(manifest["format"])
    if load is None:
        raise BundleError(
            f"{files.name}: the model's format is {manifest['format']!r}, and this service knows "
            f"{', '.join(FORMATS)}. Bring the service up to date, or release the version again."
        )
    try:
        return load(files, manifest)
    except BundleError:
        raise
    except Exception as error:  # each runtime raises different errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BundleError(
            f"{files.name}: the model cannot be loaded ({type(error).__name__}: {reason})"
        ) from error


def row_predictor(predictor: Predictor, features: Mapping[str, pl.DataType]) -> RowPredictor | None:
    """Return what predicts for values of such features; None if they need a frame."""
    of_rows = getattr(predictor, "of_rows", None)
    return of_rows(features) if of_rows is not None else None


def _onnx(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    return OnnxModel(files.read(bundle.ONNX), manifest.get("task"))


class EncodedBooster:
    """A LightGBM model, and the encoder of its features: a predictor."""

    def __init__(self, files: ReleaseFiles, task: str | None) -> None:
        self._task = task
        columns = files.json(bundle.ENCODER)["columns"]
        self._booster = Booster(files.read(bundle.LIGHTGBM).decode(), len(columns))
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
        is less the mean of its classes; of quantiles it is what makes the middle one. See
        reasons.margins().
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
        for index, (name, _) in enumerate(self._codes):
            scores[:, features.get_column_index(name)] += parts[:, index]
        scores[:, -1] = parts[:, -1]
        return scores

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        predicted = self._booster.predict(matrix)
        if self._task == MULTICLASS and predicted.ndim == 1:  # two classes are one number to it
            return np.column_stack([1 - predicted, predicted])
        return of_regressor(predicted, self._task)

    def _matrix(self, features: pl.DataFrame) -> np.ndarray:
        matrix = np.empty((features.height, len(self._codes)))
        for index, (name, code) in enumerate(self._codes):
            values = features.get_column(name)
            if code is None:
                matrix[:, index] = values.cast(pl.Float64).to_numpy()
            else:
                matrix[:, index] = list(map(code, values.to_list()))
        return matrix


def _lightgbm(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    return EncodedBooster(files, manifest.get("task"))


def _codes(column: dict[str, Any]) -> Callable[[Any], float] | None:
    """Return what encodes a value; None for a number, which is its own code."""
    if column["values"] is None:
        return None

    def number(code: float | None) -> float:
        return math.nan if code is None else code

    codes = dict(zip(column["values"], map(number, column["codes"]), strict=True))
    codes[None], unknown = number(column["missing"]), number(column["unknown"])
    return lambda value: codes.get(value, unknown)


def _skops(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    # Imports scikit-learn: a second of start and 100 MB, which only such a release costs.
    from sklearn.base import is_classifier

    model = load_estimator(files, manifest["package"])
    task = manifest.get("task")
    if is_classifier(model):
        return lambda features: of_classifier(
            np.asarray(model.predict_proba(features), np.float64), task
        )
    return lambda features: of_regressor(np.asarray(model.predict(features), np.float64), task)


def _custom(files: ReleaseFiles, manifest: dict[str, Any]) -> Predictor:
    # By the model.py that the release carries, signed as everything in it.
    module = source_import.module_of(files, manifest["package"], "model")
    if not is_custom(module):
        raise BundleError(f"{files.name}: model.py lacks save() and load(), which read its model")
    copy = files.copy(bundle.CUSTOM)
    model = module.load(copy.folder / bundle.CUSTOM)

    def predict(features: pl.DataFrame) -> np.ndarray:
        assert copy, "kept as long as the model, which may read its files later"
        return predict_custom(module, model, features, manifest.get("task"))

    return predict


FORMATS: dict[str, Callable[[ReleaseFiles, dict[str, Any]], Predictor]] = {
    "onnx": _onnx,
    "lightgbm": _lightgbm,
    "skops": _skops,
    "custom": _custom,
}
