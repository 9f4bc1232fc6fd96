"""The models of this repository beside its first one: each in a folder of models/.

They share ops/, the packages and the CI; code, data, parameters, reports and releases are their
own. Whoever stands in such a folder means its model: `cd models/NAME && uv run poe train`.

    uv run poe models          lists them, and writes what Rung keeps in each
    uv run poe models NAME     adds one, which begins as a copy of the first

Rung keeps this file; change it through src/ and params.toml.
"""

import argparse
import importlib
import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from ops.settings import REPOSITORY, project_name, shown

MODELS = REPOSITORY / "models"
# What a new model begins with; whatever is not there yet at this rung is left out.
COPIED = ("data/sample", "docs", "governance", "notebooks", "params.toml", "tests")
IGNORED = """\
# What the model makes, as in the repository's own .gitignore
/data/ingested/
/data/*.parquet
/data/outcomes/
/model/
/reports/
/dvc_plots/
/mlflow.db
/mlruns/
/releases/
/logs/
/.keys/
"""
TASKS = """\
# The verbs of ops/tasks.toml, for the model in this folder: `uv run poe train`, typed here.
# Rung keeps this file; `uv run poe models`, typed at the top, writes it anew.
include = ["../../ops/tasks.toml"]

[env]
OMP_WAIT_POLICY = "passive"
PYTHONPATH = "${POE_ROOT}/../.."

[env.SERVICE_PORT]
default = "%d"

[tasks.test]
help = "run the tests of this model"
cmd = "pytest tests ../../ops/tests/test_contract.py ../../ops/tests/test_data.py"

[tasks.check]
help = "lint and tests of this model; typed at the top it is everything"
sequence = ["lint", "test"]
"""
FIRST_PORT = 8000  # of the service of the repository's own model


class BadModel(Exception):
    """A model cannot be added, or used as it is; the message says why and what to do."""


def homes() -> list[Path]:
    """List the folders of the other models, in the order of their names."""
    return sorted(path.parent for path in MODELS.glob("*/src") if path.is_dir())


def package(home: Path) -> str:
    """Name the package of a model: the one folder of its src/.

    Raises:
        BadModel: there is none, or more than one.
    """
    found = sorted(path.name for path in (home / "src").iterdir() if (path / "__init__.py").exists())
    if len(found) != 1:
        named = ", ".join(found) or "none"
        raise BadModel(f"{shown(home)}/src holds {named}; keep one package with an __init__.py.")
    return found[0]


def modules(home: Path, *names: str) -> list[ModuleType]:
    """Import modules of another model's package.

    Raises:
        BadModel: its src/ is not that of one package.
    """
    # At the end: a process that scores an older version has put that one's source first.
    sys.path.append(str(home / "src"))
    return [importlib.import_module(f"{package(home)}.{name}") for name in names]


def kept(home: Path) -> dict[Path, str]:
    """Give the text of each file that Rung keeps in a model's folder."""
    port = FIRST_PORT + 1 + sorted({*homes(), home}).index(home)
    texts = {home / ".gitignore": IGNORED, home / "poe_tasks.toml": TASKS % port}
    for name in ("dvc.yaml", "governance/dvc.yaml"):
        if (REPOSITORY / name).is_file():
            text = (REPOSITORY / name).read_text(encoding="utf-8")
            # The stages are the same; only ops/ lies two folders up.
            texts[home / name] = re.sub(r"(?m)^( +- )ops/", r"\1../../ops/", text)
    return texts


def outdated() -> list[Path]:
    """List the kept files that are missing, or say something else than they should."""
    return [
        path
        for home in homes()
        for path, text in kept(home).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write(home: Path) -> None:
    """Write what Rung keeps in a model's folder."""
    for path, text in kept(home).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def add(name: str) -> Path:
    """Add a model that begins as a copy of the repository's own.

    Raises:
        BadModel: the name cannot be a package's, or is taken.
    """
    source = next((REPOSITORY / "src").glob("*/__init__.py")).parent
    taken = {source.name, *map(package, homes())}
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise BadModel(f"`{name}` cannot be imported: use 1 to 40 of a-z, 0-9 and _.")
    if name in taken or importlib.util.find_spec(name) or (MODELS / name).exists():
        raise BadModel(f"`{name}` is taken by a model or a package: choose another name.")
    new = MODELS / name
    left_out = shutil.ignore_patterns("__pycache__", "dvc.lock", "dvc.yaml", "validation", "*.pub")
    shutil.copytree(source, new / "src" / name, ignore=left_out)
    for path in COPIED:
        if (REPOSITORY / path).is_dir():
            shutil.copytree(REPOSITORY / path, new / path, ignore=left_out)
        elif (REPOSITORY / path).is_file():
            shutil.copy2(REPOSITORY / path, new / path)
    write(new)
    return new


def check() -> int:
    """Run every other model's tests; return the exit code."""
    late = outdated()
    for path in late:
        print(f"{shown(path)} is out of date: `uv run poe models` writes it.", file=sys.stderr)
    failed = [home for home in homes() if not _holds(home)]
    for home in failed:
        print(f"{shown(home)} does not hold; what is wrong stands above.", file=sys.stderr)
    return 1 if late or failed else 0


def _holds(home: Path) -> bool:
    print(f"{shown(home)}:", flush=True)
    poe = ["poethepoet", "--quiet", "--executor", "simple", "--directory", str(home), "test"]
    commands = [poe]
    if importlib.util.find_spec("mypy"):  # from rung 1 on
        commands.append(["mypy", "src"])
    codes = [
        subprocess.run([sys.executable, "-m", *command], cwd=home, check=False).returncode
        for command in commands
    ]
    return not any(codes)


def main() -> int:
    """List, add or check models; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe models", description="The models of this repository.")
    parser.add_argument("name", nargs="?", help="of a model to add")
    parser.add_argument("--check", action="store_true", help="run the tests of each, check its types")
    options = parser.parse_args()
    if options.check:
        return check()
    try:
        if options.name:
            print(f"{shown(add(options.name))} is a copy of the first model: make it your own.")
        print(f"{project_name()}: src/, `uv run poe ...` typed here")
        for home in homes():
            write(home)
            print(f"{project_name()}-{home.name}: {shown(home)}/, typed there ({package(home)})")
    except BadModel as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
