"""A saved plan is applied only while HEAD, template and answers are what they were."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from rung.__main__ import main
from rung.core.climbing import messages, plans
from rung.core.climbing.messages import Outcome
from rung.core.climbing.plans import Plan, ProjectState
from rung.core.template_source import Source
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import commit, edit, files_of, git
from tests.command import RUNG
from tests.conftest import ROOT


def rung(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def kept(new_project: NewProject, small: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a project and a plan for it to climb to rung 1."""
    project, file = new_project(0), tmp_path / "plan.json"
    assert 0 == rung("plan", project, "--to", 1, "--template", small, "--out", file)
    return project, file


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"README.md": "later\n"}, "last commit"),
        (
            {".copier-answers.yml": ("ci: github", "ci: gitlab")},
            "by hand|last commit",
        ),
    ],
)
def test_it_is_refused_once_the_project_has_moved(
    kept: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    edit: dict[str, str | tuple[str, str]],
    message: str,
) -> None:
    project, file = kept
    for path, content in edit.items():
        text = (project / path).read_text()
        (project / path).write_text(content if isinstance(content, str) else text.replace(*content))
    head = commit(project)

    assert 2 == rung("climb", file, "--no-verify")
    tokens = capsys.readouterr().err
    assert any(part in tokens for part in message.split("|"))
    assert head == git(project, "rev-parse", "HEAD")


def test_it_is_refused_once_the_template_has_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_from = tiny.template(tmp_path / "template")
    project, file = tiny.new_project(made_from, tmp_path / "p", level=0), tmp_path / "plan"
    rung("plan", project, "--to", 1, "--template", made_from, "--out", file)
    tiny.edit(made_from, {"files/ops/one.py": "evil = 1\n"})
    git(made_from, "tag", "--force", "v0.1.0")

    assert 2 == rung("climb", file, "--no-verify")
    assert "template" in capsys.readouterr().err


@pytest.mark.parametrize(
    "directory", ["p/plan.json", "p/ops/plan.json", "p/README.md", "mine", "."]
)
def test_a_plan_file_never_overwrites_a_file(
    new_project: NewProject,
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    directory: str,
) -> None:
    project = new_project(0).rename(tmp_path / "p")
    (tmp_path / "mine").write_text("mine\n")
    before = files_of(tmp_path)

    assert 2 == rung("plan", project, "--to", 1, "--template", small, "--out", tmp_path / directory)
    assert re.search("is in the project|is not a plan", capsys.readouterr().err)
    assert before == files_of(tmp_path)


@pytest.mark.parametrize("directory", ["plan.log", ".git/plan"])
def test_a_plan_may_stand_where_git_does_not_look(
    project: Path, small: Path, directory: str
) -> None:
    for _ in range(2):  # an older plan may be overwritten
        options = ("--template", small, "--out", project / directory)
        assert 0 == rung("plan", project, "--to", 1, *options)

    assert 0 == rung("climb", project / directory, "--no-verify")


def test_it_says_all_there_is_to_say(
    kept: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == rung("climb", kept[1], "--to", 2)
    assert "Leave out the other options" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"form": "rung plan 1"}', '{"form": 1}', "null", "x" * 5_000_000],
)
def test_a_file_that_is_not_a_plan_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "plan").write_text(content)

    assert 2 == rung("climb", tmp_path / "plan")
    assert "is not a Rung plan file" in capsys.readouterr().err


def test_json_says_all_of_a_plan_and_nothing_else(
    project: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, {"ops/zero.py": tiny.CODE + "\n\nLEVEL = 99\n"})
    code = rung("plan", project, "--to", 1, "--template", small, "--json")
    data = json.loads(capsys.readouterr().out)

    assert 1 == code
    assert {"Dockerfile", "ops/one.py"} == set(data["added"])
    assert ["mypy>=1.17", "pre-commit>=4"] == data["dependencies"]
    assert 1 == data["after"]["answers"]["level"]
    assert "LEVEL = 99\n" in data["conflicts"][0]["hunks"][0]["ours"]


