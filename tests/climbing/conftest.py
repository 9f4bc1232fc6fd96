"""The tiny template and its projects, each made once; a test gets a copy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rung.core import template_source
from rung.core.template_source import Source
from tests.climbing import tiny

NewProject = Callable[[int], Path]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with three rungs of a few files."""
    return tiny.template(tmp_path_factory.mktemp("template") / "template")


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Callable[[int], Path]:
    """Return a project of the tiny template on each rung."""
    made: dict[int, Path] = {}

    def original(level: int) -> Path:
        if level not in made:
            made[level] = tiny.new_project(small, tmp_path_factory.mktemp("new") / "p", level=level)
        return made[level]

    return original


@pytest.fixture
def new_project(tmp_path: Path, originals: Callable[[int], Path]) -> NewProject:
    """Return a separate project on a rung."""
    return lambda level: tiny.copy(originals(level), tmp_path / f"project-{level}")


@pytest.fixture
def project(new_project: NewProject) -> Path:
    """Return a separate project on rung 0."""
    return new_project(0)


@pytest.fixture(scope="session")
def template(copier_template: Path) -> Source:
    """Return today's template as `rung` follows it."""
    return template_source.choose(str(copier_template), None)
