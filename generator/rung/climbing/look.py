"""Look at what a climb would do: old answers, new answers, and the project between them."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung import answers as given
from rung import git, project
from rung.climbing import (
    answered,
    followed,
    history,
    journal,
    lock,
    matching,
    merge,
    move,
    ready,
    recover,
    renames,
    resolve,
    trees,
    workbench,
)
from rung.climbing import plan as planning
from rung.climbing.plan import Plan, Standing
from rung.climbing.recover import Recovered
from rung.climbing.workbench import Entry, Workbench
from rung.errors import RungError
from rung.source import Source

RUNGS = range(5)


@dataclass(frozen=True)
class Wish:
    """What is to change.

    Args:
        answers: New answers by question, `level` among them.
        version: Another version of the template; None: the one the project has.
        newest: Whether to go to the template's newest version.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    newest: bool = False


@dataclass(frozen=True)
class Look:
    """A plan, with the bench on which its trees stand.

    Args:
        bench: Where they stand.
        folder: The project.
        prefix: The project's folder within its repository, or nothing.
        plan: The plan.
        recovered: An earlier climb that was ended first, if there was one.
        theirs: Rung's files as the plan would have them.
    """

    bench: Workbench
    folder: Path
    prefix: str
    plan: Plan
    recovered: Recovered | None
    theirs: Mapping[str, Entry]

    def whole(self, tree: str) -> str:
        """Return the repository's tree with the project's folder replaced."""
        return self.bench.grafted(self.plan.head, self.prefix, tree)

    def patch(self) -> str:
        """Return the plan as a patch."""
        words = (
            "diff-tree",
            "-r",
            "-p",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--binary",
        )
        return self.bench.git(*words, self.plan.head, self.whole(self.plan.result))


@contextlib.contextmanager
def look(folder: Path, wish: Wish, trusted: str | None = None) -> Iterator[Look]:
    """Lend a plan. The project is not touched, save that an interrupted climb is ended first.

    Args:
        folder: The project.
        wish: What is to change.
        trusted: A template to follow besides the one Rung comes with.

    Raises:
        RungError: The project cannot climb; the message says why and what to do.
    """
    git.require()
    folder = folder.absolute()
    recovered = _recovered(folder)
    said = answered.recorded(folder)
    top = ready.committed(folder)
    head = move.head(top)
    if head is None:
        raise RungError(f"{top} has no commit yet. Commit everything, then climb.")
    before = followed.recorded(said, trusted)
    after = _wanted(before, wish)
    changed = _checked(folder, wish, said, after)
    with workbench.opened(top) as bench:
        yield _look(bench, folder, head, said, changed, before, after, recovered)


def _recovered(folder: Path) -> Recovered | None:
    top = git.repository_above(folder)
    if top is None or journal.read(top) is None:
        return None
    with lock.held(top):
        return recover.ended(top)


def _wanted(before: Source, wish: Wish) -> Source:
    if wish.newest and wish.version is None:
        return followed.newest(before)
    return followed.at(before.address, wish.version) if wish.version else before


def _checked(folder: Path, wish: Wish, said: Mapping[str, Any], after: Source) -> dict[str, Any]:
    """Return the answers that are wished for, once the questions take them."""
    wished = dict(wish.answers)
    given.check(wished, after.read("levels/questions.yml"))
    if "level" in wished:
        wished["level"] = int(wished["level"])
        if wished["level"] not in RUNGS:
            raise RungError(
                f"There is no rung {wished['level']}. Choose one from {RUNGS[0]} to {RUNGS[-1]}."
            )
    ready.has_package(folder, str(wished.get("package", said["package"])))
    return wished


