"""What Rung keeps in the folder of each further model: tasks, stages, and what git passes over."""

import re
import shutil
from pathlib import Path

from rung_ops import addons
from rung_ops.project import current, model_folders
from rung_ops.project.paths import project_name

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
# Where GitLab's jobs read which models there are; other vendors' jobs ask `poe models --json`.


def gitlab_file() -> Path:
    """Return the path of the list of models that GitLab reads."""
    return current().repository / ".gitlab/ci/models.yml"


FIRST_PORT = 8000  # of the service of the repository's own model


def kept(home: Path) -> dict[Path, str]:
    """Give the text of each file that Rung keeps in a model's folder."""
    texts = {home / ".gitignore": IGNORED, home / TASKS_FILE: TASKS % _port(home)}
    incoming = "data/incoming/README.md"
    if (current().repository / incoming).is_file():
        texts[home / incoming] = (current().repository / incoming).read_text(encoding="utf-8")
    of_addons = [name for addon in addons.active().values() for name in addon.stages]
    for name in ("dvc.yaml", *of_addons):
        if (current().repository / name).is_file():
            text = (current().repository / name).read_text(encoding="utf-8")
            # The stages are the same; only what they share is two folders up.
            text = re.sub(r"(?m)^( +- )(vendor|machinery|pipeline/)", r"\1../../\2", text)
            texts[home / name] = text.replace("python pipeline/", "python ../../pipeline/")
    return texts


def in_ci(text: str) -> str:
    """Name all models in the list that GitLab's jobs read; the rest of it is as it was."""
    named = ", ".join(model_folders.folders())
    return re.sub(r"(?m)^( +- MODEL: )\[.*\]$", rf"\g<1>[{named}]", text)


def _port(home: Path) -> int:
    """Find the port of a model's service: the one it has, or else the next that none has."""
    ports_of = {each: _ports(each) for each in (*model_folders.all_of_them(), home)}
    if ports_of[home]:
        return ports_of[home][0]
    return 1 + max([FIRST_PORT, *(port for ports in ports_of.values() for port in ports)])


def _ports(home: Path) -> list[int]:
    tasks = home / TASKS_FILE
    text = tasks.read_text(encoding="utf-8") if tasks.is_file() else ""
    return [int(port) for port in re.findall(r'(?m)^default = "(\d+)"$', text)]


def outdated() -> list[Path]:
    """List the kept files that are missing, or say something else than they should."""
    wanted = {p: text for home in model_folders.all_of_them() for p, text in kept(home).items()}
    if gitlab_file().is_file():
        wanted[gitlab_file()] = in_ci(gitlab_file().read_text(encoding="utf-8"))
    return [
        path
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write(home: Path) -> list[Path]:
    """Write what Rung keeps in a model's folder, and bring documents that it does not have.

    Returns:
        The documents that were brought: copies of the first model's, to be made true.
    """
    for path, text in kept(home).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    brought = [home / name for name in _documents() if copy(name, home)]
    return [path for path in brought if path.suffix != ".json"]  # schemas say nothing of a model


def write_list() -> None:
    """Write the list of models that GitLab's jobs read, where there is one."""
    if gitlab_file().is_file():
        text = in_ci(gitlab_file().read_text(encoding="utf-8"))
        gitlab_file().write_text(text, encoding="utf-8", newline="\n")


def _documents() -> list[str]:
    """List the documents that each model has for itself, as far as the first one has them."""
    of_addons = [name for _, names in addons.targets("documents") for name in names()]
    return [name for name in (*DOCUMENTS, *of_addons) if (current().repository / name).is_file()]


def copy(name: str, home: Path) -> bool:
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
