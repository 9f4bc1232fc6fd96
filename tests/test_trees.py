"""What twenty projects hold, as text: a file that appears or goes shows up in a review."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import VARIANTS, Render, files_of, name_of

TREES = Path(__file__).parent / "trees"
REMEDY = "If that is meant: `uv run pytest tests/test_trees.py --write-trees`, and commit."


@pytest.mark.parametrize("answers", VARIANTS, ids=name_of)
def test_a_project_holds_the_files_that_are_written_down(
    render: Render, pytestconfig: pytest.Config, answers: dict[str, Any]
) -> None:
    expected = TREES / f"{name_of(answers)}.txt"
    tree = "".join(f"{path}\n" for path in files_of(render(**answers)))
    if pytestconfig.getoption("--write-trees"):
        expected.write_text(tree)

    assert expected.read_text() == tree, REMEDY
