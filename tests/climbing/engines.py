"""The ways to climb that histories are lived with: Rung's, and plain `copier update`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copier

from rung import project as rendering
from rung.source import Source
from tests.climbing.histories import MARKER, Climbed, Fresh, git


def fresh_projects(source: Source, folder: Path) -> Fresh:
    """Return what gives a fresh project for some answers, each rendered once, with one commit."""

    def fresh(answers: Mapping[str, Any]) -> Path:
        place = folder / "-".join(str(answers[name]) for name in sorted(answers))
        if not place.exists():
            rendering.render(source.address, source.ref, place, answers, defaults=True)
            git(place, "init", "--quiet", "--initial-branch=main")
            git(place, "config", "core.autocrlf", "false")
            git(place, "add", "--all", "--force")
            git(place, "commit", "--quiet", "--no-verify", "-m", "Start")
        return place

    return fresh


def plain(project: Path, changed: Mapping[str, Any]) -> Climbed:
    """Climb with `copier update`, and commit unless it leaves conflicts."""
    copier.run_update(
        project,
        data=dict(changed),
        vcs_ref=copier.VcsRef.CURRENT,
        defaults=True,
        overwrite=True,
        quiet=True,
        skip_answered=True,
    )
    conflicts = _left(project)

    def back() -> None:
        git(project, "reset", "--quiet", "--hard")
        git(project, "clean", "--quiet", "-d", "--force")

    if conflicts:
        return Climbed(False, conflicts, undo=back)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", f"Climb: {changed}")
    return Climbed(True)


def _left(project: Path) -> list[str]:
    """Return the files that a person has to decide: unmerged ones, markers and rejects."""
    entries = git(project, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    left = []
    for entry in filter(None, entries.split("\0")):
        path = project / entry[3:]
        marked = path.is_file() and not path.is_symlink() and MARKER.search(path.read_bytes())
        if "U" in entry[:2] or entry[:2] in ("AA", "DD") or entry.endswith(".rej") or marked:
            left.append(entry[3:].removesuffix(".rej"))
    return left
