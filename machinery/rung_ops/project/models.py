"""List the models of this repository, add one, or check them all.

    uv run poe models          lists them, and writes what this rung keeps in each
    uv run poe models NAME     adds one, which begins as a copy of the first
    uv run poe models --each pipeline     runs a verb for each, the first one included

The jobs of the CI that are about one model run for each that `--json` prints.
"""

import importlib.util
import json
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.project import active_addons, current, paths
from rung_ops.project.paths import package_of, project_name, shown
from rung_ops.system.processes import poe

# What a new model begins with.
COPIED = ("data/sample", "notebooks", "params.toml", "tests")
# What each model says of itself. These come with the rungs, so `uv run poe models` brings those
# that a model does not have yet, as the first model has them.
DOCUMENTS = [f"docs/{name}.md" for name in ("use_case", "model_card", "datasheet", "privacy")]
LEFT_OUT = shutil.ignore_patterns("__pycache__")
IGNORED = """\
# What the model makes, as in the repository's own .gitignore
/data/ingested/
/data/*.parquet
/data/outcomes/
/model/
/reports/
/dvc_plots/
/mlflow.db*
/mlruns/
/releases/
/logs/
/.keys/
"""
TASKS = """\
# The verbs of ops/tasks.toml, for the model in this folder: `uv run poe train`, typed here.
# Rung keeps this file; `uv run poe models`, typed at the top, rewrites it.
include = ["../../ops/tasks.toml"]
envfile = { optional = "../../.env" }

[env.SERVICE_PORT]
default = "%d"

[tasks.test]
help = "run the tests of this model"
cmd = "pytest tests"

[tasks.check]
help = "lint and tests of this model; typed at the top it is everything"
sequence = ["lint", "test"]
ignore_fail = "return_non_zero" # so that one run shows all that fails
"""
TASKS_FILE = "poe_tasks.toml"
DVC = ("dvc.yaml", "dvc.lock", ".gitignore")  # files of a folder with stages
FIRST_PORT = 8000  # of the service of the repository's own model


def add(name: str) -> Path:
    """Add a model that begins as a copy of the repository's own."""
    source = next((current().repository / "src").glob("*/__init__.py")).parent
    taken = {source.name, *map(package_of, paths.other_models())}
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise StageError(f"`{name}` cannot be imported: use 1 to 40 of a-z, 0-9 and _.")
    new = paths.models_folder() / name
    if name in taken or importlib.util.find_spec(name) or new.exists():
        raise StageError(f"`{name}` is taken by a model or a package: choose another name.")
    shutil.copytree(source, new / "src" / name, ignore=LEFT_OUT)
    for path in COPIED:
        copy_missing(path, new)
    importing = re.compile(rf"(?m)^(\s*(?:from|import) ){source.name}\b")
    for file in new.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(importing.sub(rf"\g<1>{name}", text), encoding="utf-8")
    write_kept(new)
    return new


def listed(only: str = "") -> list[dict[str, str]]:
    """Give each model's name in the registry and its folder, for the CI; that of the first is `.`."""
    known = {project_name(home): folder for folder, home in paths.model_folders().items()}
    if only and only not in known:
        raise StageError(f"There is no model {only} here, but {', '.join(known)}.")
    return [
        {"model": name, "folder": folder} for name, folder in known.items() if only in ("", name)
    ]


def matrix() -> dict[str, dict[str, str]]:
    """Give the variables of each model's job at Azure, by a name that may be in a job's."""
    return {
        re.sub(r"\W", "_", one["model"]): {"MODEL": one["model"], "POE_PROJECT_DIR": one["folder"]}
        for one in listed()
    }


