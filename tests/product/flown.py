"""Small projects on rung 4 whose production has answered, for the suites of the autopilot."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.product import variants
from tests.product.conftest import made_once, run, search_path

ANSWERED = ROOT / "tests/assets/answered.py"
SAMPLES = ROOT / "templates/project/data/sample"
FLIGHTS, CREDITS = SAMPLES / "flights.parquet", SAMPLES / "german.data"
FEW = 800  # of the 1,000 credits: the others are those that production answers
FEW_FLIGHTS = """
import sys
import polars as pl
rows = pl.read_parquet(sys.argv[1]).filter(pl.col("scheduled") < pl.datetime(2013, 3, 1))
rows.sample(3000, seed=1).sort("scheduled").write_parquet("data/sample/flights.parquet")
"""
# What the gate has to find out is not the subject where rows are few.
LENIENT = [
    ("ops/gate.toml", "margin = 0.0075", "margin = 0.2"),
    ("ops/gate.toml", "max_drop = 0.05", "max_drop = 0.5"),
    # So few rows of a change teach a model that is hardly better than a constant.
    ("ops/autopilot.toml", "choose = true", "choose = false"),
]
# Shares of so small groups move by chance alone.
PLAN = "figure: false_positive_rate, greatest_difference"
GOVERNED = [("governance/change_control_plan.yaml", f"age, {PLAN}: 0.2}}", f"age, {PLAN}: 1}}")]
# As many credits as there are left are a reason to train.
EAGER = [
    ("ops/autopilot.toml", "\nnew_rows = 0\n", "\nnew_rows = 150\n"),
    ("ops/autopilot.toml", "least_new_rows = 400", "least_new_rows = 150"),
]
MOMENT = "2013-06-01T00:00:00+00:00"  # as of which every pass of these tests judges
# Equal in every copy, so that equal passes make equal commits, and so releases of equal names.
DATED = {f"GIT_{role}_DATE": "2013-06-01T00:00:00+00:00" for role in ("AUTHOR", "COMMITTER")}


# Rows are few here, and threads cost more than they bring.
VARIABLES = {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", **DATED}


@dataclass
class Flown:
    """A project with a first release in production, in which commands are typed as a person would."""

    folder: Path
    variables: dict[str, str]

    def copy(self, directory: Path, *, shared: bool = True) -> "Flown":
        """Give a separate project with the same history, and the same environment if it is shared."""
        shutil.copytree(
            self.folder, directory, symlinks=True, ignore=shutil.ignore_patterns(".venv")
        )
        if shared:
            share_environment(self.folder, directory)
        return Flown(directory, self.variables)

    def python(self, *arguments: str | Path, expect: int | None = 0, **more: str) -> str:
        python = self.folder / ".venv/bin/python"
        variables: dict[str, Any] = self.variables | more
        return run(python, *arguments, cwd=self.folder, expect=expect, **variables).stdout

    def poe(self, *arguments: str, expect: int | None = 0, **more: str) -> str:
        return self.python("-m", "poethepoet", "--quiet", *arguments, expect=expect, **more)

    def autopilot(self, *options: str, expect: int | None = 0, **more: str) -> str:
        """Make a pass, or finish the open one; return all that it printed."""
        return self.poe("autopilot", "--now", MOMENT, *options, expect=expect, **more)

    def begin(self, *arguments: str | Path, **more: str) -> "subprocess.Popen[str]":
        """Start the project's Python in a group of processes of its own, and go on."""
        variables = self.variables | more | {"PATH": search_path(self.folder / ".venv/bin")}
        return variants.Project(self.folder).begin(*arguments, **variables)

    def answer(self, first: str, until: str, *options: str, sample: Path = FLIGHTS) -> None:
        self.python(ANSWERED, sample, first, until, *options)

    def git(self, *arguments: str) -> str:
        variables: dict[str, Any] = dict(self.variables)
        return run("git", *arguments, cwd=self.folder, **variables).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def override(self, file: str, before: str, after: str) -> None:
        override(self.folder, (file, before, after))
        self.commit(f"Change {file}")

    def releases(self) -> Path:
        return Path(self.variables.get("RELEASES") or self.folder / "releases")

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.releases() / "production/state.json").read_text()))

    def history(self) -> list[dict[str, Any]]:
        """Read what happened to production, the earliest first.

        The last line can still be where the state keeps it, when the process was killed then.
        """
        lines = (self.releases() / "production/history.jsonl").read_text().splitlines()
        written, last = [json.loads(line) for line in lines], self.state()["entry"]
        return written if last in written else [*written, last]

    def passes(self) -> list[dict[str, Any]]:
        files = (self.releases() / "autopilot/passes").glob("*.json")
        return sorted(
            (json.loads(path.read_text()) for path in files), key=lambda it: it["started"]
        )

    def versions(self) -> list[str]:
        with sqlite3.connect(self.folder / "mlflow.db") as registry:
            result = registry.execute("SELECT version FROM model_versions ORDER BY version")
            return [str(version) for (version,) in result]

    def candidates(self) -> list[str]:
        """List the releases that were made; what is left half made counts."""
        return sorted(
            path.name for path in (self.releases() / "candidates").iterdir() if path.name != ".lock"
        )


