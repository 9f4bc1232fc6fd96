"""Nothing that a repository's configuration names is run, and nothing is fetched for it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from rung.core import template_source
from rung.system import git as rungs_git
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import git, repository
from tests.command import rung

# The last part of the keys whose value git, or a program of git's, starts.
STARTS = re.compile(
    r"(^|\.)(\w*command|\w*cmd|clean|smudge|process|driver|textconv|external|\w*program|helper"
    r"|\w*editor|pager|askpass|gitproxy|fsmonitor|\w*hook|hookspath|\w*browser|difffilter"
    r"|receivepack|uploadpack|vcs)$",
    re.IGNORECASE,
)
NOT_DOCUMENTED = ("filter.<driver>.process", "pager.<cmd>", "alias.*")
NO_PROGRAM = re.compile(r"^(color|column|advice|format|completion)\.", re.IGNORECASE)
VERBS = ("status", "log", "config", "show", "diff", "add", "merge", "ls-tree", "cat-file")
ENOUGH = (
    40  # keys that are known to start a program; a change in `git help` must not empty the list
)


def keys_that_start_a_program() -> list[str]:
    """Return git's documented keys that name a program, placeholders filled in."""
    listed = subprocess.run(
        ["git", "help", "--config"], capture_output=True, text=True, check=True
    ).stdout.split()
    keys = [key for key in listed if STARTS.search(key) and not NO_PROGRAM.match(key)]
    results = []
    for key in (*keys, *NOT_DOCUMENTED):
        if key in ("pager.<cmd>", "alias.*"):
            results += [f"{key.partition('.')[0]}.{verb}" for verb in VERBS]
        elif "<format>" in key:
            results += [key.replace("<format>", name) for name in ("openpgp", "x509", "ssh")]
        else:
            results.append(re.sub(r"<\w+>", "evil", key))
    return results


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Return a program that notes that it was started."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/evil"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path / "ran"}\ntimeout 5 cat\n')
    program.chmod(0o755)
    for hook in (
        "pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-merge",
        "post-checkout", "pre-merge-commit", "reference-transaction", "post-index-change",
        "post-rewrite", "fsmonitor-watchman", "pre-auto-gc",
    ):  # fmt: skip
        (tmp_path / "bin" / hook).symlink_to(program)
    return program


def set_all(repository: Path, evil: Path) -> None:
    """Let every key name the program, and make git look at every file again."""
    for key in keys_that_start_a_program():
        value = str(evil.parent) if key == "core.hooksPath" else str(evil)
        git(repository, "config", key, f"!{value}" if key.startswith("alias.") else value)
    for key in ("commit.gpgSign", "log.showSignature", "merge.verifySignatures"):
        git(repository, "config", key, "true")
    (repository / ".git/info/attributes").write_text("* filter=evil diff=evil merge=evil\n")
    for path in tiny.files_of(repository):
        os.utime(repository / path, (1, 1))


def ran(evil: Path) -> str:
    file = evil.parent.parent / "ran"
    return file.read_text() if file.exists() else ""


def test_the_documented_keys_are_known() -> None:
    result = keys_that_start_a_program()

    assert len(result) > ENOUGH
    assert {"core.sshCommand", "filter.evil.clean", "remote.evil.uploadpack"} <= set(result)


def test_no_verb_starts_what_a_projects_configuration_names(
    new_project: NewProject, small: Path, evil: Path, tmp_path: Path
) -> None:
    project = new_project(1)
    tiny.write(
        project, {"ops/zero.py": tiny.CODE.replace("return 1", "return 11") + "\n\nLEVEL = 1\n"}
    )
    tiny.commit(project)
    set_all(project, evil)
    template = ("--template", small)

    for text in (
        ("plan", project, *template),
        ("plan", project, "--diff", *template),
        ("plan", project, "--out", tmp_path / "kept", *template),
        ("check", project),
        ("check", project, "--base", "HEAD~1"),
        ("climb", project, "--branch", "side", "--no-verify", *template),
        ("climb", project, "--no-verify", *template),
        ("climb", project, "--to", "0", "--no-verify", *template),
        ("update", project, *template),
    ):
        rung(*text, expect=0)
        assert "" == ran(evil), text


