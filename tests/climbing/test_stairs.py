"""Without edits, a climb between any two sets of answers gives a fresh project."""

from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from rung.core.rendering.workbench import Workbench
from rung.core.template_source import Source
from tests.climbing.stairs import arrives, bench, room, template
from tests.conftest import GAMES, INFRASTRUCTURE, LEVELS, TOGETHER

__all__ = ["bench", "room", "template"]  # fixtures

COMMON: dict[str, Any] = {"use_case": "velocity", "team_size": "one", "ci": "github", "level": 0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"level": 4}),
        ({"level": 4}, {"level": 0}),
        ({"level": 2}, {"use_case": "governance"}),
        ({"level": 3, "data": "warehouse"}, {"data": "store", "compute": "ray"}),
        *(
            pytest.param(before, after, marks=pytest.mark.slow)
            for before, after in [
                ({"use_case": "governance", "level": 1}, {"level": 3}),
                ({"level": 3}, {"ci": "gitlab", "team_size": "teams"}),
                ({"level": 4}, {"data": "warehouse", "tracking": "server"}),
                ({"level": 4, "compute": "ray_on_kubernetes"}, {"compute": "machine"}),
                ({"level": 2, "orchestrator": "airflow"}, {"orchestrator": "none"}),
            ]
        ),
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
