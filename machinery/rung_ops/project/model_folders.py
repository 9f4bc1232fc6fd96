"""The models of this repository beside its first one: each in a folder of models/.

They share ops/, the packages and the CI; code, data, parameters, reports and releases are their
own. Commands typed in such a folder mean its model: `cd models/NAME && uv run poe train`.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import package_name, shown


def models_folder() -> Path:
    """Return the folder of the other models."""
    return current().repository / "models"


def all_of_them() -> list[Path]:
    """List the folders of the other models, in the order of their names."""
    return sorted(path.parent for path in models_folder().glob("*/src") if path.is_dir())


def folders() -> dict[str, Path]:
    """Give each model's folder by its name in the repository, where the first one's is `.`."""
    return {".": current().repository} | {f"models/{home.name}": home for home in all_of_them()}


def package(home: Path) -> str:
    """Name a model's package: as `[tool.rung]` does, or of another than the first its src/'s."""
    if home == current().repository:
        return package_name()
    packages = sorted(path.parent.name for path in (home / "src").glob("*/__init__.py"))
    if len(packages) != 1:
        named = ", ".join(packages) or "none"
        raise StageError(f"{shown(home)}/src holds {named}; keep one package with an __init__.py.")
    return packages[0]


def make_importable(home: Path) -> None:
    """Let this process import a model's package."""
    # At the end: a process that scores an older version has put that one's source first.
    if str(home / "src") not in sys.path:
        sys.path.append(str(home / "src"))


def modules(home: Path, *names: str) -> list[ModuleType]:
    """Import modules of a model's package."""
    make_importable(home)
    return [importlib.import_module(f"{package(home)}.{name}") for name in names]
