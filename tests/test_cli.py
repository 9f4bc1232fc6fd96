"""The command line: its start, its help, its exit codes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rung.__main__ import main
from rung.core import creation
from rung.levels import template
from rung.system import terminal
from tests.command import RUNG, git, rung
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["new", "--help"],
        ["levels"],
        ["climb", "--help"],
        ["assess", "--defaults"],
        ["plan", "--help"],
        ["update", "--help"],
    ],
)
def test_a_command_that_renders_nothing_imports_no_copier(arguments: list[str]) -> None:
    # Not pydantic, which Typer 0.29 loads itself (decision 4).
    code = (
        "import sys\nfrom rung.__main__ import main\n"
        f"main({arguments!r})\n"
        "heavy = {'copier', 'plumbum', 'jinja2', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_each_rung_is_listed_with_its_promise() -> None:
    lines = rung("levels").stdout.splitlines()

    assert (11, "Rung", True) == (len(lines), lines[0][:4], "through a gate" in lines[8])


def test_the_version_is_the_packages_and_the_templates() -> None:
    commit = git(ROOT, "rev-parse", "HEAD")

    assert f"rung 0.2.0\ntemplate {commit} ({ROOT})\n" == rung("--version").stdout


def test_the_template_of_an_installed_rung_has_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(template, "clone", lambda: None)

    assert 0 == main(["--version"])
    assert f"template 0.2.0 ({template.url()})" in capsys.readouterr().out


def test_the_version_is_printed_without_git(tmp_path: Path) -> None:
    done = rung("--version", environment={"PATH": str(tmp_path)}, expect=0)

    assert done.stdout.startswith("rung 0.2.0\ntemplate unknown")
    assert "git is not installed" in done.stdout


def completed_by_bash(script: str, *arguments: str) -> list[str]:
    """Let bash complete the last of some words with a script, and return what it offers."""
    request = (
        f"{script}\nCOMP_WORDS=({shlex.join(arguments)})\nCOMP_CWORD={len(arguments) - 1}\n"
        'complete -p rung >/dev/null && _rung_completion rung && echo "${COMPREPLY[@]}"'
    )
    path = f"{RUNG.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", request], env={**os.environ, "PATH": path}, capture_output=True, check=True
    )
    return done.stdout.decode().split()


# Typer asks which shell the tests run below, and takes no other.
ANY_SHELL = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


def test_an_installed_completion_answers(tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path), **ANY_SHELL}
    rung("--install-completion", "bash", environment=own, expect=0)

    script = f"source {tmp_path}/.bashrc"
    assert ["fleet"] == completed_by_bash(script, "rung", "fl")
    assert ["--min-level"] == completed_by_bash(script, "rung", "check", "--mi")
    for line, values in {
        "new a --use-case v": "velocity",
        "new a --ci g": "github gitlab",
        "plan --to ": "0 1 2 3 4",
        "check --format j": "json",
        "check --explain model-r": "model-registry",
    }.items():
        assert values.split() == completed_by_bash(script, "rung", *line.split(" ")), line


def test_without_a_command_the_help_is_shown_and_says_how_to_begin() -> None:
    done = rung(environment={"COLUMNS": "60"})

    assert (2, "") == (done.returncode, done.stderr)
    assert "rung new my-project " in done.stdout.split("Options:")[0]
    assert "..." not in done.stdout.split("Commands:")[1], "no line is cut at 60 columns"


@pytest.mark.parametrize("option", ["--game", "--use-case"])
def test_an_option_is_known_by_its_earlier_name(option: str) -> None:
    done = rung("check", option, "croquet")

    assert "There is no use case `croquet`. Give governance or velocity." in done.stderr


def test_a_terminal_shows_folded_lines_and_colours_unless_it_must_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.show("  + poe keys: makes the pair\n  git commit --amend --no-edit")
    green, folded, command = capsys.readouterr().out.splitlines()

    assert (green, folded) == ("\x1b[32m  + poe keys: makes\x1b[0m", "\x1b[32m    the pair\x1b[0m")
    assert command == "  git commit --amend --no-edit", "to be copied whole"

    terminal.show('{"key":\n "a longer line than that"}', "json")
    assert '{"key":\n "a longer line than that"}\n' == capsys.readouterr().out

    monkeypatch.setenv("NO_COLOR", "1")
    terminal.show("Added:")
    assert "Added:\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rise"], "No such command `rise`.\nSee `rung --help`."),
        (["new"], "Missing argument `DEST`.\nSee `rung new --help`."),
        (["new", "a", "b"], "(b).\nSee `rung new --help`."),
        (["new", "a", "--leve=1"], "No such option: --leve"),
        (["climb", "--too", "1"], "No such option: --too"),
        (["climb", "--to"], "Option `--to` requires an argument"),
        (["plan", "--too", "1"], "No such option: --too"),
        (["update", "--to", "1"], "No such option: --to"),
        (["climb", "--to", "high"], "`--to`: Input should be a valid integer"),
        (["levels", "--mark"], "No such option: --mark"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(arguments: list[str], message: str) -> None:
    done = rung(*arguments, expect=2)

    assert done.stderr.startswith("rung: ")
    assert message in done.stderr
    assert "" == done.stdout


def test_the_unexpected_ends_with_code_3_and_one_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(creation, "create", broken)
    code = main(["new", str(tmp_path / "made"), "--defaults", "--template", str(ROOT)])
    text = capsys.readouterr().err

    assert 3 == code
    assert "RUNG_DEBUG=1" in text
    assert "Traceback" not in text


def test_the_home_of_an_unknown_user_is_refused() -> None:
    done = rung("new", "~nosuchuser/x", "--defaults", expect=2)

    assert "there is no user `nosuchuser`" in done.stderr


def test_output_that_no_one_reads_is_a_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([RUNG, "levels"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (141, b"") == (done.returncode, done.stderr)
