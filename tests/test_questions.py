"""The interview: the game first, and a question only where its answer changes something."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.levels.template_answers import gather_answers, is_answer
from tests import asking
from tests.command import RUNG, dialogue, rung
from tests.conftest import CHOICES, QUESTIONS, ROOT, Render, files_of

ANSWERS = ".copier-answers.yml"
# The first rung of which an answer brings a file or a command.
FIRST = {"data": 0, "ci": 1, "compute": 1, "tracking": 2, "orchestrator": 2, "features": 3}
SMALL = ("data", "ci")  # whose projects are quickly made


def asked() -> list[str]:
    """List what a person can be asked, in order."""
    questions = yaml.safe_load((ROOT / "levels" / "questions.yml").read_text())
    return [name for name, question in questions.items() if is_answer(name, question)]


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


def test_an_answer_is_taken_by_the_name_that_texts_had_for_the_question() -> None:
    assert {"use_case": "governance", "level": "2"} == gather_answers(
        None, ["game=governance", "rung=2"], {}
    )


def test_a_line_of_the_interview_fits_60_columns() -> None:
    asked = [
        each for each in QUESTIONS.values() if "help" in each and each.get("when") is not False
    ]
    lines = [line for each in asked for line in each["help"].splitlines()]
    listed = [each["choices"] for each in asked if isinstance(each.get("choices"), dict)]
    labels = [f" » {label}" for choices in listed for label in choices]

    assert [] == [line for line in [*lines, *labels] if len(line) > 59]
    assert {"?"} == {each["qmark"] for each in asked}, "and begins with no emoji"


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
    return asking.template(tmp_path / "template")


COPIER = (sys.executable, "-m", "copier")


def test_on_a_terminal_of_plain_copier_what_is_typed_replaces_the_suggestion(
    questions: Path, tmp_path: Path
) -> None:
    keys = (
        ("", "Which kind"),
        ("\r", "Made"),
        (".\r", "question 'name': Use letters"),  # not a name of the template's own
        ("\x15Class\r", "class_model"),  # `class` could not be imported
        ("import\r", "choose another, such as `import_model`"),
        ("\x15churn\r", "for whom"),
        ("Who leaves?\r", "Who works on it"),
        ("\r", "raw data"),
        ("\x1b[B\r", "object store's address"),
        ("\r", "churn-data"),
        ("raw\r", "Which prefix"),
        ("\r", "runs recorded"),
        ("\x1b[B\r", "http://127.0.0.1:5000"),
        ("https://mlflow.example.org\r", "Which CI"),
        *(("\r", asked) for asked in ("run on", "on schedule", "")),
    )
    dialogue(*COPIER, "copy", "--data", "level=2", questions, tmp_path / "made", keys=keys)

    answers = yaml.safe_load((tmp_path / "made" / ANSWERS).read_text())
    typed = {
        "project_name": "Class",
        "package": "churn",
        "description": "Who leaves?",
        "store_bucket": "raw",
        "tracking_uri": "https://mlflow.example.org",
    }
    assert typed.items() <= answers.items()


@pytest.mark.parametrize(
    ("columns", "ends"), [(60, "and is soon"), (100, "so releases are automatic.")]
)
def test_the_interview_explains_a_question_and_goes_back(
    tmp_path: Path, columns: int, ends: str
) -> None:
    made, template = tmp_path / "made", asking.repository(tmp_path / "template")
    command = (RUNG, "new", made, "--no-git", "--template", template)
    keys = (
        ("", "approved"),
        ("<", "approved"),  # nothing is before the first question
        ("?", "approved"),
        ("\x1b[B\r", "Made"),
        ("Late\r", "package called"),
        ("<", "Late"),  # what was typed is in the line
        ("<", "approved"),
        ("\x1b[A\r", "project called"),
        ("r\r", "later"),
        ("\r", "for whom"),
        ("Why so late? < 3 hours\r", "ways to work"),  # the last that is drawn
        ("\x1b[B", "2 to 8"),
        ("?", "ways to work"),
        ("\r", "Which rung"),
        ("\r", "raw data"),
        ("\r", ""),
    )
    seen = dialogue(*command, keys=keys, columns=columns)

    typed = {"use_case": "velocity", "project_name": "Later", "package": "later", "level": 0}
    answers = yaml.safe_load((made / ANSWERS).read_text())
    assert typed.items() <= answers.items()
    assert answers["description"] == "Why so late? < 3 hours"
    assert f"{ends}\r\n" in seen, "an explanation is folded at the terminal's width"


@pytest.mark.parametrize("columns", [60, 100])
def test_the_interview_says_why_an_answer_is_refused_and_asks_again(
    tmp_path: Path, columns: int
) -> None:
    made, template = tmp_path / "made", asking.repository(tmp_path / "template")
    command = (RUNG, "new", made, "--no-git", "--template", template, "--level", "0")
    keys = (
        ("", "approved"),
        ("\r", "Made"),
        ("\r", "package called"),
        ("class", "class"),  # is not judged before it is complete
        ("\r", "Your code goes"),
        ("churn\r", "for whom"),
        ("\r", "ways to work"),
        ("\r", "raw data"),
        ("\r", ""),
    )
    seen = dialogue(*command, keys=keys, columns=columns)

    assert yaml.safe_load((made / ANSWERS).read_text())["package"] == "churn"
    assert "import_name" not in seen and "Validation error" not in seen
    said = " ".join(seen.split())
    assert "as in `import NAME`? `class` is the name of a Python keyword or of a package" in said


def test_a_key_that_comes_with_the_place_of_the_cursor_counts(tmp_path: Path) -> None:
    template = asking.repository(tmp_path / "template")
    command = (RUNG, "new", tmp_path / "made", "--no-git", "--template", template)
    keys = (
        ("", "\x1b[6n"),  # the terminal is asked where its cursor is
        ("\x1b[1;1R?", "releases are automatic"),
    )
    dialogue(*command, keys=keys, no_cpr="")


def test_a_lower_rung_after_going_back_asks_nothing_of_the_one_that_was_left(
    tmp_path: Path,
) -> None:
    made, template = tmp_path / "made", asking.repository(tmp_path / "template")
    given = ("use_case=velocity", "project_name=Late", "package=late", "team_size=one")
    data = [f"--data={answer}" for answer in (*given, "description=Why")]
    keys = (
        ("", "Which rung"),
        ("\x1b[B\x1b[B\r", "raw data"),
        ("\r", "training runs"),
        ("\r", "Which CI"),
        ("<", "training runs"),
        ("<", "raw data"),
        ("<", "Which rung"),
        ("\x1b[A\x1b[A\r", "raw data"),
        ("\r", ""),
    )
    dialogue(RUNG, "new", made, "--no-git", "--template", template, *data, keys=keys)

    answers = yaml.safe_load((made / ANSWERS).read_text())
    assert answers["level"] == 0 and "tracking" not in answers
