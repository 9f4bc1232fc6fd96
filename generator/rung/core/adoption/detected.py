"""What an existing repository has that answers no question, but that its adopter should see."""

import re
from dataclasses import dataclass

from rung.core.adoption.existing import Existing

LOCKS = {
    "uv.lock": "uv",
    "poetry.lock": "Poetry",
    "pdm.lock": "PDM",
    "Pipfile.lock": "Pipenv",
    "pixi.lock": "pixi",
    "conda-lock.yml": "conda-lock",
}
PINNED = re.compile(r"^[A-Za-z0-9._\[\]-]+\s*==\s*\d", re.MULTILINE)
TRACKERS = re.compile(r"\b(mlflow|wandb|neptune|clearml|comet_ml|dvclive)\b")
TABLES = ("*.csv", "*.csv.gz", "*.parquet", "*.arrow", "*.jsonl", "*.xlsx")
REQUIREMENTS = ("*requirements*.txt", "requirements/*.txt")
DEPENDENCIES = (
    "pyproject.toml", *REQUIREMENTS, "*environment*.y*ml", "*conda*.y*ml", "env.y*ml", "setup.py",
    "setup.cfg", "Pipfile",
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A fact detected in a repository: its subject, its value, where it was found."""

    about: str
    value: str
    because: str


def all_of(existing: Existing) -> tuple[Fact, ...]:
    """Return the facts about tests, lock, data and tracking."""
    return tests(existing), lock(existing), data(existing), tracking(existing)


def tests(existing: Existing) -> Fact:
    """Say how many files of tests there are, and where."""
    files = existing.like("test_*.py", "*/test_*.py", "*_test.py")
    if not files:
        return Fact("tests", "none", "no test_*.py")
    tops = sorted({path.split("/")[0] if "/" in path else "." for path in files})
    number = "1 file" if len(files) == 1 else f"{len(files)} files"
    return Fact("tests", f"{number} in {', '.join(tops)}", files[0])


def lock(existing: Existing) -> Fact:
    """Say what pins the versions of the packages."""
    for path, tool in LOCKS.items():
        if path in existing.paths:
            return Fact("lock", tool, path)
    for path in existing.like(*REQUIREMENTS):
        if PINNED.search(existing.read(path)):
            return Fact("lock", "pinned requirements", path)
    return Fact("lock", "none", "neither a lock nor pins")


def data(existing: Existing) -> Fact:
    """Say where the data is."""
    if paths := existing.like("*.dvc", "dvc.yaml", ".dvc/config"):
        return Fact("data", "files, versioned with DVC", paths[0])
    if paths := existing.like(*TABLES):
        return Fact("data", "files in git", paths[0])
    return Fact("data", "not here", "no tables and no DVC")


def tracking(existing: Existing) -> Fact:
    """Say which tracker of training runs is a dependency."""
    for path in existing.like(*DEPENDENCIES):
        if match := TRACKERS.search(existing.read(path)):
            return Fact("tracking", match[1], path)
    return Fact("tracking", "none", "no dependency on a tracker")
