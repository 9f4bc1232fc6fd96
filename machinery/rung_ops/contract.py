"""What src/ promises to the machinery, imported by the package name in `[tool.rung]`."""

import importlib

from rung_ops.project.model_folders import modules
from rung_ops.project.paths import REPOSITORY, ROOT, package_name

if ROOT == REPOSITORY:
    dataset, features, model = (
        importlib.import_module(f"{package_name()}.{name}")
        for name in ("dataset", "features", "model")
    )
else:  # one of the other models, in models/
    dataset, features, model = modules(ROOT, "dataset", "features", "model")

Row = dataset.Row
TARGET: str = dataset.TARGET
TIME: str | None = dataset.TIME
FEATURES = features.FEATURES
TRUSTED: list[str] = list(getattr(model, "TRUSTED", []))

load = dataset.load
build = model.build
score = model.score
space = getattr(model, "space", None)
