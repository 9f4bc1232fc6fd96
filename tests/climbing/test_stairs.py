"""Without edits, a climb between any two sets of answers gives a fresh project."""

from collections.abc import Iterator
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from rung.core.climbing import planner
from rung.core.climbing.plans import ChangeRequest
from rung.core.rendering import rendered_trees, workbench
from rung.core.rendering.render import render
from rung.core.rendering.workbench import Workbench
from rung.core.template_source import Source
from tests.climbing.tiny import commit, git
from tests.conftest import (
    COMBINATIONS,
    CORE,
    GAMES,
    INFRASTRUCTURE,
    LEVELS,
    TOGETHER,
    VARIANTS,
    name_of,
)

COMMON: dict[str, Any] = {"use_case": "velocity", "team_size": "one", "ci": "github", "level": 0}
# Each climb to one other answer begins beside each answer to each other question, which is what
# VARIANTS holds, and on the highest rung of both games, which has all files.
BEGINNINGS = [step for step in COMBINATIONS if step in VARIANTS or step["level"] == LEVELS[-1]]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, template: Source) -> Path:
    """Return a project; its files are those of whatever answers it is set to."""
    folder = tmp_path_factory.mktemp("stairs") / "p"
    render(template, folder, {}, defaults=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "core.autocrlf", "false")
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def bench(room: Path) -> Iterator[Workbench]:
    with workbench.opened(room) as opened:
        yield opened


def start(room: Path, bench: Workbench, template: Source, answers: dict[str, Any]) -> None:
    """Make the project a fresh one for some answers."""
    made = bench.commit(rendered_trees.rendered(bench, template, answers), [], name_of(answers))
    bench.keep(git(room, "rev-parse", "HEAD"), made)
    git(room, "reset", "--quiet", "--hard", made)


def arrives(
    room: Path, bench: Workbench, template: Source, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Assert that the climb gives the files of a fresh project; the user's own stay."""
    start(room, bench, template, before)
    with planner.prepare(room, ChangeRequest(after), template.address) as prepared:
        assert [] == prepared.plan.conflicts
        assert [] == [
            *prepared.plan.kept,
            *prepared.plan.gone,
            *prepared.plan.edited,
            *prepared.plan.ignored,
        ]
        was, fresh = (
            bench.files(rendered_trees.rendered(bench, template, answers))
            for answers in (before, prepared.plan.after.answers)
        )
        yours = rendered_trees.of_the_user({*was, *fresh}, [template])
        wanted = {path: entry for path, entry in fresh.items() if path not in yours}
        wanted |= {path: entry for path, entry in was.items() if path in yours}
        assert wanted == prepared.bench.files(prepared.plan.result)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"level": 4}),
        ({"level": 4}, {"level": 0}),
        ({"level": 2}, {"use_case": "governance"}),
        ({"level": 3, "data": "warehouse"}, {"data": "store", "compute": "ray"}),
    ],
    ids=str,
)
def test_a_climb_gives_a_fresh_project(
    room: Path,
    bench: Workbench,
    template: Source,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    arrives(room, bench, template, COMMON | before, after)


@pytest.mark.slow
@pytest.mark.parametrize(("team_size", "ci"), TOGETHER)
@pytest.mark.parametrize("use_case", GAMES)
def test_every_pair_of_rungs(
    room: Path, bench: Workbench, template: Source, use_case: str, ci: str, team_size: str
) -> None:
    """In both games; with more people and another vendor each step up, and the way down."""
    common = {"use_case": use_case, "team_size": team_size, "ci": ci}
    steps = [*pairwise(LEVELS), (LEVELS[-1], LEVELS[0])]
    for before, after in permutations(LEVELS, 2) if team_size == "one" else steps:
        arrives(room, bench, template, common | {"level": before}, {"level": after})


@pytest.mark.slow
@pytest.mark.parametrize("question", INFRASTRUCTURE)
@pytest.mark.parametrize("use_case", GAMES)
def test_every_pair_of_answers_about_infrastructure(
    room: Path, bench: Workbench, template: Source, use_case: str, question: str
) -> None:
    """At the top, and on a rung that has little of it; from there also up, with the answer."""
    for level in (1, 4):
        common = COMMON | {"use_case": use_case, "level": level}
        for before, after in permutations(INFRASTRUCTURE[question], 2):
            arrives(room, bench, template, common | {question: before}, {question: after})
    for answer in INFRASTRUCTURE[question]:
        common = COMMON | {"use_case": use_case, "level": 1}
        arrives(room, bench, template, common, {question: answer, "level": 4})


@pytest.mark.slow
@pytest.mark.parametrize("answers", BEGINNINGS, ids=name_of)
def test_every_other_answer(
    room: Path, bench: Workbench, template: Source, answers: dict[str, Any]
) -> None:
    for question, choices in CORE.items():
        for choice in choices:
            if question != "level" and choice != answers[question]:
                arrives(room, bench, template, answers, {question: choice})
