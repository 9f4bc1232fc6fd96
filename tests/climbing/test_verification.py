"""Before a project moves, its own checks run on the new state, in a folder apart."""

import shutil
from pathlib import Path

import pytest

from rung.__main__ import main
from rung.core.climbing import apply, messages, planner
from rung.core.climbing.plans import ChangeRequest
from rung.errors import NotDoneError, RungError
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import commit, files_of, git

# Stands for uv, so that a project of six files needs no environment of its own.
UV = """\
#!/bin/sh
test "$*" = "run --quiet poe check" || exit 9
git status --porcelain
git rev-parse HEAD^ HEAD^{tree}
cat RUNG.md
echo "locked again" > uv.lock
test ! -e fails
"""


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uv"
    program.write_text(UV)
    program.chmod(0o755)
    monkeypatch.setenv("UV", str(program))


def verified(project: Path, level: int) -> None:
    with tiny.prepare(project, level=level) as prepared:
        apply.climb(prepared, messages.message(prepared.plan), verify=True)


def test_a_climb_whose_checks_fail_touches_nothing_and_shows_why(
    project: Path, uv: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write(project, {"fails": "", "uv.lock": "old\n"})
    head = commit(project)
    before = files_of(project)
    with pytest.raises(NotDoneError, match="do not pass in the new state"):
        verified(project, 1)
    output = capsys.readouterr().err.splitlines()

    assert head in output  # the new state follows the last commit, with nothing uncommitted
    assert "# Rung 1" in output
    assert (head, before) == (git(project, "rev-parse", "HEAD"), files_of(project))


@pytest.mark.parametrize("fails", [False, True])
def test_a_climb_on_a_branch_is_checked_and_locked_too(
    project: Path, small: Path, uv: None, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    tiny.write(project, {"uv.lock": "old\n", **({"fails": ""} if fails else {})})
    head = commit(project)
    typed = ["climb", str(project), "--to", "1", "--template", str(small), "--branch", "up"]
    code = main(typed)
    printed = capsys.readouterr()

    assert fails == code
    assert head in printed.err.splitlines() or not fails  # the output of checks that fail
    assert fails == ("checks do not pass there" in printed.out)
    assert "locked again" == git(project, "show", "up:uv.lock")
    assert head == git(project, "rev-parse", "up^") == git(project, "rev-parse", "HEAD")


def test_a_repository_of_sha256_is_checked_as_one(small: Path, uv: None, tmp_path: Path) -> None:
    project = tiny.fresh(small, tmp_path / "p", level=0)
    git(project, "init", "--quiet", "--object-format=sha256")
    commit(project)
    verified(project, 1)

    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")
    assert 64 == len(git(project, "rev-parse", "HEAD"))


@pytest.mark.parametrize("kept", [True, False])
def test_the_lock_file_comes_with_the_climb_where_git_keeps_one(
    project: Path, uv: None, kept: bool
) -> None:
    tiny.edit(project, {"uv.lock": "old\n"} if kept else {".gitignore": "uv.lock\n"})
    verified(project, 1)

    assert kept == (project / "uv.lock").exists()
    assert not kept or "locked again\n" == (project / "uv.lock").read_text()
    assert "" == git(project, "status", "--porcelain")


def test_a_wheel_of_the_library_that_keeps_its_name_is_locked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv takes the hash in uv.lock for that of the file, and refuses what has another."""
    program, calls = tmp_path / "uv", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("UV", str(program))
    wheel = "vendor/rung_ops-0.2.0-py3-none-any.whl"
    template = tiny.template(tmp_path / "template", files={f"files/{wheel}": "old\n"})
    project = tiny.new_project(template, tmp_path / "p", level=0)
    tiny.edit(project, {"uv.lock": "old\n"})
    verified(project, 1)
    assert calls.read_text().splitlines() == ["run --quiet poe check"]

    tiny.release(template, "v0.1.1", {f"files/{wheel}": "new\n"})
    with planner.prepare(project, ChangeRequest({}, newest=True), str(template)) as prepared:
        apply.climb(prepared, messages.message(prepared.plan), verify=True)

    assert calls.read_text().splitlines()[1:] == [
        "lock --quiet --upgrade-package rung-ops",
        "run --quiet poe check",
    ]


def test_without_uv_it_says_how_to_go_on(
    new_project: NewProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV", raising=False)
    result = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "uv" else result(name))

    with pytest.raises(RungError, match="--no-verify"):
        verified(new_project(0), 1)


CHECKED = """\
[tool.poe.tasks.check]
sequence = ["lint", { ref = "test" }]
"""
# Fails in the way that ruff and pytest do, as files of the project say.
LINTING_UV = """\
#!/bin/sh
shift 3
case "$1" in
  lint) test ! -e lint || { cat lint; exit 1; } ;;
  test) test ! -e test || { cat test; exit 1; } ;;
  check) test ! -e lint || { cat lint; exit 1; }; test ! -e test || { cat test; exit 1; } ;;
esac
"""


@pytest.mark.parametrize(
    ("fails", "climbs"),
    [
        ({"lint": "E501 Line too long --> mine.py:3:101\n"}, True),
        ({"lint": "E501 Line too long --> ops/one.py:3:101\n"}, False),
        ({"test": "mine.py:3: AssertionError\n"}, False),
        ({"lint": "E501 mine.py:3:101\n", "test": "mine.py:3: AssertionError\n"}, False),
    ],
)
def test_lint_of_a_file_that_the_climb_does_not_change_is_reported_and_stops_nothing(
    project: Path,
    uv: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: dict[str, str],
    climbs: bool,
) -> None:
    (tmp_path / "uv").write_text(LINTING_UV)
    tiny.edit(project, {"mine.py": "x = 1\n", "pyproject.toml": CHECKED, **fails})

    printed: list[str] = []
    monkeypatch.setattr("builtins.print", lambda *texts, **_: printed.extend(texts))
    if climbs:
        verified(project, 1)
        assert "lint: the problems above are in files that the climb does not change" in printed[-1]
    else:
        with pytest.raises(NotDoneError, match="do not pass in the new state"):
            verified(project, 1)
    assert climbs == (project / "ops/one.py").exists()
    causes = "".join(printed[max(at for at, text in enumerate(printed) if text.endswith("...")) :])
    assert all(cause in causes for cause in fails.values())  # below all steps
