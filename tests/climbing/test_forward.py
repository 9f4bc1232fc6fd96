"""A fast-forward is one whatever the person has set, or the project is led back."""

import re
from pathlib import Path
from typing import Any

import pytest

from rung.climbing import climb as climbing
from rung.climbing import move, words
from rung.climbing.climb import Wish
from rung.errors import NotDoneError
from tests.climbing import tiny
from tests.climbing.conftest import Born
from tests.climbing.tiny import files_of, git
from tests.command import rung

# What a person may have set that changes what `git merge` or `git status` does.
SETTINGS = {
    "squash": {"branch.main.mergeOptions": "--squash"},
    "no-commit": {"branch.main.mergeOptions": "--no-commit --no-ff"},
    "overwrite": {"branch.main.mergeOptions": "--overwrite-ignore --autostash --signoff"},
    "verify": {"branch.main.mergeOptions": "--verify-signatures -S --edit"},
    "strategy": {"branch.main.mergeOptions": "--strategy=ours --log=3 --stat"},
    "merge.ff": {"merge.ff": "false", "merge.renames": "false"},
    "merge": {"merge.log": "true", "merge.stat": "true", "merge.autoStash": "true"},
    "ignoreStat": {"core.ignoreStat": "true", "core.trustctime": "false"},
    "sparse": {"core.sparseCheckout": "true", "core.sparseCheckoutCone": "false"},
    "status": {"status.short": "true", "status.branch": "true", "status.showUntrackedFiles": "no"},
    "submodules": {"submodule.recurse": "true", "diff.ignoreSubmodules": "all"},
    "paths": {"core.quotePath": "true", "core.precomposeUnicode": "true"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_climb_is_one_commit_whatever_is_set(
    born: Born, small: Path, settings: dict[str, str]
) -> None:
    project = born(0)
    before = git(project, "rev-parse", "HEAD")
    for key, value in settings.items():
        git(project, "config", key, value)
    (project / ".git/info/sparse-checkout").write_text("/*\n!/ops/one.py\n")
    done = rung("climb", project, "--no-verify", "--template", small)

    assert 0 == done.returncode, done.stderr
    assert f"{before}" == git(project, "rev-parse", "HEAD~1")
    assert (project / "ops/one.py").is_file()
    assert "H ops/one.py" in git(project, "ls-files", "-v")
    assert "" == git(project, "status", "--porcelain", "--untracked-files=normal")
    undo = re.search(r"`(git reset --keep .*?)`", done.stdout)
    assert undo is not None, done.stdout
    git(project, *undo[1].split()[1:])
    assert before == git(project, "rev-parse", "HEAD")


def test_a_branch_of_any_name_goes_forward(born: Born, small: Path) -> None:
    project = born(0)
    git(project, "switch", "--quiet", "--create", "a=b")
    git(project, "config", "branch.a=b.mergeOptions", "--squash")
    tiny.climb(project, small, level=1)

    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")


@pytest.mark.parametrize("moved", [False, True])
def test_a_forward_that_does_something_else_is_led_back(
    born: Born, small: Path, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """Git says that all went well, and HEAD or a file is not what it was to be."""
    project = born(0)
    before, files = git(project, "rev-parse", "HEAD"), files_of(project)

    def otherwise(top: Path, commit: str, *_: Any) -> str:
        git(top, "read-tree", "-u", "-m", "HEAD", commit)
        if moved:
            git(top, "update-ref", "HEAD", commit)
            (top / "ops/one.py").unlink()
        return ""

    with climbing.look(project, Wish({"level": 1}), str(small)) as seen:
        monkeypatch.setattr(move, "_forward", otherwise)
        with pytest.raises(NotDoneError, match="as it was"):
            climbing.climb(seen, words.message(seen.plan), verify=False)

    assert before == git(project, "rev-parse", "HEAD")
    assert files == files_of(project)
    assert "" == git(project, "status", "--porcelain")
    assert "" == git(project, "for-each-ref", "refs/rung/pending")


def test_a_file_written_right_after_the_forward_stays(
    born: Born, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = born(0)
    real = move._forward

    def going_on(top: Path, *others: Any) -> str:
        failed = real(top, *others)
        (top / "README.md").write_text("mine\n")
        return failed

    with climbing.look(project, Wish({"level": 1}), str(small)) as seen:
        monkeypatch.setattr(move, "_forward", going_on)
        climbing.climb(seen, words.message(seen.plan), verify=False)

    assert "mine\n" == (project / "README.md").read_text()
    assert "M README.md" == git(project, "status", "--porcelain")
