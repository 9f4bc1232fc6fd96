"""List the models of this repository, add one, or check them all.

    uv run poe models          lists them, and writes what this rung keeps in each
    uv run poe models NAME     adds one, which begins as a copy of the first
    uv run poe models --each pipeline     runs a verb for each, the first one included

The jobs of the CI that are about one model run for each that `--json` prints.
"""

import argparse
import importlib.util
import json
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rung_ops import addons
from rung_ops.project import current, model_files, model_folders
from rung_ops.project.model_folders import ModelFolderError, package
from rung_ops.project.paths import project_name, shown

# What a new model begins with.
COPIED = ("data/sample", "notebooks", "params.toml", "tests")


def add(name: str) -> Path:
    """Add a model that begins as a copy of the repository's own.

    Raises:
        ModelFolderError: the name cannot be a package's, or is taken.
    """
    source = next((current().repository / "src").glob("*/__init__.py")).parent
    taken = {source.name, *map(package, model_folders.all_of_them())}
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise ModelFolderError(f"`{name}` cannot be imported: use 1 to 40 of a-z, 0-9 and _.")
    if (
        name in taken
        or importlib.util.find_spec(name)
        or (model_folders.models_folder() / name).exists()
    ):
        raise ModelFolderError(f"`{name}` is taken by a model or a package: choose another name.")
    new = model_folders.models_folder() / name
    shutil.copytree(source, new / "src" / name, ignore=model_files.LEFT_OUT)
    for path in COPIED:
        model_files.copy(path, new)
    importing = re.compile(rf"(?m)^(\s*(?:from|import) ){source.name}\b")
    for file in new.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(importing.sub(rf"\g<1>{name}", text), encoding="utf-8")
    model_files.write(new)
    return new


def listed(only: str = "") -> list[dict[str, str]]:
    """Give each model's name in the registry and its folder, for the CI; the first one is at `.`.

    Raises:
        ModelFolderError: there is no model of that name.
    """
    known = {project_name(home): folder for folder, home in model_folders.folders().items()}
    if only and only not in known:
        raise ModelFolderError(f"There is no model {only} here, but {', '.join(known)}.")
    return [
        {"model": name, "folder": folder} for name, folder in known.items() if only in ("", name)
    ]


def matrix() -> dict[str, dict[str, str]]:
    """Give the variables of each model's job at Azure, by a name that may be in a job's."""
    return {
        re.sub(r"\W", "_", one["model"]): {"MODEL": one["model"], "POE_PROJECT_DIR": one["folder"]}
        for one in listed()
    }


def each(verb: list[str]) -> int:
    """Run a verb for every model, even if it fails for some; return the exit code."""
    failed = []
    for home in model_folders.folders().values():
        print(f"{project_name(home)}:", flush=True)
        if subprocess.run(_poe(home, *verb), cwd=home, check=False).returncode != 0:
            failed.append(project_name(home))
    if failed:
        print(f"`poe {' '.join(verb)}` failed for {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _poe(home: Path, *verb: str) -> list[str]:
    # This environment as it is: `uv run` would first make one for the folder it is called in.
    poe = [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
    return [*poe, "--directory", str(home), *verb]


def check() -> int:
    """Run every other model's tests; return the exit code."""
    for path in model_files.outdated():  # after a climb, which leaves what is in models/ alone
        print(f"{shown(path)} is not of this rung: `uv run poe models` writes it.", file=sys.stderr)
    failed = [home for home in model_folders.all_of_them() if not _holds(home)]
    for home in failed:
        print(f"{shown(home)} does not hold; what is wrong is above.", file=sys.stderr)
    return 1 if failed else 0


def _holds(home: Path) -> bool:
    print(f"{shown(home)}:", flush=True)
    commands = [_poe(home, "test")]
    for addon in addons.active().values():
        if (home / addon.path).exists():
            checks = (verb.split() for verb in addon.checks)
            commands += [[sys.executable, "-m", "rung_ops", *words] for words in checks]
    if importlib.util.find_spec("mypy"):  # from rung 1 on
        commands.append([sys.executable, "-m", "mypy", "src"])
    return not any(
        [subprocess.run(command, cwd=home, check=False).returncode for command in commands]
    )


def main(arguments: list[str] | None = None) -> int:
    """List, add or check models; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe models", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help="of a model to add")
    parser.add_argument(
        "--check", action="store_true", help="run each one's tests, check its types"
    )
    parser.add_argument("--json", action="store_true", help="list them as the CI reads it")
    parser.add_argument("--azure", action="store_true", help="list them as a matrix of Azure's")
    parser.add_argument("--only", default="", metavar="MODEL", help="with --json: this one")
    parser.add_argument("--each", nargs="+", metavar="VERB", help="run a verb for each model")
    options = parser.parse_args(arguments)
    if options.check:
        return check()
    if options.each:
        return each(options.each)
    try:
        if options.json:
            print(json.dumps(listed(options.only)))
            return 0
        if options.azure:
            print(json.dumps(matrix()))
            return 0
        if options.name:
            print(f"{shown(add(options.name))} is a copy of the first model: make it your own.")
        model_files.write_list()
        print(f"{project_name(current().repository)}: src/, `uv run poe ...` typed here")
        for home in model_folders.all_of_them():
            brought = model_files.write(home)
            print(f"{project_name(home)}: {shown(home)}/, typed there ({package(home)})")
            for path in brought:
                print(f"  {shown(path)} is a copy of the first model's: make it true of this one")
    except ModelFolderError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
