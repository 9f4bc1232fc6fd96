"""What src/ promises to the library, imported by the package name in `[tool.rung]`.

A module is imported when a name of it is used first. So an error in it reaches the person as a
StageError, one sentence, and not as the traceback of an import; and a stage that only reads rows
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
from rung_ops.model.added_columns import RESERVED
from rung_ops.project import current, paths
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

# By name: the module it is in, what it is, and its default where it may be left out.
NAMES: dict[str, tuple[Any, ...]] = {
    "Row": ("dataset", "the columns and their rules, a class of pandera.polars.DataFrameModel"),
    "TARGET": ("dataset", "the name of the column to predict"),
    "TIME": ("dataset", "the name of the column with the time of a row, or None"),
    "QUANTILES": ("dataset", "the quantiles to predict, such as (0.1, 0.5, 0.9)", ()),
    "HORIZON": ("dataset", "how long before TIME a row is predicted, a datetime.timedelta", None),
    "ORIGIN": ("dataset", "the name of the column with the time at which a row is predicted", None),
    "SEASON": ("dataset", "after it values resemble each other, a datetime.timedelta", None),
    "load": ("dataset", "the function that reads a raw file"),
    "FEATURES": ("features", "a list of Polars expressions"),
    "ENTITY_FEATURES": ("features", "a list of rung_ops.features.EntityFeature", []),
    "build": ("model", "the function that makes a model which is not fitted"),
    "score": ("model", "the function that gives the figures of predictions"),
    "space": ("model", "the function that proposes parameters to try", None),
    "TRUSTED": ("model", "types that a saved model may hold", []),
}


def __getattr__(name: str) -> Any:
    """Take a name of NAMES, or one of the three modules, from the package.

    Raises:
        StageError: its module cannot be imported or lacks the name, or Row makes no schema.
    """
    if name in ("dataset", "features", "model"):
        return _module(name)
    if name not in NAMES:
        raise AttributeError(f"module `rung_ops.contract` has no attribute `{name}`")
    module, meaning, *default = NAMES[name]
    loaded = _module(module)
    if not hasattr(loaded, name):
        if default:
            return default[0]
        raise StageError(f"{shown(Path(str(loaded.__file__)))}: `{name}` is missing: {meaning}.")
    value = getattr(loaded, name)
    if name == "Row" and hasattr(value, "to_schema"):  # else the check of the kinds refuses it
        where = shown(Path(str(loaded.__file__)))
        try:
            columns = value.to_schema().columns  # pandera says only now what it does not accept
        except Exception as error:
            raise StageError(
                f"{where}: Row cannot be used as a schema ({_reason(error)})."
            ) from error
        if taken := sorted(RESERVED & set(columns)):
            raise StageError(
                f"{where}: Row has the column `{taken[0]}`, a name of what Rung adds to rows. Let "
                "load() give it another name."
            )
    return value


def _module(name: str) -> ModuleType:
    try:
        (module,) = paths.modules_of(current().root, name)
        return module
    except StageError:
        raise
    except Exception as error:  # the module is the user's, and may raise anything
        raise StageError(explain(f"importing {name}.py", error)) from error


def package() -> str:
    """Name the package that the three modules are in, without importing it."""
    return paths.package_of(current().root)


def explain(what: str, error: BaseException) -> str:
    """Say in one sentence what user code raised, and where in the project.

    Args:
        what: the action that failed, such as `build()`.
        error: what it raised.
    """
    if isinstance(error, SyntaxError) and error.filename:
        location = f"{shown(Path(error.filename))}, line {error.lineno}: "
        return f"{location}{what} failed ({type(error).__name__}: {error.msg})."
    root, location = current().root, ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        is_own = path.is_relative_to(root) and not path.is_relative_to(root / ".venv")
        if is_own and not path.is_relative_to(Path(__file__).parent):
            location = f"{shown(path)}, line {frame.lineno}: "
    return f"{location}{what} failed ({_reason(error)})."


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {printable(lines[0])}" if lines else type(error).__name__


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Raise a StageError that names `what` in place of any error but a StageError."""
    try:
        yield
    except StageError:
        raise
    except Exception as error:  # src/ is the user's, and may raise anything
        raise StageError(explain(what, error)) from error
