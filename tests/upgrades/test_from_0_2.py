"""From 0.2, as it was shortly before its release: no edit is lost, and nothing conflicts."""

from itertools import product
from pathlib import Path

import pytest

from tests.climbing import tiny
from tests.climbing.tiny import files_of
from tests.conftest import GAMES, LEVELS
from tests.upgrades import corpus
from tests.upgrades.corpus import TODAY

OLD = "v0.2"
OFTEN = [("velocity", 4), ("governance", 3)]  # the slow suites look at every other rung
# Planted once, and the user's since.
PLANTED = {"README.md", "data/sample/README.md", "docs/use_case.md", "docs/datasheet.md"}
PLANTED |= {"docs/model_card.md", "docs/privacy.md", "params.toml"}
PLANTED |= {f"pipeline/{name}.py" for name in ("evaluate", "split", "train", "validate")}
PLANTED |= {"notebooks/explore.ipynb", "tests/test_model.py"}


@pytest.fixture(
    params=[
        pytest.param(each, marks=[] if each in OFTEN else [pytest.mark.slow])
        for each in product(GAMES, LEVELS)
    ],
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def project(request: pytest.FixtureRequest, versions: Path, tmp_path: Path) -> Path:
    """Return a project of 0.2 for each game and level."""
    game, level = request.param
    return tiny.new_project(versions, tmp_path / "p", OLD, use_case=game, level=level)


def test_without_edits_it_becomes_a_project_of_today(
    versions: Path, project: Path, tmp_path: Path
) -> None:
    tiny.climb(project, TODAY)

    (package,) = (project / "src").iterdir()
    code = {f"src/{package.name}/{name}.py" for name in ("dataset", "features", "model")}
    assert corpus.unlike_fresh(project, versions, tmp_path / "new") <= PLANTED | code


def test_no_edit_is_lost_and_nothing_conflicts(versions: Path, project: Path) -> None:
    applied = corpus.edit(project, OLD)
    written = corpus.tokens(files_of(project))

    tiny.climb(project, TODAY)

    assert {"ignored", "packages", "stage", "tests"} <= set(applied)
    assert written == corpus.tokens(files_of(project))
