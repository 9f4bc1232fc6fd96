"""Models that skops cannot hold: `save` and `load` of the user's model.py read and write them.

model.py defines both, as functions of a module:

- `save(model, path: Path) -> None` writes one file or one folder, exactly at `path`;
- `load(path: Path) -> Any` reads it again, also in the service, from the source of the release;
- `predict(model, features: pl.DataFrame) -> np.ndarray`, if it is there, predicts: shape (n_rows,),
  the probability of the positive class in [0, 1], or the value; (n_rows, n_classes) where the
  target is one of several classes, (n_rows, 3) where QUANTILES are predicted. Without it, the
  model's own `predict_proba` (second column, or all) or `predict` does.

A file that `load` reads may run code, which one of skops never does. So a project with a change
control plan releases such a model only where the plan allows it.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model.target import of_classifier, of_regressor

PLAN = "governance/change_control_plan.yaml"


class CustomModelRefusedError(Exception):
    """The change control plan does not allow a model in a format of the project's own."""


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


def refuse_unless_planned(root: Path) -> None:
    """Refuse where the project has a change control plan that does not allow such models.

    Args:
        root: of the project.

    Raises:
        CustomModelRefusedError: the plan lacks `custom_model_format: {allowed: true, reason: ...}`,
            or the folder governance/ lacks the plan.
    """
    if not (root / "governance").is_dir():
        return
    import yaml  # projects with governance have it

    plan = root / PLAN
    content = yaml.safe_load(plan.read_text(encoding="utf-8")) if plan.is_file() else None
    entry = content.get("custom_model_format") if isinstance(content, dict) else None
    if not isinstance(entry, dict) or entry.get("allowed") is not True or not entry.get("reason"):
        raise CustomModelRefusedError(
            f"save() and load() in model.py read and write the model, and a file of its own format "
            f"can run code when it is loaded. {PLAN} does not allow that: have "
            "`custom_model_format: {allowed: true, reason: ...}` approved, or remove save() and "
            "load()."
        )
