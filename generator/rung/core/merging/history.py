"""What Rung once rendered at a path: the merge base for an edited file of a rung that was left.

After the way down and up both sides have such a file; only that render tells the user's changes from
Rung's (decision 19, trees).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rung.core import template_source
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Files, Project
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git

DEEPEST = 40  # changes of the answers file that are searched


@dataclass(frozen=True)
class Rendered:
    """What Rung last rendered at a path, with the whole render and the project's last commit of it."""

    entry: Entry
    tree: str
    commit: str


def states(project: Project) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the contents that the answers file had, newest first, with the last commit of each."""
    path = project.path(ANSWERS)
    options = (f"--max-count={DEEPEST}", "--format=%P", project.head)
    changes = git.output(project.top, "log", *options, "--", f":(top,literal){path}") or ""
    newer: dict[str, Any] = {}
    for commit in (project.head, *(line.split(" ")[0] for line in changes.splitlines())):
        text = git.show(project.top, commit, path) if commit else None
        try:
            recorded = answers_file.parse(text or "", path)
        except RungError:
            continue
        if recorded != newer:
            newer = recorded
            yield recorded, commit


def last_rendered(project: Project, now: Source, paths: Iterable[str]) -> dict[str, Rendered]:
    """Return what Rung last rendered in this project at paths that were once Rung's.

    Answers that the user typed into the answers file rendered nothing: the files were then those of the
    answers that followed.
    """
    wanted, rendered = set(paths), dict[str, Rendered]()
    newer: Files | None = None
    for recorded, commit in states(project):
        if not wanted:
            break
        if recorded.get("_src_path") != now.address or not isinstance(recorded.get("_commit"), str):
            continue
        try:
            version = template_source.with_version(now.address, recorded["_commit"])
            tree = rendered_trees.rendered(project.bench, version, answers_file.answers(recorded))
        except RungError:
            continue  # that version is gone; an earlier one may do
        files = project.bench.files(tree)
        ours = project.bench.files(project.tree_at(commit))
        if newer is not None and not _fits(ours, files, newer, [now, version]):
            continue
        newer = files
        rendered |= {path: Rendered(files[path], tree, commit) for path in wanted & files.keys()}
        wanted -= files.keys()
    return rendered


def _fits(ours: Files, render: Files, other: Files, sources: list[Source]) -> bool:
    """Say whether a project is one render rather than another, first by the files that both have."""
    differing = rendered_trees.differing(render, other, sources)
    for paths in (differing & render.keys() & other.keys(), differing):
        as_render, as_other = (
            sum(ours.get(path) == side.get(path) for path in paths) for side in (render, other)
        )
        if as_render != as_other:
            return as_render > as_other
    return True


def by_user(project: Project, kind: str, paths: Iterable[str]) -> set[str]:
    """Return the paths whose newest addition (A) or deletion (D) came without a change of the answers."""
    newest: dict[str, str] = {}
    for commit, path in changes(project, kind, paths):
        newest.setdefault(path, commit)
    answers = f":(top,literal){project.path(ANSWERS)}"
    arguments = ("diff-tree", "--root", "-m", "--name-only", "-r", "-z", "--no-commit-id")
    climbs = {
        commit: bool(git.run(project.top, *arguments, commit, "--", answers))
        for commit in set(newest.values())
    }
    return {path for path in set(paths) & newest.keys() if not climbs[newest[path]]}


def changes(project: Project, kind: str, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield commit and path of every addition (A) or deletion (D) of the paths, newest first."""
    specs = [f":(top,literal){project.path(path)}" for path in sorted(paths)]
    if not specs:
        return
    options = ("--no-renames", f"--diff-filter={kind}", "--name-only", "-z", "--format=%x01%H")
    recorded = git.run(project.top, "log", *options, project.head, "--", *specs)
    commit = ""
    for field in recorded.split("\0"):
        if field.startswith("\x01"):
            commit = field[1:]
        elif name := field.removeprefix("\n"):
            yield commit, name.removeprefix(project.path(""))


def before_adoption(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths that existed before the repository was adopted; they are the user's."""
    file = f":(top,literal){project.path(ANSWERS)}"
    arguments = ("log", "--format=%H", "--diff-filter=A", project.head, "--", file)
    added = (git.output(project.top, *arguments) or "").split()
    parent = git.revision(project.top, f"{added[-1]}^1") if added else None
    if not parent:
        return set()  # it began as a project, in its first commit
    return set(paths) & project.bench.files(project.tree_at(parent)).keys()
