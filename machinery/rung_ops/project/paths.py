"""Where the files of the project in use are, and of its other models; its name, and its parameters.

The models of a repository beside its first one are in folders of models/. They share ops/, the packages and
the CI; code, data, parameters, reports and releases are their own. Commands typed in such a folder mean its
model: `cd models/NAME && uv run poe train`.
"""

import importlib
import os
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from rung_ops import __version__
from rung_ops.errors import NoProjectError, SettingsError, StageError
from rung_ops.project import current
from rung_ops.project.parameters import Parameters, checked
from rung_ops.settings import parsed
from rung_ops.system.printable import printable


def package_name() -> str:
    """Name the package of the repository's own model, in src/."""
    name = current().settings().package
    if not name.isidentifier():
        raise NoProjectError(
            'pyproject.toml: `[tool.rung]` needs the name of the package in src/: package = "NAME".'
        )
    return name


# Where DVC keeps a file's content; with `cache.type = symlink` it puts links to there.
DVC_OBJECT = re.compile(r".*/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")
# Files beside the data that are not data.
BESIDE = {".md", ".py", ".dvc", ".txt"}


def raw_files() -> list[Path]:
    """List the raw files in data/sample and data/incoming, in a fixed order.

    The sample is there to begin with. Once rows were taken from a warehouse it is left out: they
    may be the same rows. Links in data/incoming are left out: see links_in_incoming().
    """
    links = links_in_incoming()
    incoming = [path for path in raw_files_in(current().incoming) if path not in links]
    return incoming + ([] if raw_files_in(current().warehouse) else raw_files_in(current().sample))


def links_in_incoming() -> list[Path]:
    """List the links in data/incoming that are not DVC's own, in a fixed order.

    A delivery of data may contain one that leads to any file of this machine.
    """
    links = [path for path in current().incoming.rglob("*") if path.is_symlink()]
    return sorted(p for p in links if not DVC_OBJECT.fullmatch(p.resolve().as_posix()))


def links_refused() -> list[str]:
    """Say of each link in data/incoming that it is not followed."""
    return [
        f"{shown(path)} is a link, and links are not followed: put the file itself there."
        for path in links_in_incoming()
    ]


def raw_files_in(folder: Path) -> list[Path]:
    """List the raw files in a folder and below, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_raw(path))


def is_raw(path: Path) -> bool:
    """Say whether a file in a folder of raw data is data, by its name."""
    return path.suffix not in BESIDE and not path.name.startswith(".")


def params() -> dict[str, Any]:
    """Read params.toml as it is written, with the tables of the project's own.

    Raises:
        StageError: it is missing, not valid TOML, or not what rung_ops.project.parameters declares.
    """
    return _params()[0]


def parameters() -> Parameters:
    """Read what the library reads of params.toml, with defaults; raises what params() does."""
    return _params()[1]


def _params() -> tuple[dict[str, Any], Parameters]:
    path = current().root / "params.toml"
    if not path.is_file():
        raise StageError("params.toml is missing: restore it from git.")
    try:
        content = parsed(path)
        return content, checked(content)
    except SettingsError as error:
        where = parameter_line(*error.place)
        raise StageError(where + str(error).removeprefix("params.toml")) from error


def parameter_line(table: str, key: str) -> str:
    """Name the line of params.toml that sets a key, as `params.toml:21`; only the file if none does."""
    heading = ""
    text = (current().root / "params.toml").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*\[([^\[\]]+)\]", line):
            heading = found[1].strip()
        elif heading == table and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return f"params.toml:{number}"
    return "params.toml"


def shared(name: str) -> Path:
    """Find a file that models may share: the model's own, or else the repository's."""
    own = current().root / name
    return own if own.exists() else current().repository / name


def policy_file(name: str) -> Path:
    """Find a policy file of ops/: the model's own, or else the repository's."""
    return shared(f"ops/{name}")


def placed(variable: str, name: str) -> Path:
    """Find a folder that a variable may move: to a share, for one, that the service reads.

    Models have the folders there that they have in the repository: what `RELEASES=/share` is to the
    first one, `/share/models/NAME` is to another.
    """
    if given := os.environ.get(variable):
        return Path(given) / current().root.relative_to(current().repository)
    return current().root / name


def others() -> list[str]:
    """Name the folders that belong to other models, as git names them from this model's folder."""
    if current().root != current().repository:
        return []  # they all lie elsewhere
    folders = sorted(current().repository.glob("models/*/src"))
    return [f"models/{path.parent.name}" for path in folders]


def project_name(model: Path | None = None) -> str:
    """Read the project's name from pyproject.toml; another model adds the name of its folder."""
    name = str(_metadata()["name"])
    model = model or current().root
    return name if model == current().repository else f"{name}-{model.name}"


def project_description() -> str:
    """Read the project's description from pyproject.toml; empty if it has none."""
    return str(_metadata().get("description", ""))


def _metadata() -> dict[str, Any]:
    text = (current().repository / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def made(path: Path) -> Path:
    """Return the path of what a stage makes, such as PREDICTIONS; refuse where none has yet."""
    if not path.exists():
        raise StageError(
            f"{shown(path)} is missing: `uv run poe train` and `uv run poe evaluate` make it."
        )
    return path


def shown(path: Path) -> str:
    """Name a path the way a person would type it who is in the model's folder.

    It is safe to print: a file name may hold line breaks and other control characters.
    """
    if path.is_relative_to(current().root):
        return printable(path.relative_to(current().root).as_posix())
    above = path.is_relative_to(current().repository)
    return printable(Path(os.path.relpath(path, current().root)).as_posix() if above else str(path))


def series(version: str) -> str:
    """Return the part of a version that changes with incompatible changes: `0.2` of 0.2.1, `1` of 1.4."""
    first, second, *_ = [*version.split("."), "0"]
    return f"0.{second}" if first == "0" else first


def refuse_other_version() -> None:
    """Stop where the library has another series than the project's files expect."""
    expected = current().table().get("machinery")
    if expected is None or series(str(expected)) == series(__version__):
        return
    what = f"This project's files expect rung-ops {expected}, but"
    if (current().repository / "machinery/rung_ops").is_dir():
        raise NoProjectError(
            f"{what} machinery/ holds {__version__}: merge the newer source with `rung update`, or "
            "restore machinery/ and pyproject.toml from one commit."
        )
    raise NoProjectError(
        f"{what} {__version__} is installed: run `uv sync`, or bring vendor/ and files to one version "
        "with `rung update`."
    )


def models_folder() -> Path:
    """Return the folder of the other models."""
    return current().repository / "models"


def other_models() -> list[Path]:
    """List the folders of the other models, in the order of their names."""
    return sorted(path.parent for path in models_folder().glob("*/src") if path.is_dir())


def model_folders() -> dict[str, Path]:
    """Give each model's folder by its name in the repository, where the first one's is `.`."""
    return {".": current().repository} | {f"models/{home.name}": home for home in other_models()}


def package_of(home: Path) -> str:
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


def modules_of(home: Path, *names: str) -> list[ModuleType]:
    """Import modules of a model's package."""
    make_importable(home)
    return [importlib.import_module(f"{package_of(home)}.{name}") for name in names]
