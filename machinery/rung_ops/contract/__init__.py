"""What src/ promises to the machinery, imported by the package name in `[tool.rung]`.

A module is imported when a name of it is used first. So an error in it reaches the person as a
ContractError, one sentence, and not as the traceback of an import; and a stage that only reads rows
does without model.py, which brings scikit-learn or PyTorch.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from rung_ops.errors import StageError
from rung_ops.project import current, model_folders
from rung_ops.project.paths import shown
from rung_ops.system.printable import printable

dataset: ModuleType
features: ModuleType
model: Any  # the module; its save, load and predict are optional
Row: Any
TARGET: str
TIME: str | None
QUANTILES: Any
HORIZON: timedelta | None
ORIGIN: str | None
SEASON: timedelta | None
FEATURES: Any
ENTITY_FEATURES: Any
TRUSTED: list[str]
load: Any
build: Any
score: Any
space: Any

# By name: the module it is in, and what it is.
NAMES = {
    "Row": ("dataset", "the columns and their rules, a class of pandera.polars.DataFrameModel"),
    "TARGET": ("dataset", "the name of the column to predict"),
    "TIME": ("dataset", "the name of the column with the time of a row, or None"),
    "QUANTILES": ("dataset", "the quantiles to predict, such as (0.1, 0.5, 0.9)"),
    "HORIZON": ("dataset", "how long before TIME a row is predicted, a datetime.timedelta"),
    "ORIGIN": ("dataset", "the name of the column with the time at which a row is predicted"),
    "SEASON": ("dataset", "after it values resemble each other, a datetime.timedelta"),
    "load": ("dataset", "the function that reads a raw file"),
    "FEATURES": ("features", "a list of Polars expressions"),
    "ENTITY_FEATURES": ("features", "a list of rung_ops.features.EntityFeature"),
    "build": ("model", "the function that makes a model which is not fitted"),
    "score": ("model", "the function that gives the figures of predictions"),
    "space": ("model", "the function that proposes parameters to try"),
    "TRUSTED": ("model", "types that a saved model may hold"),
}
OPTIONAL: dict[str, Any] = {
    "space": None,
    "TRUSTED": [],
    "ENTITY_FEATURES": [],
    "QUANTILES": (),
    "HORIZON": None,
    "ORIGIN": None,
    "SEASON": None,
}


class ContractError(StageError):
    """src/ does not keep a promise; the message says which, where, and what to do."""


def __getattr__(name: str) -> Any:
    """Take a name of NAMES, or one of the three modules, from the package.

    Raises:
        ContractError: its module cannot be imported or lacks the name, or Row makes no schema.
    """
    if name in ("dataset", "features", "model"):
        return _module(name)
    if name not in NAMES:
        raise AttributeError(f"module `rung_ops.contract` has no attribute `{name}`")
    module, meaning = NAMES[name]
    loaded = _module(module)
    if hasattr(loaded, name):
        value = getattr(loaded, name)
        if name == "Row":
            _refuse_without_schema(value, loaded)
        return value
    if name in OPTIONAL:
        return OPTIONAL[name]
    raise ContractError(f"{shown(Path(str(loaded.__file__)))}: `{name}` is missing: {meaning}.")


def _refuse_without_schema(row: Any, dataset: ModuleType) -> None:
    """Refuse a Row whose types or rules pandera does not accept; it says so only when asked."""
    if not hasattr(row, "to_schema"):
        return  # the check of the kinds says what it must be
    try:
        row.to_schema()
    except Exception as error:
        where = shown(Path(str(dataset.__file__)))
        lines = str(error).strip().splitlines() or [""]
        reason = f"{type(error).__name__}: {printable(lines[0])}"
        raise ContractError(f"{where}: Row cannot be used as a schema ({reason}).") from error


def _module(name: str) -> ModuleType:
    try:
        (module,) = model_folders.modules(current().root, name)
        return module
    except StageError:
        raise
    except Exception as error:  # the module is the user's, and may raise anything
        raise ContractError(explain(f"importing {name}.py", error)) from error


def package() -> str:
    """Name the package that the three modules are in, without importing it."""
    return model_folders.package(current().root)


def explain(what: str, error: BaseException) -> str:
    """Say in one sentence what user code raised, and where in the project.

    Args:
        what: the action that failed, such as `build()`.
        error: what it raised.
    """
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {printable(lines[0])}" if lines else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        location = f"{shown(Path(error.filename))}, line {error.lineno}: "
        return f"{location}{what} failed ({type(error).__name__}: {error.msg})."
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(current().root)
        and not Path(frame.filename).is_relative_to(current().root / ".venv")
        and Path(__file__).parent not in Path(frame.filename).parents
    ]
    location = f"{shown(Path(own[-1].filename))}, line {own[-1].lineno}: " if own else ""
    return f"{location}{what} failed ({reason})."


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Raise a ContractError that names `what` in place of any error but a StageError."""
    try:
        yield
    except StageError:
        raise
    except Exception as error:  # src/ is the user's, and may raise anything
        raise ContractError(explain(what, error)) from error