def override(folder: Path, *changes: tuple[str, str, str]) -> None:
    """Change lines of files of the user's: the file, what is there, what is to be there."""
    for file, before, after in changes:
        text = (folder / file).read_text()
        assert before in text, f"{file} has no {before!r}"
        (folder / file).write_text(text.replace(before, after, 1))


def take_few_credits(folder: Path) -> None:
    """Leave the credits out that production will answer, and agree on what so few can prove."""
    lines = CREDITS.read_text().splitlines(keepends=True)
    (folder / "data/sample/german.data").write_text("".join(lines[:FEW]))
    override(folder, *GOVERNED)


def share_environment(folder: Path, directory: Path) -> None:
    (directory / ".venv").symlink_to((folder / ".venv").resolve())
    with (directory / ".git/info/exclude").open("a") as exclude:
        exclude.write(".venv\n")  # .gitignore means a folder


@pytest.fixture(scope="session")
def first_release(copier_template: Path) -> Callable[[str], Flown]:
    """Give the project of a game whose first release is in production, approved under governance.

    It is made once and shared: take a copy to change something.
    """

    def made(use_case: str) -> Flown:
        def make(folder: Path) -> Flown:
            return FLY[use_case](copier_template, folder / "project")

        sources = (Path(__file__), Path(variants.__file__))
        folder = made_once(f"first-release-{use_case}", make, *sources)
        return Flown(folder / "project", VARIABLES)

    return made


def fly(template: Path, folder: Path) -> Flown:
    flown = begin(template, folder, "velocity")
    take_off(flown)
    return flown


def take_off(flown: Flown) -> None:
    """Train on few flights of January and February, and put the release to work."""
    flown.python("-c", FEW_FLIGHTS, FLIGHTS)
    _agree(flown)
    flown.poe("gate")
    flown.poe("release")
    flown.poe("deploy", "production")
    assert flown.git("status", "--porcelain") == ""


def fly_governed(template: Path, folder: Path) -> Flown:
    """Make a project on few credits, and put its first release to work once it is validated."""
    flown = begin(template, folder, "governance")
    take_few_credits(folder)
    _agree(flown)
    variants.validate(variants.Project(folder))
    flown.poe("gate")
    flown.poe("release")
    flown.poe("deploy", "production")
    flown.poe("promote", "1")
    assert flown.git("status", "--porcelain") == ""
    return flown


FLY = {"velocity": fly, "governance": fly_governed}


def begin(template: Path, folder: Path, use_case: str, **answers: str) -> Flown:
    variants.start(template, folder, use_case=use_case, level=4, **answers)
    return Flown(folder, VARIABLES)


def _agree(flown: Flown) -> None:
    override(flown.folder, *LENIENT)
    flown.poe("keys")
    flown.commit("Agree on limits, make keys")
    flown.poe("pipeline")
    flown.commit("Train the first version")


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Describe every file below a folder: size, time of its last change, and where a link leads."""
    result = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts or ".venv" in path.parts:
            continue
        if path.is_dir() and not path.is_symlink():
            continue  # its time changes with what Python keeps of its modules
        reported = path.lstat()
        leads = str(path.readlink()) if path.is_symlink() else ""
        result[path.relative_to(folder).as_posix()] = (
            reported.st_size,
            reported.st_mtime_ns,
            leads,
        )
    return result
