"""Load a model that save() of model.py wrote, as an MLflow pyfunc."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from rung_ops.training import estimator


class _Predictor:
    """The interface that MLflow expects."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> np.ndarray:
        """Predict features; shape (n_rows,)."""
        return estimator.predict_features(self.model, pl.from_pandas(features))


def _load_pyfunc(path: str) -> _Predictor:  # MLflow finds it by this name
    return _Predictor(estimator.load(Path(path)))
