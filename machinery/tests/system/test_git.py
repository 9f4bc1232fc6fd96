"""Git works on the repository of the folder that it is run in, whatever the environment says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rung_ops.system import git

WHO = {
    f"GIT_{role}_{key}": "ada@here" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one committed file, and another one beside it."""
    for name in ("mine", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.txt").write_bytes(f"of {name}".encode() + b"\xff\n")
        for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", name]):
            assert git.run(folder, *words, variables=WHO).returncode == 0
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GIT_DIR", "other/.git"),
        ("GIT_WORK_TREE", "other"),
        ("GIT_INDEX_FILE", "other/.git/index"),
        ("GIT_OBJECT_DIRECTORY", "other/.git/objects"),
        ("GIT_COMMON_DIR", "other/.git"),
        ("GIT_LITERAL_PATHSPECS", "1"),
    ],
)
def test_no_variable_leads_to_another_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    at = repository.parent / value
    monkeypatch.setenv(variable, str(at) if at.exists() else value)

    assert git.run(repository, "ls-files", "--", ":(glob)**/*.txt").stdout == "mine.txt\n"
    assert git.run(repository, "log", "--all", "--format=%s").stdout == "mine\n"
    assert git.run(repository, "status", "--porcelain").stdout == ""


def test_of_settings_in_the_environment_only_credentials_reach_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "url.https://example.org/.insteadOf": "git@host:",
        "credential.helper": "store",
        "gpg.ssh.program": "/bin/true",
        "safe.directory": "*",
        "http.extraHeader": "AUTHORIZATION: bearer x",
        "http.proxy": "host",
        "credential.https://host.username": "ada",
    }
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")
    monkeypatch.setenv("GIT_SSH_COMMAND", "/bin/true")

    printed = git.output(repository, "config", "--list", "--show-scope").splitlines()
    seen = [line.partition("\t")[2] for line in printed if line.startswith("command\t")]
    assert seen == [
        "credential.helper=store",
        "safe.directory=*",
        "http.extraheader=AUTHORIZATION: bearer x",
        "credential.https://host.username=ada",
    ]
    assert git.output(repository, "var", "GIT_AUTHOR_IDENT", variables=WHO).startswith("ada@here")
    assert "GIT_SSH_COMMAND" not in git.variables()
    assert git.variables()["GIT_AUTHOR_NAME"] == "Ada"


def test_what_git_prints_comes_as_text_or_as_the_bytes_that_were_committed(
    repository: Path,
) -> None:
    assert git.output(repository, "log", "--format=%s") == "mine"
    assert git.content(repository, "show", "HEAD:mine.txt") == b"of mine\xff\n"


@pytest.mark.parametrize("ask", [git.output, git.content])
def test_what_git_refuses_is_an_error_with_its_last_line(
    repository: Path, ask: Callable[..., object]
) -> None:
    with pytest.raises(git.GitError, match="unknown revision|bad revision"):
        ask(repository, "rev-list", "nothing", "--")


def test_a_git_that_nobody_listened_to_is_asked_again(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git dies of SIGPIPE by chance where ssh-keygen refuses a signature before it has read it all."""
    dies_once = f"""#!/bin/sh
if ! mkdir {tmp_path}/died 2>/dev/null; then exec {shutil.which("git")} "$@"; fi
echo 'hint: a hint' >&2
kill -PIPE $$
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(dies_once)
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")

    assert git.output(repository, "ls-files") == "mine.txt"
    assert (tmp_path / "died").is_dir()
