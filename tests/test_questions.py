"""The interview: the game first, and a question only where its answer changes something."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from rung import private_names
from tests.command import rung
from tests.conftest import CHOICES, ROOT, Render, files_of

ANSWERS = ".copier-answers.yml"
# The first rung of which an answer brings a file or a command.
FIRST = {"data": 0, "ci": 1, "compute": 1, "tracking": 2, "orchestrator": 2, "features": 3}
SMALL = ("data", "ci")  # whose projects are quickly made


def asked() -> list[str]:
    """List what a person can be asked, in order."""
    questions = yaml.safe_load((ROOT / "levels" / "questions.yml").read_text())
    return [name for name, question in questions.items() if question.get("when") is not False]


def test_the_game_comes_first_and_the_rung_before_what_it_may_not_need() -> None:
    order = asked()

    assert order[0] == "use_case"
    assert order.index("team_size") < order.index("level")
    assert all(order.index("level") < order.index(name) for name in FIRST)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        pytest.param(*each, marks=[] if each[0] in SMALL else [pytest.mark.slow])
        for each in FIRST.items()
    ],
)
def test_what_is_asked_changes_a_project_of_that_rung_and_nothing_else_does(
    render: Render, question: str, first: int
) -> None:
    def made(level: int, **answers: Any) -> dict[str, bytes]:
        files = files_of(render(use_case="velocity", level=level, team_size="team", **answers))
        del files["RUNG.md"]  # tells of the next rung too
        return files

    for level in range(max(0, first - 1), first + 1):
        plain = made(level)
        is_asked = question in yaml.safe_load(plain.pop(ANSWERS))
        others = [made(level, **{question: answer}) for answer in CHOICES[question][1:]]
        changes = any({**other, ANSWERS: b""} != {**plain, ANSWERS: b""} for other in others)
        assert (is_asked, changes) == (level == first, level == first), level


def test_what_was_answered_is_remembered_where_it_is_of_no_effect(render: Render) -> None:
    answers = yaml.safe_load(files_of(render(level=0, ci="gitlab"))[ANSWERS])

    assert answers["ci"] == "gitlab"


def test_a_plan_says_what_is_answered_for_the_first_time(
    tmp_path: Path, copier_template: Path
) -> None:
    template = ("--template", copier_template)
    assert rung("new", tmp_path / "made", "--defaults", "--level", "0", *template).returncode == 0

    def plan(*options: str) -> str:
        return rung("plan", tmp_path / "made", "--to", "1", *options, *template).stdout

    assert "From rung 0 to rung 1:" in plan()
    assert "  = ci: github\n  = compute: machine\n" in plan()
    assert "  = ci: gitlab\n" in plan("-d", "ci=gitlab")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Make a template that has the questions, and renders nothing."""
    template = tmp_path / "template"
    shutil.copytree(ROOT / "levels", template / "levels")
    shutil.copy(ROOT / "copier.yml", template)
    (template / "templates" / "project").mkdir(parents=True)
    answers = template / "templates" / "project" / "{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers | to_nice_yaml }}")
    return template


SUGGESTED = "Will a flight arrive more than 15 minutes late, asked when it is scheduled?"


@pytest.mark.parametrize(
    ("question", "suggestion", "refused", "kept"),
    [
        (
            "project_name",
            "Late flights",
            ["Churn", "churn", "shipping"],
            ["", " 2", "-EU", "s", "s of the EU", "2"],
        ),
        ("description", SUGGESTED, ["Who leaves?"], ["", " And why?"]),
    ],
)
def test_what_is_typed_behind_a_suggestion_is_not_taken_for_one_answer(
    questions: Path, question: str, suggestion: str, refused: list[str], kept: list[str]
) -> None:
    def accepts(typed: str, **answers: str) -> bool:
        with private_names.copier().worker(str(questions), "made", data=answers) as worker:
            details = worker.template.questions_data[question]
            context = worker._render_context() | {"use_case": "velocity", "reserved_packages": []}
            asked_for = private_names.copier().question(
                answers=worker.answers,
                context=context | {"project_name": "Late flights"},
                jinja_env=worker.jinja_env,
                var_name=question,
                **details,
            )
            try:
                asked_for.validate_answer(suggestion + typed)
            except ValueError as error:
                assert "clear the line" in str(error)
                return False
            return True

    assert [] == [typed for typed in refused if accepts(typed)]
    assert kept == [typed for typed in kept if accepts(typed)]


def test_an_unusual_name_that_was_recorded_or_stated_is_no_mistake(
    questions: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    copier.run_copy(
        str(questions), made, data={"project_name": "Late flightsChurn"}, defaults=True, quiet=True
    )
    copier.run_recopy(made, defaults=True, overwrite=True, quiet=True)

    assert "Late flightsChurn" == yaml.safe_load((made / ANSWERS).read_text())["project_name"]


def test_on_a_terminal_copier_says_how_to_replace_a_suggestion(
    questions: Path, tmp_path: Path
) -> None:
    pty = pytest.importorskip("pty")
    terminal, side = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(side, (40, 200))
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "copy", questions, tmp_path / "made"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), side),
        start_new_session=True,
    )
    os.close(side)

    def answer(keys: bytes, shown: bytes) -> None:
        os.write(terminal, keys)
        seen = b""
        until = time.monotonic() + 60
        while shown not in seen and time.monotonic() < until:
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4_096)
        assert shown in seen

    try:
        answer(b"", b"Which game")
        answer(b"\r", b"project called")
        answer(b"Churn\r", b"clear the line with Ctrl-U")
        answer(b"\x15Churn\r", b"your package called")
        answer(b"", b"churn")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
