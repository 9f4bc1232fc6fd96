"""Without edits, a climb to one other answer gives a fresh project.

Each climb begins beside each answer to each other question, which is what VARIANTS holds, and on the
highest rung of both games, which has all files. More combinations would be more climbs of the same
steps.
"""

from pathlib import Path
from typing import Any

import pytest

from rung.core.rendering.workbench import Workbench
from rung.core.template_source import Source
from tests.climbing.stairs import arrives, bench, room, template
from tests.conftest import CORE, LEVELS, OFTEN, VARIANTS, name_of

__all__ = ["bench", "room", "template"]  # fixtures

HERE = [each for each in OFTEN if each in VARIANTS or each["level"] == LEVELS[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("answers", HERE, ids=name_of)
def test_every_other_answer(
    room: Path, bench: Workbench, template: Source, answers: dict[str, Any]
) -> None:
    for question, choices in CORE.items():
        for choice in choices:
            if question != "level" and choice != answers[question]:
                arrives(room, bench, template, answers, {question: choice})
