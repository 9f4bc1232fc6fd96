"""A fast-forward is one whatever the user has set, or the project is led back."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rung.core import template_source, transaction
from rung.core.climbing import apply, messages
from rung.errors import RungError
from tests.climbing import tiny
from tests.climbing.tiny import files_of, git
from tests.command import RUNG, rung

# What a user may have set that changes what `git merge` or `git status` does.
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
def test_a_climb_is_one_commit_with_any_setting(
    project: Path, small: Path, settings: dict[str, str]
) -> None:
    before = git(project, "rev-parse", "HEAD")
    for key, value in settings.items():
        git(project, "config", key, value)
    (project / ".git/info/sparse-checkout").write_text("/*\n!/ops/one.py\n")
    done = rung("climb", project, "--no-verify", "--template", small, expect=0)

    assert f"{before}" == git(project, "rev-parse", "HEAD~1")
    assert (project / "ops/one.py").is_file()
    assert "H ops/one.py" in git(project, "ls-files", "-v")
    assert "" == git(project, "status", "--porcelain", "--untracked-files=normal")
    undo = re.search(r"`(git reset --keep .*?)`", done.stdout)
    assert undo is not None, done.stdout
    git(project, *undo[1].split()[1:])
    assert before == git(project, "rev-parse", "HEAD")


def test_a_branch_of_any_name_goes_forward(project: Path) -> None:
    git(project, "switch", "--quiet", "--create", "a=b")
    git(project, "config", "branch.a=b.mergeOptions", "--strategy=nonsense")
    tiny.climb(project, level=1)

    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")


def test_a_forward_that_does_something_else_is_led_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git says that all went well, and HEAD is not what it was to be."""
    before, files = git(project, "rev-parse", "HEAD"), files_of(project)

    def otherwise(top: Path, commit: str, *_: Any) -> str:
        git(top, "update-index", "-q", "--refresh")
        git(top, "read-tree", "-u", "-m", "HEAD", commit)
        return ""

    with tiny.prepare(project, level=1) as prepared:
        monkeypatch.setattr(transaction, "_forward", otherwise)
        with pytest.raises(RungError, match="as it was"):
            apply.climb(prepared, messages.message(prepared.plan), verify=False)

    assert before == git(project, "rev-parse", "HEAD")
    assert files == files_of(project)
    assert "" == git(project, "status", "--porcelain")
    assert "" == git(project, "for-each-ref", "refs/rung")


def test_a_forward_that_git_refuses_ends_with_what_to_change(
    project: Path, small: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text('[filter "own"]\nsmudge = false\nrequired = true\n')
    (project / ".git/info/attributes").write_text("ops/one.py filter=own\n")
    own = {"GIT_CONFIG_GLOBAL": str(settings)}
    done = rung("climb", project, "--no-verify", "--template", small, environment=own, expect=2)

    assert "smudge filter own failed" in done.stderr
    assert "as it was" in done.stderr
    assert "run the command again" in done.stderr
    (project / ".git/info/attributes").unlink()
    assert "" == git(project, "status", "--porcelain")


def test_a_file_written_right_after_the_forward_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transaction._forward

    def going_on(top: Path, *others: Any) -> str:
        failed = real(top, *others)
        (top / "README.md").write_text("mine\n")
        return failed

    with tiny.prepare(project, level=1) as prepared:
        monkeypatch.setattr(transaction, "_forward", going_on)
        apply.climb(prepared, messages.message(prepared.plan), verify=False)

    assert "mine\n" == (project / "README.md").read_text()
    assert "M README.md" == git(project, "status", "--porcelain")


@pytest.mark.parametrize("redirected", [">/dev/full", ">&-", "2>&-"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_climb_whose_words_cannot_be_written_is_done_all_the_same(
    project: Path, small: Path, redirected: str, unbuffered: str
) -> None:
    command = f"{RUNG} climb {project} --no-verify --template {small} {redirected}"
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (2 if "full" in redirected else 0) == done.returncode, done.stderr
    assert "should not happen" not in done.stderr
    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")
    assert "" == git(project, "status", "--porcelain")


def test_the_templates_address_may_end_in_a_slash(project: Path, small: Path) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(f"_src_path: {small}", f"_src_path: {small}/"))
    tiny.commit(project)
    rung("plan", project, "--template", f"{small}/", expect=0)

    for address in ("https://host/a/b", "https://host/a/b/", "https://host/a/b.git/"):
        assert template_source.normalized("https://host/a/b.git") == template_source.normalized(
            address
        )


def test_no_advice_is_given_that_cannot_be_followed(project: Path, small: Path) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(re.sub("_commit: .*", "_commit: main", answers.read_text()))
    tiny.commit(project)
    done = rung("plan", project, "--template", small, expect=2)

    assert "-d _commit" not in done.stderr


def test_attributes_from_elsewhere_do_not_lead_a_climb_astray(project: Path, small: Path) -> None:
    others = {"GIT_ATTR_SOURCE": "refs/heads/none"}
    rung("climb", project, "--no-verify", "--template", small, environment=others, expect=0)
