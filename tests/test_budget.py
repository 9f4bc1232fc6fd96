"""A project stays small enough to be read: files and lines, of each rung and of each climb."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GAMES, ROOT, VENDORS, Render, files_of

DATA = {".parquet", ".data", ".whl"}  # not read by people
# What may be Python of Rung's beside src/, pipeline/ and tests/.
PYTHON = ("data/sample/rebuild.py", "dags/", "tracking/start.py", "models/")

# By game and rung: files and lines at most.
BUDGETS = {
    ("velocity", 0): (28, 1_100),
    ("velocity", 1): (36, 1_500),
    ("velocity", 2): (44, 2_000),
    ("velocity", 3): (56, 2_700),
    ("velocity", 4): (62, 3_170),
    ("governance", 0): (28, 1_350),
    ("governance", 1): (42, 2_150),
    ("governance", 2): (58, 2_900),
    ("governance", 3): (80, 4_400),
    ("governance", 4): (85, 4_700),
}
# Files and lines that the climb from rung 2 to 3 may add, in either game.
CLIMB = (25, 910)
LARGEST = (150, 7_500)
LARGEST_ANSWERS: dict[str, Any] = {
    "use_case": "governance",
    "team_size": "teams",
    "level": 4,
    "tracking": "server",
    "compute": "ray_on_kubernetes",
    "orchestrator": "airflow",
}


def size(project: Path) -> tuple[int, int]:
    """Count the files and lines that a person may have to read."""
    texts = [text for path, text in files_of(project).items() if Path(path).suffix not in DATA]
    return len(texts), sum(text.count(b"\n") for text in texts)


def within(size: tuple[int, int], budget: tuple[int, int]) -> bool:
    return all(is_ <= most for is_, most in zip(size, budget, strict=True))


def stray_python(project: Path) -> list[str]:
    own = ("src/", "pipeline/", "tests/", *PYTHON)
    return [path for path in files_of(project) if path.endswith(".py") and not path.startswith(own)]


@pytest.mark.parametrize(("game", "rung"), BUDGETS)
def test_a_project_is_within_its_budget(render: Render, game: str, rung: int) -> None:
    project = render(use_case=game, level=rung, team_size="one")
    result = size(project)

    assert within(result, BUDGETS[game, rung]), f"{result} files and lines"
    assert stray_python(project) == []


def test_the_readme_counts_files_as_rung_new_does(render: Render) -> None:
    least, most = (len(files_of(render(level=rung))) for rung in (0, 4))

    assert f"{least} files on rung 0, {most} on rung 4" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("game", GAMES)
def test_the_page_on_new_projects_has_their_sizes(render: Render, game: str) -> None:
    sizes = [size(render(use_case=game, level=rung, team_size="one")) for rung in (0, 2, 4)]

    files = ", ".join(str(files) for files, _ in sizes)
    lines = ", ".join(f"{round(lines, -2):,}" for _, lines in sizes)
    assert f"| {game} 0, 2, 4 | {files} | {lines} |" in (ROOT / "docs/new.md").read_text()


@pytest.mark.parametrize("ci", VENDORS)
@pytest.mark.parametrize("data", ["store", "warehouse"])
def test_the_largest_project_is_within_its_budget(render: Render, ci: str, data: str) -> None:
    project = render(**LARGEST_ANSWERS, ci=ci, data=data)

    assert within(size(project), LARGEST), f"{size(project)} files and lines"
    assert stray_python(project) == []


@pytest.mark.parametrize("game", GAMES)
def test_a_climb_from_rung_2_to_3_can_be_reviewed(render: Render, game: str) -> None:
    files, lines = size(render(use_case=game, level=2, team_size="one"))
    more_files, more_lines = size(render(use_case=game, level=3, team_size="one"))

    added = (more_files - files, more_lines - lines)
    assert within(added, CLIMB), f"{added} files and lines more"
