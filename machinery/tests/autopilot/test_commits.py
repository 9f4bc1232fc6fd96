"""The autopilot commits only its own files, under its own name."""

from pathlib import Path

import pytest
import yaml

from machinery.tests.autopilot.repository import git
from machinery.tests.projects import moved
from rung_ops.autopilot import commits
from rung_ops.errors import StageError

SERVED = "data/incoming/served-2026-01-01-2026-01-31.parquet.dvc"


@pytest.fixture(params=["", "models/late"], ids=["repository", "folder of a repository"])
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A committed project of two files; a whole repository, or a folder of one."""
    folder = tmp_path / request.param
    (folder / "data/incoming").mkdir(parents=True)
    (folder / "params.toml").write_text("seed = 1\n")
    (folder / "dvc.lock").write_text("before\n")
    (tmp_path / "elsewhere.txt").write_text("x\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Start")
    moved(monkeypatch, repository=folder, root=folder)
    return folder


def write_own(project: Path) -> None:
    (project / "dvc.lock").write_text("after\n")
    (project / SERVED).write_text("outs:\n")
    (project / "data/incoming/.gitignore").write_text("/served.parquet\n")


def test_a_commit_holds_the_autopilots_files_under_its_name(project: Path) -> None:
    write_own(project)

    made = commits.commit("pipeline: train version 2")

    assert made == git(project, "rev-parse", "HEAD")
    assert git(project, "log", "-1", "--format=%an <%ae> %s") == (
        "autopilot <autopilot@localhost> pipeline: train version 2"
    )
    assert sorted(git(project, "show", "--format=", "--name-only", "--relative").split()) == [
        "data/incoming/.gitignore",
        SERVED,
        "dvc.lock",
    ]
    assert git(project, "status", "--porcelain") == ""


def test_what_a_person_has_changed_or_staged_stays_out(project: Path) -> None:
    write_own(project)
    (project / "params.toml").write_text("seed = 2\n")
    git(project, "add", "params.toml")

    commits.commit("data: add rows")

    assert git(project, "show", "HEAD:./params.toml") == "seed = 1"
    assert git(project, "diff", "--cached", "--name-only", "--relative") == "params.toml"


def test_a_commit_is_made_once(project: Path) -> None:
    write_own(project)

    assert commits.commit("data: add rows") == commits.commit("data: add rows")
    assert git(project, "rev-list", "--count", "HEAD") == "2"


@pytest.mark.parametrize("change", ["params.toml", "new.txt"])
def test_a_persons_changes_are_named_and_left_alone(project: Path, change: str) -> None:
    (project / change).write_text("seed = 3\n")

    with pytest.raises(StageError, match=rf"{change}\. .*commit or revert them"):
        commits.refuse_foreign_changes(resumed=True)

    assert (project / change).read_text() == "seed = 3\n"


def test_files_of_the_pass_itself_do_not_block_it(project: Path) -> None:
    write_own(project)

    commits.refuse_foreign_changes(resumed=True)
    with pytest.raises(StageError, match=r"dvc\.lock"):
        commits.refuse_foreign_changes(resumed=False)


def test_files_of_other_projects_in_the_repository_do_not_count(project: Path) -> None:
    top = Path(git(project, "rev-parse", "--show-toplevel"))
    if top == project:
        pytest.skip("the project is the whole repository")
    (top / "elsewhere.txt").write_text("y\n")

    commits.refuse_foreign_changes(resumed=False)


def test_own_files_go_back_to_the_last_commit(project: Path) -> None:
    write_own(project)
    (project / "params.toml").write_text("seed = 2\n")

    assert sorted(commits.restore()) == ["data/incoming/.gitignore", SERVED, "dvc.lock"]
    assert (project / "dvc.lock").read_text() == "before\n"
    assert git(project, "status", "--porcelain", "--", ".").split() == [
        "M",
        git(project, "rev-parse", "--show-prefix") + "params.toml",
    ]


def test_a_commit_of_another_checkout_is_not_here(project: Path) -> None:
    assert commits.contains(commits.head())
    assert not commits.contains("0123456789" * 4)


def test_a_refused_commit_is_reported(project: Path) -> None:
    hooks = Path(git(project, "rev-parse", "--absolute-git-dir")) / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-commit").write_text("#!/bin/sh\necho the team says no\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    write_own(project)

    with pytest.raises(StageError, match="the team says no"):
        commits.commit("data: add rows")


def test_what_another_models_team_has_not_committed_stops_only_that_model(project: Path) -> None:
    for folder in ("models/other/src", "models/notes"):
        (project / folder).mkdir(parents=True)
        (project / folder / "thought.py").write_text("# not yet\n")

    assert commits.foreign_changes(resumed=False) == ["models/notes/thought.py"]


STAGES = """\
stages:
  features:
    cmd: python features.py
    outs:
      - table.csv: {cache: false}
      - kept/big.parquet
    metrics: [figures.json]
  other:
    wdir: ..
    cmd: python other.py
    outs: [summary]
"""


def test_what_the_projects_own_stages_write_is_committed_with_the_run(project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine/dvc.yaml").write_text(STAGES)
    git(project, "add", "--all", ".")
    git(project, "commit", "--quiet", "--message", "Stages")
    (project / "mine/kept").mkdir()
    (project / "summary").mkdir()
    written = [
        *("mine/dvc.lock", "mine/table.csv", "mine/figures.json", "mine/kept/.gitignore"),
        "summary/a.txt",
    ]
    for name in written:
        (project / name).write_text("new\n")

    commits.refuse_foreign_changes(resumed=True)
    commits.commit("pipeline: train version 2")

    committed = git(project, "show", "--format=", "--name-only", "--relative").split()
    assert sorted(committed) == sorted(written)
    assert commits.foreign_changes(resumed=False) == []


@pytest.mark.parametrize("outs", [".", "..", "../.."])
def test_a_stage_that_writes_everywhere_makes_no_persons_file_the_autopilots(
    project: Path, outs: str
) -> None:
    (project / "dvc.yaml").write_text(f"stages: {{all: {{cmd: x, outs: ['{outs}']}}}}\n")
    git(project, "add", "--all", ".")
    git(project, "commit", "--quiet", "--message", "Stages")
    (project / "params.toml").write_text("seed = 3\n")

    assert commits.foreign_changes(resumed=True) == ["params.toml"]


def test_rows_of_a_version_that_the_gate_refused_are_marked(project: Path) -> None:
    (project / SERVED).write_text("outs:\n- md5: 0a\n  path: a.parquet\nmeta:\n  mine: 1\n")
    commits.commit("data: add rows")

    commits.mark_refused(SERVED.removesuffix(".dvc"), "12", ["worse by 0.1"])

    marked = yaml.safe_load(git(project, "show", f"HEAD:./{SERVED}"))
    assert marked["outs"] == [{"md5": "0a", "path": "a.parquet"}]
    assert marked["meta"] == {
        "mine": 1,
        "gate": {"refused": "version 12", "reasons": ["worse by 0.1"]},
    }
