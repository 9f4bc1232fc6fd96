"""From 0.1 to today's version by the command, as a person does it; then checks and pipeline pass."""

from pathlib import Path

import pytest

from tests.climbing import tiny
from tests.command import git, rung
from tests.product.conftest import commit, environment, run, types_remembered
from tests.upgrades import corpus
from tests.upgrades.corpus import TODAY

__all__ = ["types_remembered"]  # a fixture
pytestmark = pytest.mark.slow

OLD = "v0.1"
# The lowest and the highest rungs; what becomes of each rung's files is in test_from_0_1.py.
PROJECTS = [("velocity", 0), ("velocity", 4), ("governance", 4)]


@pytest.mark.parametrize(("game", "level"), PROJECTS)
def test_an_edited_project_works_afterwards(
    versions: Path, tmp_path: Path, game: str, level: int
) -> None:
    project = tiny.new_project(versions, tmp_path / "project", OLD, use_case=game, level=level)
    corpus.edit(project, OLD)
    run("uv", "lock", "--quiet", cwd=project)
    commit(project, "Lock")
    options = ("--template", versions, "--template-version", TODAY)

    output = rung("update", "--branch", "newer", *options, cwd=project, environment=environment())
    assert 1 == output.returncode, output.stdout + output.stderr
    assert "The stage is now pipeline/train.py, yours to edit." in " ".join(output.stdout.split())
    run("git", "switch", "--quiet", "newer", cwd=project)
    _decide(project)
    run("uv", "lock", "--quiet", cwd=project)
    run("uv", "run", "poe", "check", cwd=project)
    commit(project, "Decide")
    run("uv", "run", "poe", "pipeline" if level >= 2 else "train", cwd=project)

    assert "another seed" in (project / "pipeline/train.py").read_text()
    assert [] == list(project.glob("ops/**/*.py"))
    assert "" == git(project, "status", "--porcelain", "--untracked-files=no", "--", "ops", "src")


def _decide(project: Path) -> None:
    """Do by hand what the conflicts and the list of old names say."""
    stage = project / "pipeline/train.py"
    seed = 'settings["seed"]'
    assert seed in stage.read_text()
    stage.write_text(stage.read_text().replace(seed, f"{seed} + 1", 1) + "# EDIT another seed\n")
    for file in project.glob("ops/**/*.py"):
        file.unlink()
    script = project / "scripts/seed.py"
    script.write_text(
        script.read_text()
        .replace("from ops import estimator\n", "from rung_ops.stages import params, predict\n")
        .replace("from ops.settings import params\n", "")
        .replace("estimator", "predict")
    )
