"""Models that skops cannot hold: `save` and `load` of the user's model.py read and write them.

model.py defines both, as functions of a module:

- `save(model, path: Path) -> None` writes one file or one folder, exactly at `path`;
- `load(path: Path) -> Any` reads it again, also in the service, from the source of the release;
- `predict(model, features: pl.DataFrame) -> np.ndarray`, if it is there, predicts: shape (n_rows,),
  the probability of the positive class in [0, 1], or the value; (n_rows, n_classes) where the
  target is one of several classes, (n_rows, 3) where QUANTILES are predicted. Without it, the
  model's own `predict_proba` (second column, or all) or `predict` does.

A file that `load` reads may run code, which one of skops never does. So an add-on may refuse to
release such a model.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from rung_ops import addons
from rung_ops.model.target import of_classifier, of_regressor


class CustomModelRefusedError(Exception):
    """An add-on of the project does not allow a model in a format of the project's own."""


def is_custom(module: ModuleType) -> bool:
    """Tell whether a model.py reads and writes its model itself."""
    return hasattr(module, "save") and hasattr(module, "load")


def predict(
    module: ModuleType, model: Any, features: pl.DataFrame, task: str | None = None
) -> np.ndarray:
    """Predict with such a model; float64, of the shape that rung_ops.model.target says for the task.

    Args:
        module: the model.py that the model belongs to.
        model: what its `load` gave.
        features: shape (n_rows, n_features).
        task: of the release.
    """
    if hasattr(module, "predict"):
        return of_regressor(np.asarray(module.predict(model, features), np.float64), task)
    if hasattr(model, "predict_proba"):
        return of_classifier(np.asarray(model.predict_proba(features), np.float64), task)
    return of_regressor(np.asarray(model.predict(features), np.float64), task)


def refuse_unless_allowed(root: Path) -> None:
    """Refuse where an add-on of the project does not allow such models.

    Args:
        root: of the project.

    Raises:
        CustomModelRefusedError: an add-on refuses them.
    """
    for _, refuse in addons.targets("model_format"):
        refuse(root)
