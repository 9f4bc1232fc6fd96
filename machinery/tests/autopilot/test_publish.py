"""Commits reach the branch that AUTOPILOT_PUSH names, as they are, or the pass says why not."""

from pathlib import Path

import pytest

from machinery.tests.autopilot.repository import git
from machinery.tests.conftest import Patch
from machinery.tests.projects import moved
from rung_ops.autopilot import commits, journal, passes
from rung_ops.errors import StageError
from rung_ops.tracking import last_run

REMOTE = """[core]
    remote = local
['remote "local"']
    url = ../dvc_remote
"""


def write(folder: Path, name: str, text: str) -> str:
    """Commit a file; return the commit."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", name)
    return git(folder, "rev-parse", "HEAD")


def clone(origin: Path, directory: Path) -> Path:
    git(origin.parent, "clone", "--quiet", str(origin), str(directory))
    return directory


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository that others push to."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", "origin.git")
    first = clone(tmp_path / "origin.git", tmp_path / "first")
    write(first, "dvc.lock", "before\n")
    git(first, "push", "--quiet", "origin", "HEAD:main")
    return tmp_path / "origin.git"


@pytest.fixture
def checkout(origin: Path, tmp_path: Path, monkeypatch: Patch) -> Path:
    """A fresh checkout, in which the autopilot works."""
    directory = clone(origin, tmp_path / "checkout")
    moved(monkeypatch, repository=directory, root=directory, incoming=directory / "data/incoming")
    monkeypatch.setenv(commits.VARIABLE, "origin main")
    return directory


def test_commits_arrive_and_a_second_time_nothing_happens(origin: Path, checkout: Path) -> None:
    made = write(checkout, "dvc.lock", "after\n")

    assert commits.publish() == commits.publish() == "origin main"
    assert git(origin, "rev-parse", "main") == made


def test_what_others_pushed_meanwhile_is_merged_and_commits_stay_what_they_are(
    origin: Path, checkout: Path, tmp_path: Path
) -> None:
    theirs = write(tmp_path / "first", "README.md", "new\n")
    git(tmp_path / "first", "push", "--quiet", "origin", "HEAD:main")
    made = write(checkout, "dvc.lock", "after\n")

    commits.publish()

    head = git(origin, "rev-parse", "main")
    assert {made, theirs} <= set(git(origin, "rev-list", head).split())
    assert commits.contains(made)


def test_what_contradicts_is_left_to_a_person(origin: Path, checkout: Path, tmp_path: Path) -> None:
    write(tmp_path / "first", "dvc.lock", "theirs\n")
    git(tmp_path / "first", "push", "--quiet", "origin", "HEAD:main")
    made = write(checkout, "dvc.lock", "ours\n")

    with pytest.raises(StageError, match="Merge by hand and push"):
        commits.publish()

    assert git(checkout, "rev-parse", "HEAD") == made
    assert git(checkout, "status", "--porcelain") == ""


def test_without_a_place_commits_stay_here(
    origin: Path, checkout: Path, monkeypatch: Patch
) -> None:
    monkeypatch.delenv(commits.VARIABLE)
    made = write(checkout, "dvc.lock", "after\n")

    assert commits.publish() is None
    assert git(origin, "rev-parse", "main") != made


def test_half_a_place_is_refused(checkout: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv(commits.VARIABLE, "main")

    with pytest.raises(StageError, match="expected remote and branch"):
        commits.publish()


@pytest.mark.parametrize("folder", ["x", "a folder/" + 5 * "of a name longer than a line/"])
def test_rows_that_others_could_not_fetch_are_not_published(
    origin: Path, checkout: Path, folder: str
) -> None:
    remotes = f"['remote \"other\"']\n    url = s3://bucket\n['remote \"local\"']\n    url = ../{folder}\n"
    write(checkout, ".dvc/config", f"[core]\n    remote = local\n{remotes}")
    made = write(checkout, "data/incoming/served-2026-01-01-2026-01-31.parquet.dvc", "outs:\n")

    with pytest.raises(StageError, match="a folder of this checkout"):
        commits.publish()

    assert git(origin, "rev-parse", "main") != made


@pytest.mark.parametrize(
    ("step", "detail", "lacks"),
    [
        ("commit rows", {"commit": "0123456789" * 4}, "its commits"),
        ("collect", {"file": "data/incoming/served-1.parquet"}, "the rows"),
        ("train", {"version": "2", "run_id": "a"}, "the version"),
    ],
)
def test_a_pass_goes_on_where_its_work_is(
    checkout: Path, monkeypatch: Patch, step: str, detail: dict[str, object], lacks: str
) -> None:
    monkeypatch.setattr(last_run, "run_file", lambda: checkout / "run.json")
    record = {"steps": [{"step": step, "ended": journal.clock(), "detail": detail}]}

    assert str(passes._missing(record)).startswith(lacks)

    published = {"step": "publish", "ended": journal.clock(), "detail": {"pushed to": "x"}}
    if step == "train":
        assert passes._missing({"steps": [*record["steps"], published]}) is None
        (checkout / "run.json").write_text('{"version": "2", "run_id": "a"}')
    elif step == "collect":
        write(checkout, f"{detail['file']}.dvc", "outs:\n")
    else:
        detail["commit"] = git(checkout, "rev-parse", "HEAD")

    assert passes._missing(record) is None
