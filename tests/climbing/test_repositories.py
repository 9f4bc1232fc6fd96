"""Repositories of every shape can climb, and none of their own programs is run by it."""

import os
from pathlib import Path

import pytest

from rung.core import template_source
from rung.errors import RungError
from rung.system import git as plain_git
from rung.system import process
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import climb, commit, edit, files_of, git, plan, write
from tests.command import init, rung

NAMED = ["-c", "protocol.file.allow=always"]


def test_a_project_in_a_folder_of_a_larger_repository(small: Path, tmp_path: Path) -> None:
    complete = tmp_path / "whole"
    project = tiny.fresh(small, complete / "packages/ml", level=0)
    write(
        complete, {"README.md": "All of us\n", "packages/ml.txt": "beside\n", "ops/zero.py": "x\n"}
    )
    init(complete)
    (project / "ops/zero.py").write_text(
        tiny.CODE.replace("return 1", "return 11") + "\n\nLEVEL = 0\n"
    )
    commit(complete)
    before = {path: text for path, text in files_of(complete).items() if "packages/ml/" not in path}
    climb(project, level=2)

    after = {path: text for path, text in files_of(complete).items() if "packages/ml/" not in path}
    assert before == after
    assert "return 11" in (project / "ops/zero.py").read_text()
    fresh = files_of(tiny.fresh(small, tmp_path / "fresh", level=2))
    assert fresh.keys() == files_of(project).keys()


def test_a_work_tree_beside_the_first(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    before = files_of(project)
    climb(tmp_path / "side", level=1)

    assert before == files_of(project)
    assert "side" == git(tmp_path / "side", "branch", "--show-current")
    assert "# Rung 1" in (tmp_path / "side/RUNG.md").read_text()


def test_a_shallow_clone(project: Path, tmp_path: Path) -> None:
    edit(project, {"README.md": "later\n"})
    git(tmp_path, "clone", "--quiet", "--depth", "1", project.as_uri(), "shallow")
    climb(tmp_path / "shallow", level=2)
    climb(tmp_path / "shallow", level=0)

    assert "later\n" == (tmp_path / "shallow/README.md").read_text()
    assert "3" == git(tmp_path / "shallow", "rev-list", "--count", "HEAD")


def test_a_submodule(project: Path, tmp_path: Path) -> None:
    inner = tiny.repository(tmp_path / "inner", {"file": "inner\n"})
    git(project, *NAMED, "submodule", "--quiet", "add", str(inner), "inner")
    commit(project)
    climb(project, level=2)

    assert "inner\n" == (project / "inner/file").read_text()
    assert "160000" == git(project, "ls-tree", "HEAD", "inner").split()[0]


def said(small: Path, *words: str | Path) -> list[str]:
    """Type a command that makes a commit; return the lines that it prints."""
    done = rung(*words, "--template", small, expect=0)

    return done.stdout.splitlines()


def test_a_plan_and_a_climb_say_that_head_is_on_no_branch(project: Path, small: Path) -> None:
    sentence = "HEAD is detached, so a commit is on no branch: `git switch -c NAME` makes one."
    assert sentence not in said(small, "plan", project, "--to", "1")
    git(project, "checkout", "--quiet", "--detach")

    assert sentence in said(small, "plan", project, "--to", "1")
    assert sentence in said(small, "climb", project, "--to", "1", "--no-verify")
    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")
    assert sentence not in said(small, "plan", project, "--to", "1")


def test_a_climb_to_a_branch_ends_there_where_head_is_on_none(project: Path, small: Path) -> None:
    git(project, "checkout", "--quiet", "--detach")
    lines = said(small, "climb", project, "--to", "1", "--branch", "up", "--no-verify")

    steps = lines[lines.index("To finish:") + 1 : lines.index("To give up:")]
    assert "git switch up" == steps[0].strip()
    assert not any("merge" in line or "git branch" in line for line in steps)
    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s", "up")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("files/{{ '.g' ~ 'it' }}/hooks/pre-commit", "git's own folder"),
        ("files/sub/{{ '.G' ~ 'IT' }}/config", "git's own folder"),
        ("files/{{ 'GIT~' ~ '1' }}/config", "git's own folder"),
        ("files/{{ '..%s..%sout' | replace('%s', _copier_conf.sep) }}", "forbidden"),
        ("files/{{ 'RUNG.MD' }}", "same file on some systems"),
    ],
)
def test_a_path_that_leads_where_no_file_may_be_written_is_refused(
    tmp_path: Path, path: str, message: str
) -> None:
    made_from, project = tiny.with_template(tmp_path, level=0)
    settings = tiny.FILES["copier.yml"].replace("  - .git\n", "")
    tiny.release(made_from, "v0.2.0", {path: "evil\n", "copier.yml": settings})
    before = files_of(project)

    with pytest.raises(RungError, match=message):
        plan(project, "v0.2.0")
    assert before == files_of(project)
    assert not (project / ".git/hooks/pre-commit").exists()
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", ".git/config"])
def test_a_rendered_link_out_of_the_project_is_refused(tmp_path: Path, target: str) -> None:
    made_from, project = tiny.with_template(tmp_path, level=0)
    settings = "_preserve_symlinks: true\n" + tiny.FILES["copier.yml"]
    (made_from / "files/ops/link").symlink_to(target)
    tiny.release(made_from, "v0.2.0", {"copier.yml": settings})

    with pytest.raises(RungError, match=r"link|outside|path"):
        plan(project, "v0.2.0")


