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
# What a new model begins with.
COPIED = ("data/sample", "notebooks", "params.toml", "tests")
# What each model says of itself. These come with the rungs, so `uv run poe models` brings those
# that a model does not have yet, as the first model has them.
DOCUMENTS = ("use_case", "model_card", "datasheet", "privacy")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "dvc.lock", "dvc.yaml", "validation", "*.pub")
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
TASKS_FILE = "poe_tasks.toml"
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
    found = sorted(path.parent.name for path in (home / "src").glob("*/__init__.py"))
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
    texts = {home / ".gitignore": IGNORED, home / TASKS_FILE: TASKS % _port(home)}
    incoming = "data/incoming/README.md"
    if (REPOSITORY / incoming).is_file():
        texts[home / incoming] = (REPOSITORY / incoming).read_text(encoding="utf-8")
    for name in ("dvc.yaml", "governance/dvc.yaml"):
        if (REPOSITORY / name).is_file():
            text = (REPOSITORY / name).read_text(encoding="utf-8")
            # The stages are the same; only ops/ lies two folders up.
            texts[home / name] = re.sub(r"(?m)^( +- )ops/", r"\1../../ops/", text)
    return texts


def _port(home: Path) -> int:
    """Find the port of a model's service: the one it has, or else the next that none has."""
    found = {each: _ports(each) for each in (*homes(), home)}
    if found[home]:
        return found[home][0]
    return 1 + max([FIRST_PORT, *(port for ports in found.values() for port in ports)])


def _ports(home: Path) -> list[int]:
    tasks = home / TASKS_FILE
    text = tasks.read_text(encoding="utf-8") if tasks.is_file() else ""
    return [int(port) for port in re.findall(r'(?m)^default = "(\d+)"$', text)]


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
    for name in (f"docs/{each}.md" for each in DOCUMENTS):
        _copy(name, home)
    if not (home / "governance/model_inventory.yaml").exists():
        _copy("governance", home)


def _copy(name: str, home: Path) -> None:
    """Copy a file or a folder of the first model, where it has one and the other has not."""
    ours, theirs = REPOSITORY / name, home / name
    if ours.is_dir():
        shutil.copytree(ours, theirs, ignore=LEFT_OUT, dirs_exist_ok=True)
    elif ours.is_file() and not theirs.exists():
        theirs.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ours, theirs)


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
    shutil.copytree(source, new / "src" / name, ignore=LEFT_OUT)
    for path in COPIED:
        _copy(path, new)
    importing = re.compile(rf"(?m)^(\s*(?:from|import) ){source.name}\b")
    for file in new.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(importing.sub(rf"\g<1>{name}", text), encoding="utf-8")
    write(new)
    return new


def check() -> int:
    """Run every other model's tests; return the exit code."""
    for path in outdated():  # after a climb, which leaves what is in models/ alone
        print(f"{shown(path)} is not of this rung: `uv run poe models` writes it.", file=sys.stderr)
    failed = [home for home in homes() if not _holds(home)]
    for home in failed:
        print(f"{shown(home)} does not hold; what is wrong stands above.", file=sys.stderr)
    return 1 if failed else 0


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
    parser = argparse.ArgumentParser(prog="poe models", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help="of a model to add")
    parser.add_argument(
        "--check", action="store_true", help="run each one's tests, check its types"
    )
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
