"""Who holds the key and disk of an audit log cannot change what a git remote has noted."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal
from machinery.tests.autopilot.repository import git
from machinery.tests.projects import moved
from rung_governance.approval import audit, kill_switch, plan, promote, witness
from rung_governance.approval.admission import SignedStateReader
from rung_ops.release import deploy, history, state

BRANCH = "refs/heads/audit-log/production"
CUT_OFF = "4 lines, and 3 are there: the end was cut off"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The repository of a project whose remote `origin` refuses what a protected branch refuses."""
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(origin, "config", "receive.denyNonFastForwards", "true")
    git(origin, "config", "receive.denyDeletes", "true")
    git(tmp_path, "init", "--quiet", str(clone))
    git(clone, "remote", "add", "origin", str(origin))
    moved(monkeypatch, witness, root=clone)
    moved(monkeypatch, plan, root=clone)
    return clone


@pytest.fixture
def origin(clone: Path) -> Path:
    return clone.with_name("origin.git")


@pytest.fixture
def log(production: Path) -> Path:
    """An audit log of three lines."""
    for number in range(3):
        assert override(production, number) == []
    return production


def override(folder: Path, number: int) -> list[str]:
    return audit.record(folder, "override", "Olga", id=str(number), decision="grant", reason="x")


def start_over(folder: Path) -> None:
    """Write another log with the same key, as who holds the disk and the key can."""
    shutil.rmtree(folder)
    for number in range(7, 11):
        assert override(folder, number) == []
    assert audit.report(folder) == []


def put_back(before: Path, folder: Path) -> None:
    """Replace a log by an earlier copy of its folder, as who holds the disk can."""
    shutil.rmtree(folder)
    shutil.copytree(before, folder)


def test_each_signed_end_of_the_log_is_a_commit_of_the_branch(log: Path, origin: Path) -> None:
    assert witness.note(log, "Ada") == ""
    assert override(log, 3) == []
    assert witness.note(log, "Olga") == ""
    assert witness.note(log, "Olga") == ""

    kept = git(origin, "log", "--format=%an %s", BRANCH).splitlines()
    heads = [line["hash"] for line in history.read(log / state.HISTORY)]
    assert kept == [f"Olga 4:{heads[3]} [skip ci]", f"Ada 3:{heads[2]} [skip ci]"]
    assert git(origin, "ls-tree", BRANCH) == ""
    assert witness.problems(log, "origin") == []


@pytest.mark.tried(
    "Cut log, anchors and state together, or rewrite the log with its key",
    "`poe audit-log` finds it by the notes on the remote's branch, if that is protected",
)
def test_lines_that_were_cut_with_their_signatures_are_found(
    log: Path, clone: Path, tmp_path: Path, refusal: Refusal
) -> None:
    before = shutil.copytree(log, tmp_path / "before")
    assert override(log, 3) == []
    assert witness.note(log, "Ada") == ""
    put_back(before, log)
    assert audit.report(log) == []  # by itself it is intact

    assert CUT_OFF in refusal(audit.main)


@pytest.mark.tried(
    "Cut log, anchors, state and what the service noted of them together",
    "`poe monitor` and `poe audit-log` find it by the notes of `poe stop` at the remote",
)
def test_a_stop_that_was_undone_with_old_files_is_found(
    log: Path, clone: Path, tmp_path: Path
) -> None:
    before = shutil.copytree(log, tmp_path / "before")
    assert kill_switch.stop(["--by", "Olga", "--reason", "it refuses everybody"]) == 0
    put_back(before, log)
    assert SignedStateReader(log).read().state.stopped is None  # a service that starts now

    (problem,) = audit.against_notes(log)

    assert CUT_OFF in problem
    git(clone, "remote", "remove", "origin")
    git(clone, "update-ref", "-d", "refs/audit-log/production")
    assert audit.against_notes(log) == []


