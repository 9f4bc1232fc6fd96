"""Climbs of an unedited project, from any answers to any others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.core import project, source
from rung.core.climbing import planner
from rung.core.climbing.plan import ChangeRequest
from rung.core.rendering import rendered_trees, workbench
from rung.core.rendering.workbench import Workbench
from rung.core.source import Source
from tests.climbing.tiny import commit, git
from tests.conftest import name_of


@pytest.fixture(scope="module")
def template(copier_template: Path) -> Source:
    return source.choose(str(copier_template), None)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, template: Source) -> Path:
    """Return a project; its files are those of whatever answers it is set to."""
    folder = tmp_path_factory.mktemp("stairs") / "p"
    project.render(template.address, template.ref, folder, {}, defaults=True)
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
