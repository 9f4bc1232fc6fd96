"""The copy of the project in which a replay takes place; nothing outside it is touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl

from rung_ops.project.paths import REPOSITORY, ROOT
from rung_ops.replay.overrides import override

PLACE = ROOT / ".replay"
FIRST = "data/sample/first.parquet"
BESIDE = {".md", ".py", ".txt"}  # what stands beside the data and is none


class NoCopy(Exception):
    """The project cannot be copied; the message says why."""


IDENTITY = {"name": "replay", "email": "replay@localhost"}

# What would lead a program out of the copy.
OUTSIDE = {
    *("RELEASES", "LOGS", "OUTCOMES", "AUTOPILOT_PUSH", "RELEASE_KEY", "RELEASE_PRIVATE_KEY"),
    *("AUDIT_PRIVATE_KEY", "OPERATOR_TOKEN", "SERVICE_ENVIRONMENT", "SERVICE_URL"),
    *(
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "TRACKING_LOCAL_ONLY",
    ),
    *("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "DVC_ROOT"),
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),
}

# What a replay writes into the copy, and the autopilot must not take for somebody's changes.
ASIDE = ("dated/", "service.log", "verbs.log")

# The copy's own remote: what is collected must not reach the team's.
DVC = """[core]
    remote = replay
['remote "replay"']
    url = ../dvc_remote
[cache]
    dir = cache
"""

# Settings that count the requests or the days of a real service. A replay sends a month in
# seconds, and only the requests that the sample has.
INSTEAD: dict[str, dict[str, dict[str, object]]] = {
    "ops/rollout.toml": {
        "shadow": {"share": 1.0, "min_rows": 300, "min_seconds": 0},
        "canary": {"steps": [0.1, 0.5, 1.0], "min_requests": 100, "min_seconds": 0},
    },
    "ops/monitor.toml": {"window": {"days": 31}},
}


def make(first: pl.DataFrame, url: str) -> Path:
    """Make the copy, in the place of an earlier one.

    Args:
        first: rows that stand for data/sample.
        url: of the service that the replay will start.

    Raises:
        NoCopy: git failed.
    """
    if ROOT != REPOSITORY:
        raise NoCopy(
            "The replay works on a copy of the whole repository, and on its first model: type it "
            f"at the top, not in {ROOT.name}."
        )
    shutil.rmtree(PLACE, ignore_errors=True)
    listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and _wanted(name):
            (PLACE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, PLACE / name)
    (PLACE / FIRST).parent.mkdir(parents=True, exist_ok=True)
    first.write_parquet(PLACE / FIRST)
    (PLACE / ".dvc").mkdir(exist_ok=True)
    (PLACE / ".dvc/config.local").write_text(DVC, encoding="utf-8")
    for name, tables in INSTEAD.items():
        if (PLACE / name).is_file():
            override(PLACE / name, tables)
    override(PLACE / "ops/autopilot.toml", {"service": {"url": url}})
    _git(PLACE, "init", "--quiet", "--initial-branch", "replay")
    for key, value in IDENTITY.items():
        _git(PLACE, "config", f"user.{key}", value)
    _git(PLACE, "config", "commit.gpgsign", "false")
    (PLACE / ".git/info/exclude").write_text("".join(f"/{name}\n" for name in ASIDE))
    _git(PLACE, "config", "core.hooksPath", os.devnull)
    commit("Start of the replay")
    return PLACE


def commit(message: str) -> None:
    """Commit everything in the copy that git does not ignore."""
    _git(PLACE, "add", "--all")
    _git(PLACE, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)


def environment() -> dict[str, str]:
    """Return the environment for the copy's programs: the installed packages, the copy's code.

    An ejected project has the library as source in machinery/; the copy then runs its own.
    """
    kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    beside = str(Path(sys.executable).parent)
    code = [str(PLACE / "src")]
    if (PLACE / "machinery/rung_ops").is_dir():
        code.append(str(PLACE / "machinery"))
    if "PYTHONPATH" in kept:
        code.append(kept["PYTHONPATH"])
    return kept | {
        "PATH": f"{beside}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(code),
    }


def _wanted(name: str) -> bool:
    """Leave out the data, what the pipeline made of it, and the key of the team's releases."""
    path = Path(name)
    if path.is_relative_to("data"):
        return path.suffix in BESIDE or path.name == ".gitkeep"
    # Its runs must not reach the team's server either.
    return path.name != "dvc.lock" and name not in ("release.pub", "ops/tracking.toml")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoCopy(f"`git {' '.join(arguments[:4])}` failed in {folder}: {done.stderr.strip()}")
    return done.stdout
