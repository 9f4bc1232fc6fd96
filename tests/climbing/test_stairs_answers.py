"""Without edits, a climb to one other answer gives a fresh project.

Each climb begins from every rung of both games, and beside each answer to each other question: that
is what OFTEN holds. All combinations of the answers would be twice as many climbs of the same steps.
"""

from pathlib import Path
from typing import Any

import pytest

from rung.rendering.workbench import Workbench
from rung.source import Source
from tests.climbing.stairs import arrives, bench, room, template
from tests.conftest import CORE, OFTEN, name_of

__all__ = ["bench", "room", "template"]  # fixtures


@pytest.mark.slow
@pytest.mark.parametrize("answers", OFTEN, ids=name_of)
def test_every_other_answer(
    room: Path, bench: Workbench, template: Source, answers: dict[str, Any]
) -> None:
    for question, choices in CORE.items():
        for choice in choices:
            if question != "level" and choice != answers[question]:
                arrives(room, bench, template, answers, {question: choice})