def each(words: list[str]) -> int:
    """Run a verb for every model, even if it fails for some; return the exit code."""
    failed = []
    for home in paths.model_folders().values():
        print(f"{project_name(home)}:", flush=True)
        if subprocess.run(poe(*words, directory=home), cwd=home, check=False).returncode != 0:
            failed.append(project_name(home))
    if failed:
        print(f"`poe {' '.join(words)}` failed for {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def check_all() -> int:
    """Run every other model's tests; return the exit code."""
    for path in outdated():  # after a climb, which leaves what is in models/ alone
        print(f"{shown(path)} is not of this rung: `uv run poe models` writes it.", file=sys.stderr)
    failed = [home for home in paths.other_models() if not _holds(home)]
    for home in failed:
        print(f"{shown(home)} does not hold; what is wrong is above.", file=sys.stderr)
    return 1 if failed else 0


def _holds(home: Path) -> bool:
    print(f"{shown(home)}:", flush=True)
    commands = [poe("test", directory=home)]
    for name, addon in active_addons.active().items():
        if not addon.checks or not (home / addon.path).exists():
            continue
        of_stages = {home / Path(stage).with_name(file) for stage in addon.stages for file in DVC}
        if not addon.documents or not of_stages.issuperset((home / addon.path).rglob("*")):
            checks = (verb.split() for verb in addon.checks)
            commands += [[sys.executable, "-m", "rung_ops", *words] for words in checks]
        else:  # as in a new project
            print(f"It has no documents of {name} yet: `uv run poe models` brings drafts of them.")
    if importlib.util.find_spec("mypy"):  # from rung 1 on
        commands.append([sys.executable, "-m", "mypy", "src"])
    return not any(
        [subprocess.run(command, cwd=home, check=False).returncode for command in commands]
    )


def gitlab_file() -> Path:
    """Return the path of the list of models that GitLab reads; other vendors' jobs ask `--json`."""
    return current().repository / ".gitlab/ci/models.yml"


def kept(home: Path) -> dict[Path, str]:
    """Give the text of each file that Rung keeps in a model's folder."""
    texts = {home / ".gitignore": IGNORED, home / TASKS_FILE: TASKS % _port(home)}
    incoming = "data/incoming/README.md"
    if (current().repository / incoming).is_file():
        texts[home / incoming] = (current().repository / incoming).read_text(encoding="utf-8")
    of_addons = [name for addon in active_addons.active().values() for name in addon.stages]
    for name in ("dvc.yaml", *of_addons):
        if (current().repository / name).is_file():
            text = (current().repository / name).read_text(encoding="utf-8")
            # The stages are the same; only what they share is two folders up.
            text = re.sub(r"(?m)^( +- )(vendor|machinery)", r"\1../../\2", text)
            texts[home / name] = text.replace(" pipeline/", " ../../pipeline/")
    return texts


def _list_for_gitlab() -> dict[Path, str]:
    """Name all models in the list that GitLab's jobs read, where there is one; keep the rest."""
    path = gitlab_file()
    if not path.is_file():
        return {}
    named, text = ", ".join(paths.model_folders()), path.read_text(encoding="utf-8")
    return {path: re.sub(r"(?m)^( +- MODEL: )\[.*\]$", rf"\g<1>[{named}]", text)}


def _port(home: Path) -> int:
    """Find the port of a model's service: the one it has, or else the next that none has."""
    ports = {}
    for each in (*paths.other_models(), home):
        text = (each / TASKS_FILE).read_text("utf-8") if (each / TASKS_FILE).is_file() else ""
        if found := re.search(r'(?m)^default = "(\d+)"$', text):
            ports[each] = int(found[1])
    return ports.get(home) or 1 + max([FIRST_PORT, *ports.values()])


def outdated() -> list[Path]:
    """List the kept files that are missing, or say something else than they should."""
    wanted = {p: text for home in paths.other_models() for p, text in kept(home).items()}
    wanted |= _list_for_gitlab()
    return [
        path
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write_kept(home: Path) -> list[Path]:
    """Write what Rung keeps in a model's folder; return the documents that it lacked and now has.

    They are copies of the first model's, to be made true.
    """
    for path, text in kept(home).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    of_addons = [name for _, names in active_addons.targets("documents") for name in names()]
    first = current().repository
    named = [name for name in (*DOCUMENTS, *of_addons) if (first / name).is_file()]
    brought = [home / name for name in named if copy_missing(name, home)]
    return [path for path in brought if path.suffix != ".json"]  # schemas say nothing of a model


def write_list() -> None:
    """Write the list of models that GitLab's jobs read, where there is one."""
    for path, text in _list_for_gitlab().items():
        path.write_text(text, encoding="utf-8", newline="\n")


def copy_missing(name: str, home: Path) -> bool:
    """Copy a file or a folder of the first model where the other has none; tell whether it did.

    What names the first model in a record names the other in its copy.
    """
    ours, theirs = current().repository / name, home / name
    if not ours.exists() or theirs.exists():
        return False
    theirs.parent.mkdir(parents=True, exist_ok=True)
    if ours.is_dir():
        shutil.copytree(ours, theirs, ignore=LEFT_OUT)
    else:
        shutil.copy2(ours, theirs)
    if theirs.suffix == ".yaml":
        text, first = theirs.read_text(encoding="utf-8"), project_name(current().repository)
        named = re.sub(rf'(?m)^(.*\bname: ["\']?){first}\b', rf"\g<1>{project_name(home)}", text)
        theirs.write_text(named, encoding="utf-8", newline="\n")
    return True


@verb("poe models")
@click.argument("words", nargs=-1, metavar="[NAME]")
@click.option("--check", is_flag=True, help="run each one's tests, check its types")
@click.option("--json", "as_json", is_flag=True, help="list them as the CI reads it")
@click.option("--azure", is_flag=True, help="list them as a matrix of Azure's")
@click.option("--only", default="", metavar="MODEL", help="with --json: this one")
@click.option("--each", "for_each", is_flag=True, help="run the verb that follows for each model")
def main(
    words: tuple[str, ...], check: bool, as_json: bool, azure: bool, only: str, for_each: bool
) -> int:
    """List the models of this repository, add the one that is NAMEd, or check them all."""
    if check:
        return check_all()
    if for_each:
        if not words:
            raise click.UsageError("--each needs a verb, such as `--each pipeline`.")
        return each(list(words))
    if len(words) > 1:
        raise click.UsageError(f"One model at a time; got {' '.join(words)}.")
    if as_json:
        print(json.dumps(listed(only)))
        return 0
    if azure:
        print(json.dumps(matrix()))
        return 0
    if words:
        print(f"{shown(add(words[0]))} is a copy of the first model: make it your own.")
    write_list()
    print(f"{project_name(current().repository)}: src/, `uv run poe ...` typed here")
    for home in paths.other_models():
        brought = write_kept(home)
        print(f"{project_name(home)}: {shown(home)}/, typed there ({package_of(home)})")
        for path in brought:
            print(f"  {shown(path)} is a copy of the first model's: make it true of this one")
    return 0
