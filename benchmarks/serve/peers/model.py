"""The two forms in which peers get the model: scikit-learn's pipeline, and ONNX."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pandas as pd
from timetable import features, tensors

FOLDER = Path(os.environ["BENCHMARK_MODEL"])


class Pipeline:
    """The fitted pipeline behind pandas."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(FOLDER / "pipeline.joblib")

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return the probability of a late arrival of each row."""
        inputs = features(pd.DataFrame(rows))
        return [float(one) for one in self.pipeline.predict_proba(inputs)[:, 1]]


class Session:
    """The same model in ONNX Runtime, one thread, no frame."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return the probability of a late arrival of each row.

        Args:
            rows: `scheduled` is a datetime, or its text in ISO format.
        """
        moments = [
            value if isinstance(value, datetime) else datetime.fromisoformat(value)
            for value in (row["scheduled"] for row in rows)
        ]
        columns = ("carrier", "origin", "destination", "distance")
        inputs = tensors(moments, *([row[name] for row in rows] for name in columns))
        answer: np.ndarray = self.session.run(["probabilities"], inputs)[0]
        return answer[:, 1].tolist()
