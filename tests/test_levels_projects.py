"""A project has the files and tasks that the level files claim for its answers."""

import tomllib
from typing import Any

import pytest
import yaml

from rung.core import level_contents
from rung.core.template_source import Source
from rung.levels.ladder import Capability, Claim
from tests.conftest import COMBINATIONS, PLAIN, ROOT, Render, files_of, name_of
from tests.test_levels import YOURS, claims, matching


def holds(claim: Claim, capability: Capability | None, rung: int, answers: dict[str, Any]) -> bool:
    answers = PLAIN | {"ejected": "no", "documents": "with_rung", "service_image": "hand"} | answers
    first = capability.rung(answers["use_case"]) if capability else rung
    return (
        first is not None
        and first <= answers["level"]
        and all(answers[question] in wanted for question, wanted in claim.needs.items())
    )


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_a_project_gets_what_is_claimed_for_it_and_nothing_else(
    render: Render, answers: dict[str, Any]
) -> None:
    game = answers["use_case"]
    rungs = range(answers["level"] + 1)
    owners = ["always", game, *(f"{game}-{answers['team_size']}-{rung}" for rung in rungs)]
    patterns = [path for owner in owners for path in YOURS.get(owner, [])]
    patterns += [
        claim.path
        for claim, _, capability, rung in claims()
        if holds(claim, capability, rung, answers)
    ]
    expected = frozenset().union(*map(matching, patterns))
    package = yaml.safe_load((render(**answers) / ".copier-answers.yml").read_text())["package"]

    assert {
        path.replace(f"src/{package}/", "src/package/") for path in files_of(render(**answers))
    } == expected


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_the_commands_of_a_rung_are_the_tasks_of_its_projects(
    render: Render, answers: dict[str, Any]
) -> None:
    tasks = (render(**answers) / "ops" / "tasks.toml").read_text()
    contents = level_contents.contents(Source(str(ROOT), "", None), PLAIN | answers)
    commands = {run.removeprefix("uv run poe ").split()[0] for run in contents.commands}

    assert set(tomllib.loads(tasks)["tool"]["poe"]["tasks"]) == commands
