"""Where the files of the project in use and of its other models are; its name, and its parameters.

The models of a repository beside its first one are in folders of models/. They share ops/, the packages and
the CI; code, data, parameters, reports and releases are their own. Commands typed in such a folder mean its
model: `cd models/NAME && uv run poe train`. Releases and logs may be in shared folders, or in a bucket.
"""

import getpass
import importlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rung_ops import __version__
from rung_ops.errors import NoProjectError, SettingsError, StageError
from rung_ops.project import active_addons, current
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
    name = str(current().metadata()["name"])
    model = model or current().root
    return name if model == current().repository else f"{name}-{model.name}"


def project_description() -> str:
    """Read the project's description from pyproject.toml; empty if it has none."""
    return str(current().metadata().get("description", ""))


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


SCHEMES = ("s3", "gs", "az")  # of buckets
# Why an add-on that guards the service takes no bucket, by the variable.
WHY_NOT = {
    "RELEASES": "which signs the state",
    "LOGS": "whose erasure and retention do not reach a bucket",
}


def share(variable: str, name: str) -> Path:
    """Return the folder that a variable names, or the project's of this name.

    Where the variable is the address of a bucket, it is the copy of that, in `name` or $VARIABLE_CACHE.

    Raises:
        SettingsError: an add-on guards the service, and does not reach a bucket.
    """
    given = _bucket(variable)
    if not given:
        return placed(variable, name)
    if guards := [name for name, addon in active_addons.active().items() if addon.guard]:
        raise SettingsError(
            f"{variable}={given}: a bucket is not supported with the add-on {guards[0]} yet, "
            f"{WHY_NOT[variable]}: use a folder."
        )
    return placed(f"{variable}_CACHE", name) / given.replace("://", "/")


def bucket_address(variable: str, name: str) -> str:
    """Return the address of a folder in the bucket that a variable names; empty where it names none."""
    given = _bucket(variable)
    if not given:
        return ""
    model = current().root.relative_to(current().repository)
    return "/".join([given, *model.parts, name])


def _bucket(variable: str) -> str:
    given = os.environ.get(variable, "")
    scheme, is_address, _ = given.partition("://")
    if is_address and scheme not in SCHEMES:
        expected = ", ".join(f"{name}://" for name in SCHEMES)
        raise SettingsError(f"{variable}={given}: expected a folder, or one of {expected}.")
    return given.rstrip("/") if is_address else ""


STAGING = "staging"
PRODUCTION = "production"
ENVIRONMENTS = (STAGING, PRODUCTION)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def releases() -> Path:
    """Return the folder of candidates and environments: $RELEASES, or releases/; see share()."""
    return share("RELEASES", "releases")


def address(folder: Path) -> str:
    """Return the address of an environment in the bucket of $RELEASES; empty where it is a folder."""
    found = bucket_address("RELEASES", folder.name)
    return found if found and folder.parent == releases() else ""


def environment(name: str) -> Path:
    """Return the folder of an environment; refuse a path, which may lead to another one."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name of an environment: write one of {', '.join(ENVIRONMENTS)}."
        )
    return releases() / name


def candidates() -> Path:
    """Return the folder of the bundles that are ready to be deployed."""
    return releases() / "candidates"


def bundle(folder: Path, release: str) -> Path:
    """Return the path of a release's bundle in the folder of an environment."""
    return folder / "bundles" / release


def verdicts(folder: Path) -> Path:
    """Return the path of the verdicts of the gate that an environment keeps."""
    return folder / "verdicts"


def public_key() -> Path:
    """Return the path of the key that verifies releases: $RELEASE_KEY, or release.pub.

    All models of a repository share one key pair, because one CI signs them.
    """
    return Path(os.environ.get("RELEASE_KEY") or current().repository / "release.pub")


ACTOR = "RUNG_ACTOR"  # variable that the autopilot sets for what it runs
AUTOPILOT = "autopilot"


def person() -> str:
    """Return the name of the person who runs the command, or who started the CI job, or AUTOPILOT."""
    variables = (ACTOR, "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR")
    ci_user = next((os.environ[name] for name in variables if os.environ.get(name)), None)
    try:
        return ci_user or getpass.getuser()
    except (KeyError, OSError, ImportError):  # the user of a container may have no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "a user without a name"
