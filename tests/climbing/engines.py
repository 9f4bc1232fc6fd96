"""Rung as the engine that runs the histories, and the fresh projects that they start from."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung.core.climbing import apply, planner
from rung.core.climbing.plans import ChangeRequest
from rung.core.rendering import rendered_trees, workbench
from rung.core.template_source import Source
from tests.climbing.histories import Climbed, Engine, Fresh
from tests.command import git


def fresh_projects(source: Source, folder: Path) -> Fresh:
    """Return what gives a fresh project for some answers, as Copier renders it, with one commit.

    Rung's cache of renders is read, so that a history costs its merges alone.
    """
    assert source.repository is not None
    repository = source.repository

    def fresh(answers: Mapping[str, Any]) -> Path:
        directory = folder / "-".join(str(answers[name]) for name in sorted(answers))
        if not directory.exists():
            with workbench.opened(repository) as bench:
                packed = bench.git("archive", rendered_trees.rendered(bench, source, answers))
            with tarfile.open(fileobj=io.BytesIO(packed.encode(errors="surrogateescape"))) as files:
                files.extractall(directory, filter="data")
            git(directory, "init", "--quiet", "--initial-branch=main")
            git(directory, "add", "--all", "--force")
            git(directory, "commit", "--quiet", "--no-verify", "-m", "Start")
        return directory

    return fresh


def rungs(source: Source) -> Engine:
    """Return Rung's engine, without the project's own checks."""

    def climb(project: Path, changed: Mapping[str, Any]) -> Climbed:
        with planner.prepare(project, ChangeRequest(changed), source.address) as prepared:
            conflicts = [conflict.path for conflict in prepared.plan.conflicts]
            if conflicts:
                apply.climb_on_branch(prepared, "climb", f"Climb: {changed}\n", verify=False)
            else:
                apply.climb(prepared, f"Climb: {changed}\n", verify=False)
            named = {*prepared.plan.kept, *prepared.plan.ignored}

        def decide() -> None:
            git(project, "merge", "--quiet", "--ff-only", "--no-overwrite-ignore", "climb")
            git(project, "branch", "--quiet", "-d", "climb")
            keep_mine(project, "HEAD~1", conflicts)

        return Climbed(not conflicts, conflicts, named, decide)

    return climb


def keep_mine(project: Path, before: str, conflicts: list[str]) -> None:
    """Decide each conflict for the file as it was, and commit."""
    for path in conflicts:
        (project / f"{path}.rung").unlink(missing_ok=True)
        (project / f"{path}.rej").unlink(missing_ok=True)
        if git(project, "ls-tree", before, "--", path):
            git(project, "checkout", before, "--", path)
        elif (project / path).exists():
            git(project, "rm", "--quiet", "--force", "--", path)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", "Decide")
