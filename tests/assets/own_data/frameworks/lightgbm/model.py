"""The model: LightGBM's trees, which read rows in parts; a frame of features will do, too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl


class Rows(lightgbm.Sequence):
    """Features as numbers, of which LightGBM reads a batch at a time."""

    batch_size = 100_000

    def __init__(self, features: Any) -> None:
        """Take what read_parts() returned, or a frame."""
        self.features = features

    def __len__(self) -> int:
        """Count rows."""
        return len(self.features)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return a batch; of a single row, from which LightGBM makes its bins, one dimension."""
        if isinstance(index, slice):
            return self.features[index].to_numpy()
        return self.features[int(index) : int(index) + 1].to_numpy()[0]


class Trees:
    """Boosted trees."""

    def __init__(self, params: Mapping[str, Any], booster: lightgbm.Booster | None = None) -> None:
        """Take the values of [model], and the trees, once they are fitted."""
        self.params, self.booster = params, booster

    def fit(
        self, features: Any, truth: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> "Trees":
        """Fit trees."""
        settings = dict(self.params)
        rounds = settings.pop("rounds")
        rows = lightgbm.Dataset(Rows(features), truth, weight=sample_weight, params=settings)
        return Trees(self.params, lightgbm.train(settings, rows, rounds))

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        """Predict, shape (n_rows,); with `objective = "binary"` probabilities."""
        if self.booster is None:
            raise ValueError("the trees are not fitted")
        return np.asarray(self.booster.predict(features.to_numpy()))


def build(params: Mapping[str, Any]) -> Trees:
    """Make an untrained model."""
    return Trees(params)


def save(model: Trees, path: Path) -> None:
    """Write LightGBM's text, which runs no code when it is read."""
    if model.booster is None:
        raise ValueError("the trees are not fitted")
    path.write_text(model.booster.model_to_string(), "utf-8")


def load(path: Path) -> Trees:
    """Read it."""
    return Trees({}, lightgbm.Booster(model_str=path.read_text("utf-8")))


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions in the unit of the target."""
    return {"mae": float(np.abs(truth - predicted).mean())}
