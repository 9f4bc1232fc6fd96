"""Predict with LightGBM's C library alone.

Its Python package imports scikit-learn and all else that is installed: seconds of start and 100 MB
for a service that wants a single function of it. The package is asked for its place only.
"""

import ctypes
import importlib.util
import threading
from pathlib import Path

import numpy as np

NAMES = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
FLOAT64, ROW_MAJOR, NORMAL, CONTRIBUTIONS, FIRST, ALL = 1, 1, 0, 3, 0, -1  # of its c_api.h
# One thread: a second one doubles the CPU of a small batch.
PARAMETERS = b"num_threads=1"


class NoLightGBMError(Exception):
    """LightGBM is not installed, or not as expected."""


class Booster:
    """A model in LightGBM's text format: of one number, or of several."""

    def __init__(self, text: str, columns: int) -> None:
        """Load a model.

        Args:
            text: of the model.
            columns: how many it expects.

        Raises:
            NoLightGBMError: LightGBM is missing.
            ValueError: this is not such a model.
        """
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
        self._prepare_for_one_row()

    def _prepare_for_one_row(self) -> None:
        """Keep what a call for one row needs: it would cost more than the trees."""
        self._row = np.empty(self._columns)
        self._answer = np.empty(self._numbers)
        self._lock = threading.Lock()
        self._count = ctypes.c_int64()
        fast = ctypes.c_void_p()
        self._call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            *(self._handle, NORMAL, FIRST, ALL, FLOAT64, self._columns, PARAMETERS),
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
        """Predict.

        Args:
            matrix: float64, in C order, shape (n_rows, n_columns); NaN is missing.

        Returns:
            Shape (n_rows,), or (n_rows, n_numbers): probabilities of classes, or values.
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

        Args:
            matrix: as predict() takes it.

        Returns:
            Shape (n_rows, n_columns + 1), of several numbers with a last axis for them; the last
            column is the mean score of the training rows. Each row adds up to the raw score, which
            for a classifier is in log-odds, of several classes before the softmax.
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
    raise NoLightGBMError(
        "this release needs LightGBM: add `lightgbm` to the dependencies in pyproject.toml"
    )
