"""The model: a small network of PyTorch, kept as ONNX, so that the service needs no PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl


class Network:
    """A network with its training, or what was read from an ONNX file."""

    def __init__(self, params: Mapping[str, Any], onnx: bytes = b"") -> None:
        """Take the values of [model], or a file that was saved."""
        self.params, self.onnx = params, onnx
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(onnx, options) if onnx else None

    def fit(self, features: pl.DataFrame, truth: np.ndarray) -> "Network":
        """Train, and keep the network as ONNX: what predicts later is what was saved."""
        from .training import trained  # PyTorch is there only where models are trained

        return Network(self.params, trained(features.to_numpy(), truth, self.params))

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        """Predict tonnes, shape (n_rows,)."""
        if self.session is None:
            raise ValueError("the network is not trained")
        (tonnes,) = self.session.run(None, {"features": features.to_numpy().astype(np.float32)})
        return np.asarray(tonnes, np.float64).ravel()


def build(params: Mapping[str, Any]) -> Network:
    """Make an untrained network; `device = "cuda"` under [model] trains on a GPU."""
    return Network(dict(params))


def save(model: Network, path: Path) -> None:
    """Write the network as ONNX."""
    path.write_bytes(model.onnx)


def load(path: Path) -> Network:
    """Read it."""
    return Network({}, path.read_bytes())


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in tonnes."""
    return {"mae": float(np.abs(truth - predicted).mean())}
