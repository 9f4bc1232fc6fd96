"""What Rung once rendered at a path: the base for a file that went with a rung and stayed edited.

Going down, a file that the user edited stays. Going up again it is there on both sides, and only
the render it came from tells the user's changes from Rung's.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from rung import git, project
from rung.climbing import answered, followed, trees
from rung.climbing.workbench import Entry, Workbench
from rung.errors import RungError
from rung.source import Source

DEEPEST = 40  # changes of the answers file that are looked back through


def earlier_answers(bench: Workbench, prefix: str, head: str) -> Iterator[dict[str, Any]]:
    """Yield what the answers file said, newest first, each state once."""
    path = project.answers_below(prefix)
    words = ("log", f"--max-count={DEEPEST}", "--format=%H", head, "--", f":(top,literal){path}")
    seen: list[dict[str, Any]] = []
    for commit in (git.answers(bench.top, *words) or "").split():
        text = git.show(bench.top, commit, path)
        try:
            said = answered.parse(text or "", path)
        except RungError:
            continue
        if said not in seen:
            seen.append(said)
            yield said


def last_rendered(
    bench: Workbench, prefix: str, head: str, now: Source, paths: Iterable[str]
) -> dict[str, Entry]:
    """Return, for each path that was once Rung's in this project, what Rung last rendered there."""
    wanted, found = set(paths), dict[str, Entry]()
    for said in earlier_answers(bench, prefix, head):
        if not wanted:
            break
        if said.get("_src_path") != now.address or not isinstance(said.get("_commit"), str):
            continue
        try:
            version = followed.at(now.address, said["_commit"])
            files = bench.files(trees.rendered(bench, version, answered.answers(said)))
        except RungError:
            continue  # that version cannot be had any more; an earlier one may do
        found |= {path: files[path] for path in wanted & files.keys()}
        wanted -= files.keys()
    return found


def before_adoption(bench: Workbench, prefix: str, head: str, paths: Iterable[str]) -> set[str]:
    """Return those of the paths that the repository had before it came onto the ladder.

    They are the user's, whatever a later rung has of the same name.
    """
    file = project.answers_below(prefix)
    words = ("log", "--format=%H", "--diff-filter=A", head, "--", f":(top,literal){file}")
    added = (git.answers(bench.top, *words) or "").split()
    known = ("rev-parse", "--verify", "--quiet")
    parent = git.answers(bench.top, *known, f"{added[-1]}^1") if added else None
    if not parent:
        return set()  # it began as a project, in its first commit
    return set(paths) & bench.files(bench.inside(parent, prefix)).keys()