def test_a_file_whose_name_is_not_text_is_reported_all_the_same(project: Path, small: Path) -> None:
    (project / "ops/zero.py").rename(project / os.fsdecode(b"ops/n\xff.py"))
    commit(project)
    done = rung("climb", project, "--to", "1", "--no-verify", "--template", small, expect=0)

    assert "ops/n\\udcff.py (Rung's ops/zero.py, renamed by you)" in done.stdout


def test_a_partial_clone_is_refused(project: Path, tmp_path: Path) -> None:
    git(project, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", project.as_uri(), "partial")

    with pytest.raises(RungError, match="is a partial clone") as refused:
        plan(tmp_path / "partial", level=1)
    for command in str(refused.value).splitlines()[2:]:
        git(tmp_path / "partial", *command.split()[1:])
    climb(tmp_path / "partial", level=1)


def test_what_git_overlooks_is_checked_again_as_it_says(project: Path) -> None:
    for bit in ("--assume-unchanged", "--skip-worktree"):
        git(project, "update-index", bit, "README.md")
    git(project, "update-index", "--assume-unchanged", "RUNG.md")

    with pytest.raises(RungError, match="overlook") as refused:
        plan(project, level=1)
    for command in str(refused.value).splitlines()[2:]:
        git(project, *command.split()[1:])
    climb(project, level=1)


def test_the_last_commits_signature_is_not_checked(project: Path, tmp_path: Path) -> None:
    program = tmp_path / "gpg"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    raw = git(project, "cat-file", "commit", "HEAD").split("\n\n")[0]
    (tmp_path / "commit").write_text(f"{raw}\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n\nSigned\n")
    signed = git(project, "hash-object", "-w", "-t", "commit", str(tmp_path / "commit"))
    git(project, "config", "log.showSignature", "true")
    git(project, "config", "gpg.program", str(program))
    plain_git.run(project, "log", "-1", signed)

    assert not (tmp_path / "ran").exists()


def test_a_programs_environment_does_not_redirect_git(monkeypatch: pytest.MonkeyPatch) -> None:
    of_others = ("GIT_DIR", "GIT_INDEX_FILE", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
    for name in (*of_others, "PYTHONPATH", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "/elsewhere")

    assert "/elsewhere" not in process.environment().values()
    assert "set" == process.environment({"GIT_DIR": "set"})["GIT_DIR"]


def test_a_template_that_is_not_trusted_is_quoted() -> None:
    address = "https://example.org/a;touch b"

    with pytest.raises(RungError, match=r"--template 'https://example.org/a;touch b'"):
        template_source.followed({"_src_path": address, "_commit": "v1"})


def test_a_repository_that_git_cannot_work_in_is_named_for_what_it_is(
    new_project: NewProject, small: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(new_project(0)), str(bare))
    elsewhere = new_project(1)
    git(elsewhere, "config", "core.worktree", str(tmp_path))
    empty = new_project(2)
    git(empty, "config", "core.bare", "true")

    for folder, message in ((bare, "bare"), (elsewhere, "core.worktree"), (empty, "core.bare")):
        for verb, *more in (("plan",), ("adopt",), ("check", "--base", "HEAD")):
            template = () if verb == "check" else ("--template", small)
            done = rung(verb, folder, *more, *template, expect=2)
            if (verb, folder) != ("plan", bare):  # it has no answers file either
                assert message in done.stderr


@pytest.mark.parametrize("arguments", [("plan",), ("adopt",), ("check", "--base", "HEAD")])
def test_a_repository_of_another_user_is_named_as_such(
    new_project: NewProject, small: Path, arguments: tuple[str, ...]
) -> None:
    template = () if arguments[0] == "check" else ("--template", small)
    others = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    done = rung(
        arguments[0], new_project(0), *arguments[1:], *template, environment=others, expect=2
    )

    assert "belongs to another user" in done.stderr
    assert "no commit" not in done.stderr