def test_a_rewritten_log_is_found_and_not_noted(log: Path, origin: Path, refusal: Refusal) -> None:
    assert witness.note(log, "Ada") == ""
    noted = git(origin, "rev-parse", BRANCH)
    start_over(log)

    assert "by Ada with another line 3: the log was rewritten" in refusal(audit.main)
    assert "rewritten" in witness.note(log, "Eve")
    assert git(origin, "rev-parse", BRANCH) == noted


def test_another_clone_goes_on_and_finds_the_same(
    log: Path, clone: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    assert witness.note(log, "Ada") == ""
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), str(other))
    moved(monkeypatch, witness, root=other)
    assert override(log, 3) == []

    assert witness.note(log, "Olga") == ""
    moved(monkeypatch, witness, root=clone)

    assert witness.problems(log, "origin") == []
    assert [each.by for each in witness.notes("refs/audit-log/production")] == ["Olga", "Ada"]


@pytest.mark.parametrize("how", ["is gone", "was rewritten"])
def test_notes_that_were_taken_back_on_a_branch_without_protection_are_missed(
    how: str, log: Path, origin: Path, clone: Path
) -> None:
    assert witness.note(log, "Ada") == ""
    git(origin, "update-ref", "-d", BRANCH)
    if how == "was rewritten":
        other = git(clone, "commit-tree", git(clone, "write-tree"), "-m", "Something else")
        git(clone, "push", "--quiet", "origin", f"{other}:{BRANCH}")

    for _ in range(2):  # until it is dealt with
        (problem,) = witness.problems(log, "origin")

        assert f"audit-log/production at origin {how}: protect it" in problem
    assert how in witness.note(log, "Eve")


def edit_plan(clone: Path) -> None:
    git(clone, "commit", "-q", "--allow-empty", "-m", "Start")
    path = plan.path(clone)
    path.parent.mkdir(exist_ok=True)
    path.write_text("approval: {witness: none}\n")


GONE = {
    "is none in an edited plan": edit_plan,
    "does not answer": lambda clone: clone.with_name("origin.git").rename(clone.with_name("gone")),
    "is no remote": lambda clone: git(clone, "remote", "remove", "origin"),
}


@pytest.mark.parametrize("how", GONE)
@pytest.mark.tried(
    "Cut log, anchors and state together where the remote does not answer",
    "`poe audit-log` compares with the notes that the clone has seen",
)
def test_a_log_that_is_not_compared_with_the_remote_is_not_verified(
    how: str, log: Path, clone: Path, tmp_path: Path, refusal: Refusal
) -> None:
    before = shutil.copytree(log, tmp_path / "before")
    assert override(log, 3) == []
    assert witness.note(log, "Ada") == ""
    GONE[how](clone)

    (line,) = refusal(audit.main).splitlines()
    assert line.startswith("NOT VERIFIED, it was not compared with the notes at ")
    put_back(before, log)
    assert CUT_OFF in refusal(audit.main)
    assert audit.against_notes(log) != []


def test_a_remote_that_does_not_answer_is_reported_and_stops_nothing(
    log: Path, clone: Path, capsys: Capture
) -> None:
    GONE["does not answer"](clone)
    assert audit.against_notes(log) == []
    assert "Not compared with the notes at origin" in capsys.readouterr().err
    assert "is not noted at origin" in witness.note(log, "Ada")


def test_without_a_remote_or_with_none_in_the_plan_nothing_is_noted(
    log: Path, origin: Path, clone: Path, monkeypatch: Patch
) -> None:
    terms = replace(plan.approval_terms(), witness="none")
    with monkeypatch.context() as patch:
        patch.setattr(plan, "approval_terms", lambda: terms)
        assert witness.note(log, "Ada") == ""
    git(clone, "remote", "remove", "origin")

    assert witness.note(log, "Ada") == ""
    assert audit.main([]) == 0
    assert git(origin, "for-each-ref") == ""


def test_promote_notes(log: Path, origin: Path, clone: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(promote, "promote", lambda *asked: ("v1-aaaaaaaa-bbbbbb", "1"))
    monkeypatch.setattr(deploy, "set_champion", lambda version: "")
    assert promote.main(["1"]) == 0
    assert git(origin, "log", "--format=%s", BRANCH).startswith("3:")