def _look(
    bench: Workbench,
    folder: Path,
    head: str,
    said: Mapping[str, Any],
    wished: Mapping[str, Any],
    before: Source,
    after: Source,
    recovered: Recovered | None,
) -> Look:
    prefix = folder.resolve().relative_to(bench.top.resolve()).as_posix()
    prefix = "" if prefix == "." else prefix
    answers = answered.answers(dict(said))
    full_base = trees.rendered(bench, before, answers)
    full_theirs = trees.rendered(bench, after, answers | dict(wished))
    ours = bench.inside(head, prefix)
    mine, was, rungs = (bench.files(tree) for tree in (ours, full_base, full_theirs))
    planted = trees.of_the_user({*was, *rungs}, [before, after])
    base = trees.without(bench, full_base, planted & was.keys())
    theirs = trees.without(bench, full_theirs, planted & rungs.keys())
    was, rungs = _but(was, planted), _but(rungs, planted)
    matching.check(bench, said, before, was, mine, head, prefix)
    edited = {path: mine[path].oid for path in mine.keys() & was if mine[path] != was[path]}
    texts = bench.contents(edited.values())
    held = {path: texts[oid] for path, oid in edited.items() if oid in texts}
    ready.unobstructed(folder, {*was, *rungs}, held)
    standing = Standing(before.address, said["_commit"], before.commit(), answers)
    goal = _goal(bench, rungs, after)
    if base == theirs:
        return Look(bench, folder, prefix, Plan(head, standing, goal, ours), recovered, rungs)

    names = renames.renamed(bench, base, trees.without(bench, ours, planted & mine.keys()))
    if before != after:
        # A newer version may have renamed a file: what the user wrote into it goes along.
        for old, new in renames.renamed(bench, base, theirs, similar=60).items():
            if old in mine and mine[old] != was[old] and new not in mine:
                ours = renames.moved(bench, ours, mine, {old: new})
                base = renames.moved(bench, base, was, {old: new})
                mine, was = bench.files(ours), bench.files(base)
    base = renames.moved(bench, base, was, names)
    theirs = renames.moved(bench, theirs, rungs, names)
    was, rungs = bench.files(base), bench.files(theirs)
    # What was given another name, and nothing else, stays when its rung goes: the name is the user's.
    only = {new for new in names.values() if new not in rungs and mine[new] == was.get(new)}
    base, was = trees.without(bench, base, only), _but(was, only)
    again = {path for path in rungs.keys() & mine.keys() - was.keys() if rungs[path] != mine[path]}
    own: set[str] = set()
    if again:
        came = history.last_rendered(bench, prefix, head, before, again)
        own = history.before_adoption(bench, prefix, head, again - came.keys())
        base = bench.edited(base, came)
        was = bench.files(base)
    found = resolve.resolve(bench, merge.merge(bench, base, ours, theirs), was, mine, rungs, own)
    result = bench.files(found.tree)
    original = bench.files(bench.inside(head, prefix))
    ignored = ready.standing(folder, result.keys() - original.keys())
    tree = trees.without(bench, found.tree, ignored)
    result = _but(result, ignored)
    differences = planning.differences(original, result)
    plan = Plan(
        head,
        standing,
        goal,
        tree,
        added=differences["added"],
        changed=differences["changed"],
        retired=differences["retired"],
        renamed={old: new for old, new in names.items() if new in result},
        kept=found.kept,
        gone=found.gone,
        own=found.own,
        ignored=ignored,
        edited=_edited(was, mine, result, found),
        yours=len(mine.keys() - was.keys() - rungs.keys()),
        by_key=found.by_key,
        conflicts=found.conflicts,
        dependencies=planning.dependencies(bench, original, result),
        jobs=planning.jobs(differences["added"]),
        **planning.on_the_way(after, standing, goal),
    )
    return Look(bench, folder, prefix, plan, recovered, rungs)


def _edited(
    was: Mapping[str, Entry],
    mine: Mapping[str, Entry],
    result: Mapping[str, Entry],
    found: resolve.Resolved,
) -> list[str]:
    settled = {*found.kept, *(conflict.path for conflict in found.conflicts)}
    return sorted(
        path
        for path in was.keys() & mine.keys() - settled
        if mine[path] != was[path] and result.get(path) == mine[path]
    )


def _but(files: Mapping[str, Entry], paths: Any) -> dict[str, Entry]:
    return {path: entry for path, entry in files.items() if path not in paths}


def _goal(bench: Workbench, rungs: Mapping[str, Entry], after: Source) -> Standing:
    entry = rungs.get(project.ANSWERS)
    text = bench.contents([entry.oid]).get(entry.oid, b"") if entry else b""
    said = answered.parse(text.decode("utf-8", "replace"), project.ANSWERS)
    answers = answered.answers(said)
    return Standing(after.address, str(said.get("_commit")), after.commit(), answers)
