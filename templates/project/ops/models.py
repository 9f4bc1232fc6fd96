"""List the models of this repository, add one, or check them all.

    uv run poe models          lists them, and writes what this rung keeps in each
    uv run poe models NAME     adds one, which begins as a copy of the first

Rung keeps this file; change it through src/ and params.toml.
"""

import argparse
import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ops import homes, model_files
from ops.homes import BadModel, package
from ops.settings import REPOSITORY, project_name, shown

# What a new model begins with.
COPIED = ("data/sample", "notebooks", "params.toml", "tests")


def add(name: str) -> Path:
    """Add a model that begins as a copy of the repository's own.

    Raises:
        BadModel: the name cannot be a package's, or is taken.
    """
    source = next((REPOSITORY / "src").glob("*/__init__.py")).parent
    taken = {source.name, *map(package, homes.all_of_them())}
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise BadModel(f"`{name}` cannot be imported: use 1 to 40 of a-z, 0-9 and _.")
    if name in taken or importlib.util.find_spec(name) or (homes.MODELS / name).exists():
        raise BadModel(f"`{name}` is taken by a model or a package: choose another name.")
    new = homes.MODELS / name
    shutil.copytree(source, new / "src" / name, ignore=model_files.LEFT_OUT)
    for path in COPIED:
        model_files.copy(path, new)
    importing = re.compile(rf"(?m)^(\s*(?:from|import) ){source.name}\b")
    for file in new.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(importing.sub(rf"\g<1>{name}", text), encoding="utf-8")
    model_files.write(new)
    return new


def check() -> int:
    """Run every other model's tests; return the exit code."""
    for path in model_files.outdated():  # after a climb, which leaves what is in models/ alone
        print(f"{shown(path)} is not of this rung: `uv run poe models` writes it.", file=sys.stderr)
    failed = [home for home in homes.all_of_them() if not _holds(home)]
    for home in failed:
        print(f"{shown(home)} does not hold; what is wrong stands above.", file=sys.stderr)
    return 1 if failed else 0


def _holds(home: Path) -> bool:
    print(f"{shown(home)}:", flush=True)
    poe = ["poethepoet", "--quiet", "--executor", "simple", "--directory", str(home), "test"]
    commands = [poe]
    if (home / "governance/model_inventory.yaml").exists():
        commands.append(["ops.records"])
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
        print(f"{project_name(REPOSITORY)}: src/, `uv run poe ...` typed here")
        for home in homes.all_of_them():
            brought = model_files.write(home)
            print(f"{project_name(home)}: {shown(home)}/, typed there ({package(home)})")
            for path in brought:
                print(f"  {shown(path)} is a copy of the first model's: make it true of this one")
    except BadModel as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
