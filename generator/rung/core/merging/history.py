"""What Rung once rendered at a path: the merge base for an edited file of a rung that was left.

When a project comes down a rung, files that the user edited stay. When it climbs again, both sides
have such a file, and only the render it was based on tells the user's changes from Rung's
(decision 19).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rung.core import template_source
from rung.core.project import Project
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git

DEEPEST = 40  # changes of the answers file that are searched


@dataclass(frozen=True)
class Rendered:
    """What Rung last rendered at a path.

    Args:
        entry: The file.
        tree: The tree of all files that were rendered with it.
        commit: The last commit of the project with those answers.
    """

    entry: Entry
    tree: str
    commit: str


def states(project: Project) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the contents that the answers file had, newest first, with the last commit of each.

    A content that it had twice comes twice. Any of them may have been typed by the user.
    """
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

    Answers that the user typed into the answers file rendered nothing: the project's files were
    then those of the answers that followed.
    """
    wanted, rendered = set(paths), dict[str, Rendered]()
    newer: Mapping[str, Entry] | None = None
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


def _fits(
    ours: Mapping[str, Entry],
    render: Mapping[str, Entry],
    other: Mapping[str, Entry],
    sources: list[Source],
) -> bool:
    """Say whether a project is one render rather than another.

    Files that both renders have decide, as the user may have deleted the others.
    """
    differing = rendered_trees.differing(render, other, sources)
    for paths in (differing & render.keys() & other.keys(), differing):
        as_render, as_other = (
            sum(ours.get(path) == side.get(path) for path in paths) for side in (render, other)
        )
        if as_render != as_other:
            return as_render > as_other
    return True


def removed_once(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths that a commit deleted."""
    return set(paths) & {path for _, path in _changes(project, "D", paths)}


def added_by_user(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths whose newest addition came without a change of the answers."""
    return _by_user(project, "A", paths)


def removed_by_user(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths whose newest deletion came without a change of the answers."""
    return _by_user(project, "D", paths)


def _by_user(project: Project, kind: str, paths: Iterable[str]) -> set[str]:
    """Return the paths whose newest addition (A) or deletion (D) was no climb's.

    A climb adds and removes its files and changes the answers in the same commit.
    """
    newest: dict[str, str] = {}
    for commit, path in _changes(project, kind, paths):
        newest.setdefault(path, commit)
    answers = f":(top,literal){project.path(ANSWERS)}"
    arguments = ("diff-tree", "--root", "-m", "--name-only", "-r", "-z", "--no-commit-id")
    climbs = {
        commit
        for commit in set(newest.values())
        if git.run(project.top, *arguments, commit, "--", answers)
    }
    return {path for path in set(paths) & newest.keys() if newest[path] not in climbs}


def _changes(project: Project, kind: str, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
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
    """Return the paths that existed before the repository was adopted.

    They are the user's, also where a later rung has a file of the same name.
    """
    file = f":(top,literal){project.path(ANSWERS)}"
    arguments = ("log", "--format=%H", "--diff-filter=A", project.head, "--", file)
    added = (git.output(project.top, *arguments) or "").split()
    known = ("rev-parse", "--verify", "--quiet")
    parent = git.output(project.top, *known, f"{added[-1]}^1") if added else None
    if not parent:
        return set()  # it began as a project, in its first commit
    return set(paths) & project.bench.files(project.tree_at(parent)).keys()
