"""Create the copy of the project that a replay runs in; nothing outside it is changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl

from rung_ops.contract import row_file
from rung_ops.project.paths import REPOSITORY, ROOT
from rung_ops.replay.overrides import override
from rung_ops.system import key_names

FOLDER = ROOT / ".replay"
FIRST = "data/sample/first.parquet"
PUBLIC_KEYS = ("release.pub", "governance/audit.pub")
NOT_DATA = {".md", ".py", ".txt"}  # suffixes of files in data/ that are not data


class NoCopy(Exception):
    """The project cannot be copied; the message says why."""


NOT_WRITTEN = "Not written: a replay put this sentence in the place of a text of the example."
IDENTITY = {"name": "replay", "email": "replay@localhost"}

# Environment variables that would make a program use files or servers outside the copy.
OUTSIDE = {
    *("RELEASES", "LOGS", "OUTCOMES", "AUTOPILOT_PUSH", "RELEASE_KEY"),
    *("SERVICE_ENVIRONMENT", "SERVICE_URL"),
    *key_names.ALL,
    *(
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "TRACKING_LOCAL_ONLY",
    ),
    *("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "DVC_ROOT"),
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),
}

# Files of the replay in the copy, which the autopilot must not see as uncommitted changes.
IGNORED = ("dated/", "service.log", "verbs.log")

# A remote of the copy's own, so that collected data are not pushed to the team's remote.
DVC = """[core]
    remote = replay
['remote "replay"']
    url = ../dvc_remote
[cache]
    dir = cache
"""

# Settings that are replaced, as they count requests or days of a real service: a replay sends a
# month in seconds, and only as many requests as the sample has rows.
LIMITS = "ops/monitor.toml"  # which a project may lack: each limit has its default
SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "ops/rollout.toml": {
        "shadow": {"share": 1.0, "min_rows": 300, "min_seconds": 0},
        "canary": {"steps": [0.1, 0.5, 1.0], "min_requests": 100, "min_seconds": 0},
    },
    LIMITS: {"window": {"days": 31}},
}


def replaced() -> dict[str, dict[str, dict[str, object]]]:
    """Return those of SETTINGS that count here; LIMITS do without their file, too."""
    return {
        name: tables
        for name, tables in SETTINGS.items()
        if name == LIMITS or (ROOT / name).is_file()
    }


def make(first: pl.DataFrame, url: str) -> Path:
    """Create the copy; an earlier one is deleted.

    Args:
        first: rows that replace data/sample.
        url: of the service that the replay will start.

    Raises:
        NoCopy: this is not the repository's first model, or git failed.
    """
    if ROOT != REPOSITORY:
        raise NoCopy(
            "A replay runs the repository's first model. Run the command in the repository's "
            f"top folder, not in {ROOT.name}."
        )
    shutil.rmtree(FOLDER, ignore_errors=True)
    listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and _is_copied(name):
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, FOLDER / name)
    (FOLDER / FIRST).parent.mkdir(parents=True, exist_ok=True)
    row_file.write(first, FOLDER / FIRST)
    (FOLDER / ".dvc").mkdir(exist_ok=True)
    (FOLDER / ".dvc/config.local").write_text(DVC, encoding="utf-8")
    for name, tables in replaced().items():
        (FOLDER / name).touch()
        override(FOLDER / name, tables)
    override(FOLDER / "ops/autopilot.toml", {"service": {"url": url}})
    if (FOLDER / "governance").is_dir():
        from rung_governance import example_text  # its packages come with governance

        # Promotion refuses the example's text; a replay asks what the rules would do.
        example_text.rewrite(FOLDER, NOT_WRITTEN)
    _git(FOLDER, "init", "--quiet", "--initial-branch", "replay")
    for key, value in IDENTITY.items():
        _git(FOLDER, "config", f"user.{key}", value)
    _git(FOLDER, "config", "commit.gpgsign", "false")
    excluded = "".join(f"/{name}\n" for name in IGNORED)
    (FOLDER / ".git/info/exclude").write_text(excluded, encoding="utf-8")
    _git(FOLDER, "config", "core.hooksPath", os.devnull)
    commit("Start of the replay")
    return FOLDER


def commit(message: str) -> None:
    """Commit all files of the copy that git does not ignore."""
    _git(FOLDER, "add", "--all")
    _git(FOLDER, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)


def environment() -> dict[str, str]:
    """Return the environment for the copy's programs: the installed packages, the copy's code.

    An ejected project has the library as source in machinery/; the copy then runs its own.
    """
    kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    executables = str(Path(sys.executable).parent)
    code = [str(FOLDER / "src")]
    if (FOLDER / "machinery/rung_ops").is_dir():
        code.append(str(FOLDER / "machinery"))
    if "PYTHONPATH" in kept:
        code.append(kept["PYTHONPATH"])
    return kept | {
        "PATH": f"{executables}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(code),
    }


def _is_copied(name: str) -> bool:
    """Return whether a file is copied: not the data, pipeline results and team's settings."""
    path = Path(name)
    if path.is_relative_to("data"):
        return path.suffix in NOT_DATA or path.name == ".gitkeep"
    # Without ops/tracking.toml, runs are recorded locally instead of at the team's server. Without
    # the public keys, the copy makes pairs of its own.
    return path.name != "dvc.lock" and name not in (*PUBLIC_KEYS, "ops/tracking.toml")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise NoCopy(f"`git {' '.join(arguments[:4])}` failed in {folder}: {done.stderr.strip()}")
    return done.stdout
