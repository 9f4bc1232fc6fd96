"""Create the copy of the project that a replay runs in, and run verbs in it; nothing outside is changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.contract import raw_file
from rung_ops.errors import OpsError
from rung_ops.project import active_addons, current
from rung_ops.release import state
from rung_ops.settings import override
from rung_ops.system import files, git, key_names
from rung_ops.system.processes import poe
from rung_ops.verbs import ALSO_SHARED


def copy_folder() -> Path:
    """Return the folder of the copy that a replay runs in."""
    return current().root / ".replay"


FIRST = "data/sample/first.parquet"
PUBLIC_KEY = "release.pub"
NOT_DATA = {".md", ".py", ".txt"}  # suffixes of files in data/ that are not data


GIT = {
    "user.name": "replay",
    "user.email": "replay@localhost",
    "commit.gpgsign": "false",
    "core.hooksPath": os.devnull,
}

# Environment variables that would make a program use files or servers outside the copy.
OUTSIDE = {
    *"RELEASES LOGS OUTCOMES AUTOPILOT_PUSH RELEASE_KEY SERVICE_ENVIRONMENT SERVICE_URL".split(),
    *"MLFLOW_TRACKING_URI MLFLOW_REGISTRY_URI MLFLOW_EXPERIMENT_NAME TRACKING_LOCAL_ONLY".split(),
    *"MLFLOW_EXPERIMENT_ID MLFLOW_RUN_ID DVC_ROOT".split(),
    *key_names.ALL,
}

# Files of the replay in the copy, which the autopilot must not see as uncommitted changes.
IGNORED = ("dated/", "service.log", "verbs.log", "clock", "bytecode/")

# A remote of the copy's own, so that collected data are not pushed to the team's remote.
DVC = """[core]
    remote = replay
['remote "replay"']
    url = ../dvc_remote
[cache]
    dir = cache
"""

# Settings that are replaced: a replay looks at a month at a time, and shows no page of the monitor.
# A project may lack the file.
SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "ops/monitor.toml": {"window": {"days": 31}, "outcomes": {"score_days": False}}
}


def make(first: pl.DataFrame, url: str) -> Path:
    """Create the copy, with rows as its sample and its service at an address; delete an earlier one."""
    if current().root != current().repository:
        raise OpsError(
            "A replay runs the repository's first model. Run the command in the repository's "
            f"top folder, not in {current().root.name}."
        )
    copy = copy_folder()
    shutil.rmtree(copy, ignore_errors=True)
    listed = _git(current().root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (source := current().root / name).is_file() and _is_copied(name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name)
    (copy / FIRST).parent.mkdir(parents=True, exist_ok=True)
    raw_file.write_rows(first, copy / FIRST)
    (copy / ".dvc").mkdir(exist_ok=True)
    (copy / ".dvc/config.local").write_text(DVC, encoding="utf-8")
    for name, tables in SETTINGS.items():
        (copy / name).touch()
        override(copy / name, tables)
    override(copy / "ops/autopilot.toml", {"service": {"url": url}})
    if person := stand_in():
        person.prepare(copy)
    _git(copy, "init", "--quiet", "--initial-branch", "replay")
    for key, value in GIT.items():
        _git(copy, "config", key, value)
    excluded = "".join(f"/{name}\n" for name in IGNORED)
    (copy / ".git/info/exclude").write_text(excluded, encoding="utf-8")
    commit("Start of the replay")
    return copy


def stand_in() -> Any:
    """Return the module of an add-on that does what a person does otherwise; None without one."""
    return next((module for _, module in active_addons.targets("stand_in")), None)


def commit(message: str) -> None:
    """Commit all files of the copy that git does not ignore."""
    _git(copy_folder(), "add", "--all")
    _git(copy_folder(), "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)


# Verbs that a replay runs in one process, beside those that run code of the project: most of each is the
# import of its libraries. The keys that they find are the copy's own.
SHARED = ("keys", "monitor", "gate", "release", "deploy", "rollback")


def environment() -> dict[str, str]:
    """Return the environment for the copy's programs: the installed packages, the copy's code."""
    kept = {name: value for name, value in git.variables().items() if name not in OUTSIDE}
    if kept.pop("PYTHONDONTWRITEBYTECODE", None):
        # Otherwise each of some hundred programs compiles all that it imports, for seconds.
        kept["PYTHONPYCACHEPREFIX"] = str(copy_folder() / "bytecode")
    executables = str(Path(sys.executable).parent)
    code = [str(copy_folder() / "src"), *(str(path.parent) for path in _sources())]
    code += [kept["PYTHONPATH"]] if "PYTHONPATH" in kept else []
    return kept | {
        "PATH": f"{executables}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(code),
        state.CLOCK: str(copy_folder() / "clock"),
        ALSO_SHARED: " ".join(SHARED),
    }


def set_clock(now: datetime) -> None:
    """Set the time that trials in the copy count, to that of a row."""
    files.write(copy_folder() / "clock", f"{now.timestamp()}".encode())


def _sources() -> list[Path]:
    """List the packages of an ejected library: its own in machinery/, those of add-ons a folder deeper."""
    folder = copy_folder()
    packages = (*folder.glob("machinery/rung_*"), *folder.glob("machinery/*/rung_*"))
    return sorted(path for path in packages if (path / "__init__.py").is_file())


def _is_copied(name: str) -> bool:
    """Return whether a file is copied: not the data, pipeline results and team's settings."""
    path = Path(name)
    if path.is_relative_to("data"):
        return path.suffix in NOT_DATA or path.name == ".gitkeep"
    # Without ops/tracking.toml, runs are recorded locally instead of at the team's server. Without
    # the public keys, the copy makes pairs of its own.
    keys = {key for addon in active_addons.active().values() for key in addon.keys}
    return path.name != "dvc.lock" and name not in {PUBLIC_KEY, *keys, "ops/tracking.toml"}


def _git(folder: Path, *arguments: str) -> str:
    try:
        return git.output(folder, *arguments, environment=environment())
    except git.GitError as error:
        raise OpsError(f"`git {' '.join(arguments[:4])}` failed in {folder}: {error}") from error


SHOWN = 30  # lines of output in the message of a failed verb
LOGS = "dated"  # folder of the prediction log that the monitor and the autopilot read


def run_verb(*words: str, allowed: Sequence[int] = (0,)) -> str:
    """Run a verb in the copy, and return its output."""
    done = subprocess.run(
        poe(*words, directory=copy_folder()),
        cwd=copy_folder(),
        env=environment() | {"LOGS": str(copy_folder() / LOGS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    with (copy_folder() / "verbs.log").open("a", encoding="utf-8") as log:
        log.write(f"$ poe {' '.join(words)}\n{done.stdout}\n")
    if done.returncode not in allowed:
        last = "".join(f"  {line}\n" for line in done.stdout.splitlines()[-SHOWN:])
        raise OpsError(
            f"`poe {' '.join(words)}` ended with exit code {done.returncode} in "
            f"{copy_folder()}:\n{last}"
        )
    return done.stdout