def test_the_patch_of_a_plan_gives_what_the_climb_gives(
    project: Path, small: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rung("plan", project, "--to", 2, "--template", small, "--diff")
    (tmp_path / "patch").write_bytes(capfdbinary.readouterr().out)
    git(project, "update-index", "-q", "--refresh")  # the copied files are newer than the index
    git(project, "apply", "--index", str(tmp_path / "patch"))
    tree = git(project, "write-tree")
    git(project, "reset", "--quiet", "--hard")
    tiny.climb(project, level=2)

    assert tree == git(project, "rev-parse", "HEAD^{tree}")


def test_an_update_says_what_it_adds_and_adds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_from = tiny.template(
        tmp_path / "template", files={"CHANGELOG.md": "# Changes\n\n## 0.1.0\n\n- The first.\n"}
    )
    project = tiny.new_project(made_from, tmp_path / "p", level=1)
    options = ["--template", made_from, "--no-verify"]
    assert 0 == rung("update", project, *options)
    assert "already has the template at v0.1.0" in capsys.readouterr().out
    news = "# Changes\n\n## 0.2.0\n\n- A better Dockerfile.\n\n## 0.1.0\n\n- The first.\n"
    tiny.release(made_from, "v0.2.0", {"CHANGELOG.md": news, "files/Dockerfile": "FROM better\n"})

    assert 0 == rung("update", project, *options)
    output = capsys.readouterr().out
    assert "0.2.0\n- A better Dockerfile." in output
    assert "The first" not in output
    assert "FROM better\n" == (project / "Dockerfile").read_text()
    assert "_commit: v0.2.0" in (project / ".copier-answers.yml").read_text()
    assert "Update Rung's files to v0.2.0" == git(project, "log", "-1", "--format=%s")


def test_an_update_and_a_climb_are_told_to_programs_as_a_plan_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_from = tiny.template(tmp_path / "template", files={"CHANGELOG.md": "# Changes\n"})
    project = tiny.new_project(made_from, tmp_path / "p", level=0)
    options = ["--template", made_from, "--format", "json"]
    assert 0 == rung("plan", project, "--to", 1, *options)
    planned = json.loads(capsys.readouterr().out)
    assert 0 == rung("climb", project, "--to", 1, *options, "--no-verify")
    climbed = json.loads(capsys.readouterr().out)

    assert planned == {name: climbed[name] for name in planned}
    assert git(project, "rev-parse", "HEAD") == climbed["commit"]
    assert (None, None) == (climbed["branch"], climbed["checks_passed"])

    news = "# Changes\n\n## 0.2.0\n\n- A better Dockerfile.\n"
    tiny.release(made_from, "v0.2.0", {"CHANGELOG.md": news, "files/Dockerfile": "FROM better\n"})
    assert 0 == rung("update", project, *options, "--no-verify", "--branch", "new")
    updated = json.loads(capsys.readouterr().out)
    assert ("new", ["Dockerfile"]) == (updated["branch"], updated["changed"][1:])
    assert "A better Dockerfile." in updated["changelog"]
    assert 2 == rung("update", project, "--format", "yaml")
    assert "There is no format `yaml`" in capsys.readouterr().err


def test_a_climb_names_the_lock_file_altered_commands_and_what_to_do_once() -> None:
    before, after = (
        ProjectState("", "v1", None, {"level": level, "use_case": "governance"}) for level in (2, 3)
    )
    new = plans.new_contents(Source(str(ROOT), "", None), before, after)
    plan = Plan("", before, after, "", added=["ops/service.toml"], locks=True, **new)
    texts = [messages.plan(plan), messages.done(Outcome(plan, "abc", passed=True))]
    message = messages.message(plan)

    for text in (*texts, message):
        assert "uv.lock" in text
    for run in ("gate", "promote VERSION", "rollback"):
        assert f"~ uv run poe {run}: " in texts[0]
        assert f"- uv run poe {run}: " in message
    for text in texts:
        assert "uv run poe keys: Until you commit the `release.pub`" in text


def test_a_plan_with_a_name_that_is_not_utf_8_is_read_again(tmp_path: Path) -> None:
    state = ProjectState("", "v1", None, {"level": 2})
    plan = Plan("", state, state, "", kept=["caf\udce9.py"])
    plans.save(tmp_path / "plan", tmp_path, plans.ChangeRequest({"level": 3}), None, plan)

    assert plans.load(tmp_path / "plan").plan["kept"] == plan.kept


def test_a_changed_requirement_or_wheel_changes_the_lock_file_and_nothing_else_does(
    project: Path,
) -> None:
    assert not tiny.plan(project, level=1).locks
    tiny.edit(project, {"uv.lock": "old\n"})

    assert tiny.plan(project, level=1).locks
    assert not tiny.plan(project, ci="gitlab").locks


def test_an_update_prints_the_changelog_first_and_the_conflict_last(tmp_path: Path) -> None:
    made_from = tiny.template(tmp_path / "template", files={"CHANGELOG.md": "# Changes\n"})
    project = tiny.new_project(made_from, tmp_path / "p", level=1)
    tiny.edit(project, {"Dockerfile": "FROM mine\nCOPY . .\n"})
    news = "# Changes\n\n## 0.2.0\n\n- A better Dockerfile.\n"
    changed = {"CHANGELOG.md": news, "files/Dockerfile": "FROM other\nCOPY . .\n"}
    tiny.release(made_from, "v0.2.0", changed)
    typed = [
        *("update", str(project), "--template-version", "v0.2.0"),
        "--template",
        str(made_from),
    ]
    done = subprocess.run(
        [RUNG, *typed],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    output = done.stdout

    assert 1 == done.returncode
    assert output.index("A better Dockerfile.") < output.index("rung: Merge conflict.")
    assert output.endswith(f"  rung {' '.join(typed)} --branch climb\n")