def test_no_verb_starts_what_a_repository_to_adopt_names(
    copier_template: Path, evil: Path, tmp_path: Path
) -> None:
    chosen = ("--template", template_source.choose(str(copier_template), None).address)
    folder = repository(tmp_path / "late", {"late/__init__.py": "", ".gitignore": "*.pyc\n"})
    set_all(folder, evil)

    for text in (("--dry-run",), (), ("--merge",)):
        rung("adopt", folder, *text, *chosen, expect=0)
        assert "" == ran(evil), text


def test_a_proof_in_a_copy_starts_nothing_that_the_configuration_names(
    evil: Path, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "late", {"requirements.txt": "scikit-learn==1.7.0\n"})
    set_all(folder, evil)
    rung("check", folder, "--prove", expect=0)

    assert "" == ran(evil)


def test_an_interrupted_climb_is_ended_without_filters(
    project: Path, small: Path, evil: Path, tmp_path: Path
) -> None:
    """The end of a climb reads and writes files, and may be left to a repository by its sender."""
    from rung.core import transaction

    inner = repository(tmp_path / "inner", {"file": "inner\n"})
    named = ("-c", "protocol.file.allow=always")
    git(project, *named, "submodule", "--quiet", "add", str(inner), "inner")
    tiny.commit(project)
    with tiny.prepare(project, level=1) as prepared:
        complete = prepared.bench.commit(
            prepared.project.repository_tree(prepared.plan.result), [prepared.plan.head], "New"
        )
        prepared.bench.keep(prepared.plan.head, complete)
        git(project, "update-ref", transaction.pending_ref(project), complete)
    git(project, "read-tree", "-u", "-m", "HEAD", complete)
    inside = project / ".git/modules/inner"
    git(project / "inner", "config", "filter.other.clean", str(evil))
    (inside / "info/attributes").write_text("* filter=other\n")
    (project / "inner/file").write_text("changed\n")
    set_all(project, evil)
    done = rung("plan", project, "--template", small)

    assert "is as it was before." in done.stderr
    assert "" == ran(evil)
    assert "# Rung 0" in (project / "RUNG.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "scheme"),
    [
        (("plan",), "file"),
        (("plan",), "ssh"),
        (("climb",), "ext"),
        (("adopt", "--dry-run"), "ext"),
        (("adopt",), "file"),
        (("check", "--base", "HEAD"), "ext"),
        (("check", "--base", "HEAD"), "ssh"),
    ],
)
def test_a_partial_clone_is_refused_and_fetches_nothing(
    project: Path, small: Path, evil: Path, tmp_path: Path, arguments: tuple[str, ...], scheme: str
) -> None:
    git(project, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", project.as_uri(), "partial")
    partial = tmp_path / "partial"
    url = {"ext": f"ext::{evil} x", "file": project.as_uri(), "ssh": "ssh://host/x"}[scheme]
    for key, value in {
        "remote.origin.url": url,
        "remote.origin.uploadpack": str(evil),
        "core.sshCommand": str(evil),
        "protocol.allow": "always",
    }.items():
        git(partial, "config", key, value)
    before = objects(partial)
    verb, *options = arguments
    template = () if verb == "check" else ("--template", small)
    done = rung(verb, partial, *options, *template, expect=2)

    assert "is a partial clone" in done.stderr
    assert "" == ran(evil)
    assert before == objects(partial)


@pytest.mark.parametrize(
    "arguments", [("plan",), ("adopt", "--dry-run"), ("check", "--base", "HEAD")]
)
def test_a_missing_object_is_reported_and_not_fetched(
    project: Path, small: Path, copier_template: Path, evil: Path, arguments: tuple[str, ...]
) -> None:
    """The setting of the filter alone makes a remote git's source of missing objects."""
    if arguments[0] == "adopt":
        git(project, "rm", "--quiet", ".copier-answers.yml")
        tiny.commit(project)
    oid = git(project, "rev-parse", "HEAD:README.md")
    for key, value in {
        "remote.origin.url": f"ext::{evil} x",
        "remote.origin.partialclonefilter": "blob:none",
        "protocol.allow": "always",
    }.items():
        git(project, "config", key, value)
    loose = project / ".git/objects" / oid[:2] / oid[2:]
    loose.unlink()
    templates = {"plan": small, "adopt": template_source.choose(str(copier_template), None).address}
    template = ("--template", templates[arguments[0]]) if arguments[0] in templates else ()
    done = rung(arguments[0], project, *arguments[1:], *template)

    assert "this should not happen" not in done.stderr
    assert done.returncode in (0, 2)
    assert "" == ran(evil)


def test_the_server_of_a_template_is_asked_without_the_projects_settings(
    project: Path, evil: Path
) -> None:
    address = "git@localhost:none/template"
    answers = project / ".copier-answers.yml"
    answers.write_text(re.sub("_src_path: .*", f"_src_path: {address}", answers.read_text()))
    tiny.commit(project)
    git(project, "config", "core.sshCommand", str(evil))
    own = {"GIT_SSH_COMMAND": "false", "PATH": os.environ["PATH"]}
    rung("update", "--template", address, cwd=project, environment=own, expect=2)

    git(project, "config", "url.https://localhost:1/.insteadOf", "git@localhost:")
    assert "https" not in rung("update", "--template", address, cwd=project, environment=own).stderr
    assert "" == ran(evil)


def test_a_filter_of_the_users_own_still_runs(
    project: Path, small: Path, evil: Path, tmp_path: Path
) -> None:
    """Git LFS is one, where `git lfs install` has set it up."""
    (project / ".git/info/attributes").write_text("*.md filter=evil\n")
    (tmp_path / "gitconfig").write_text(
        f'[user]\nname = A\nemail = a@b\n[filter "evil"]\nclean = {evil}\n'
    )
    os.utime(project / "README.md", (1, 1))
    own = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    rung("plan", project, "--template", small, environment=own, expect=0)

    assert "evil" in ran(evil)


@pytest.mark.parametrize(
    "key", ["lfs.extension.x.clean", "lfs.customtransfer.x.path", "lfs.standalonetransferagent"]
)
def test_git_lfs_is_off_where_a_repository_names_a_program_for_it(project: Path, key: str) -> None:
    git(project, "config", key, "program")

    assert "filter.lfs.process" in rungs_git.filters_off(project)


def test_a_filter_that_cannot_be_turned_off_is_refused(
    project: Path, small: Path, evil: Path
) -> None:
    git(project, "config", "filter.a=b.clean", str(evil))
    done = rung("plan", project, "--template", small, expect=2)

    assert "a filter `a=b`" in done.stderr
    assert "" == ran(evil)


@pytest.mark.parametrize("name", ["-t e$am", "--help", ":x", ":(glob)x", "a*", " x "])
def test_a_folder_of_any_name_climbs(
    small: Path, copier_template: Path, tmp_path: Path, name: str
) -> None:
    complete = tmp_path / "whole"
    tiny.fresh(small, complete / name, level=0)
    (complete / name / "later").mkdir()
    repository(complete, {f"{name}/ axe/late/__init__.py": "", "a/file": "beside\n"})
    rung("climb", "--no-verify", "--template", small, "--", name, cwd=complete, expect=0)
    chosen = template_source.choose(str(copier_template), None).address
    rung("adopt", "--template", chosen, "--", f"{name}/ axe", cwd=complete, expect=0)

    assert "# Rung 1" in (complete / name / "RUNG.md").read_text()
    assert 0 == rung("check", "--base", "HEAD~1", "--", name, cwd=complete).returncode
    assert "" == git(complete, "status", "--porcelain")


def test_what_is_to_be_typed_takes_a_folder_for_no_option(project: Path, small: Path) -> None:
    project.rename(project.parent / "-x")
    tiny.write(project.parent / "-x", {"ops/zero.py": tiny.CODE + "\n\nLEVEL = 99\n"})
    tiny.commit(project.parent / "-x")
    done = rung("climb", "--template", small, "--to", "1", "--", "-x", cwd=project.parent, expect=1)

    assert f"  rung climb ./-x --to 1 --template {small} --branch climb" in done.stderr


def objects(repository: Path) -> set[Path]:
    return {path for path in (repository / ".git/objects").rglob("*") if path.is_file()}
