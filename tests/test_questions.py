"""The interview: the game first, and a question only where its answer changes something."""

from pathlib import Path
from typing import Any

import pytest
import yaml

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
