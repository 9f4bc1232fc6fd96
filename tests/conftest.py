"""What the tests share: the template, and its renderings, each made once."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import copier as copier_api
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE_PATHS = ["copier.yml", "levels", "templates"]

GAMES = ["velocity", "governance"]
TEAM_SIZES = ["one", "team", "teams"]
VENDORS = ["github", "gitlab", "azure"]
LEVELS = [0, 1, 2, 3, 4]
CHOICES: dict[str, list[Any]] = {
    "use_case": GAMES,
    "team_size": TEAM_SIZES,
    "ci": VENDORS,
    "level": LEVELS,
}

# Every combination of the answers that a person can choose from a list.
COMBINATIONS: list[dict[str, Any]] = [
    dict(zip(CHOICES, answers, strict=True)) for answers in product(*CHOICES.values())
]

Render = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to write down the expected trees anew."""
    parser.addoption("--write-trees", action="store_true", help="write tests/trees/ anew")


def name_of(answers: dict[str, Any]) -> str:
    """Name a combination, for test ids and file names."""
    return "-".join(str(answers[question]) for question in CHOICES)


def files_of(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its path; git's own folder is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.fixture(scope="session", autouse=True)
def cache_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the renders of tests out of the person's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNG_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def copier_template_paths() -> list[str]:
    """Tell pytest-copier what of this repository is the template."""
    return TEMPLATE_PATHS


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory, copier_template: Path) -> Render:
    """Render a project with Copier, without trust, once for each set of answers."""
    made: dict[tuple[tuple[str, Any], ...], Path] = {}

    def rendered(**answers: Any) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("project") / "project"
            copier_api.run_copy(
                str(copier_template), made[key], data=answers, defaults=True, quiet=True
            )
        return made[key]

    return rendered
