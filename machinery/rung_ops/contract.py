"""What src/ promises to the machinery, imported by the package name in `[tool.rung]`."""

import importlib
from typing import Any

from rung_ops.project.model_folders import modules
from rung_ops.project.paths import REPOSITORY, ROOT, package_name


def _module(name: str) -> Any:
    if ROOT == REPOSITORY:
        return importlib.import_module(f"{package_name()}.{name}")
    return modules(ROOT, name)[0]  # one of the other models, in models/


dataset, features = _module("dataset"), _module("features")

Row = dataset.Row
TARGET: str = dataset.TARGET
TIME: str | None = dataset.TIME
FEATURES = features.FEATURES
load = dataset.load


def __getattr__(name: str) -> Any:
    """Import model.py when something of it is asked for.

    It brings scikit-learn or PyTorch, which take a second or more to import, and whoever only
    reads or checks rows does without them.
    """
    if name not in ("model", "build", "score", "space", "TRUSTED"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    model = _module("model")
    found = {
        "model": model,
        "build": model.build,
        "score": model.score,
        "space": getattr(model, "space", None),
        "TRUSTED": list(getattr(model, "TRUSTED", [])),
    }
    globals().update({key: value for key, value in found.items() if key not in globals()})
    return found[name]
