"""What Rung once rendered at a path: the merge base for an edited file of a rung that was left.

When a project comes down a rung, files that the user edited stay. When it climbs again, both sides
have such a file, and only the render it was based on tells the user's changes from Rung's
(decision 19).
"""

from collections.abc import Iterable, Iterator
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
    """Yield the contents of the answers file with the last commit of each, newest first."""
    path = project.path(ANSWERS)
    options = (f"--max-count={DEEPEST}", "--format=%P", project.head)
    changes = git.output(project.top, "log", *options, "--", f":(top,literal){path}") or ""
    known: list[dict[str, Any]] = []
    for commit in (project.head, *(line.split(" ")[0] for line in changes.splitlines())):
        text = git.show(project.top, commit, path) if commit else None
        try:
            recorded = answers_file.parse(text or "", path)
        except RungError:
            continue
        if recorded not in known:
            known.append(recorded)
            yield recorded, commit


def last_rendered(project: Project, now: Source, paths: Iterable[str]) -> dict[str, Rendered]:
    """Return what Rung last rendered in this project at paths that were once Rung's."""
    wanted, rendered = set(paths), dict[str, Rendered]()
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
        rendered |= {path: Rendered(files[path], tree, commit) for path in wanted & files.keys()}
        wanted -= files.keys()
    return rendered


def removed_once(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths that a commit deleted."""
    return set(paths) & {path for _, path in _changes(project, "D", paths)}


def added_by_user(project: Project, paths: Iterable[str]) -> set[str]:
    """Return the paths whose newest addition came without a change of the answers.

    A climb adds its files and changes the answers in the same commit.
    """
    newest: dict[str, str] = {}
    for commit, path in _changes(project, "A", paths):
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
