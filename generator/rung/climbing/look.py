"""Look at what a climb would do: old answers, new answers, and the project between them."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung import answers as given
from rung import git, project
from rung.climbing import (
    answered,
    followed,
    matching,
    merge,
    move,
    moves,
    ready,
    recover,
    resolve,
    trees,
    words,
    workbench,
)
from rung.climbing import plan as planning
from rung.climbing.plan import Plan, Standing
from rung.climbing.recover import Recovered
from rung.climbing.sides import Sides
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
        base: Rung's files as the project's version of the template renders them.
    """

    bench: Workbench
    folder: Path
    prefix: str
    plan: Plan
    recovered: Recovered | None
    theirs: Mapping[str, Entry]
    base: Mapping[str, Entry]

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
    recovered = ended_first(folder)
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


def ended_first(folder: Path) -> Recovered | None:
    """End an interrupted climb, and say so at once: what comes after may be refused."""
    recovered = recover.before_anything(folder)
    if recovered is not None:
        print(words.recovered(recovered), file=sys.stderr)
    return recovered


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
    prefix = git.prefix(bench.top, folder)
    answers = answered.answers(dict(said))
    original = bench.inside(head, prefix)
    base = trees.rendered(bench, before, answers)
    theirs = trees.rendered(bench, after, answers | dict(wished))
    sides = Sides(bench, base, original, theirs)
    moved = moves.between(sides.was, after)
    planted = trees.of_the_user({*sides.was, *sides.rungs}, [before, after])
    planted -= _first_planted(sides, before, after) | moved.merges(planted)
    sides.leave_out(planted)
    compared = matching.Compared(bench, said, before, sides.was, sides.mine, head, prefix)
    matching.check(compared)
    ready.unobstructed(folder, {*sides.was, *sides.rungs}, _held(bench, sides), sides.mine)
    standing = Standing(before.address, said["_commit"], before.commit(), answers)
    rendered = sides.was
    goal = _goal(bench, sides.rungs, after)
    if sides.base == sides.theirs:
        plan = Plan(head, standing, goal, original)
        return Look(bench, folder, prefix, plan, recovered, sides.rungs, rendered)

    names = sides.renamed(planted)
    if before != after:
        sides.follow_template(moved)
    sides.follow_user(names)
    own = sides.recall(prefix, head, before)
    names |= sides.recall_absent(prefix, head, before)
    had = sides.leave_had(prefix, head)
    was, mine, rungs = sides.was, sides.mine, sides.rungs
    merged = merge.merge(bench, sides.base, sides.ours, sides.theirs)
    found = resolve.resolve(bench, merged, was, mine, rungs, own)
    moves.name_conflicts(bench, moved, found, was, mine, names)
    result = bench.files(found.tree)
    there = bench.files(original)
    ready.distinct(result.keys() - there.keys(), result.keys() & there.keys())
    ignored = ready.standing(folder, result.keys() - there.keys())
    tree = trees.without(bench, found.tree, ignored)
    result = _but(result, ignored)
    differences = planning.differences(there, result)
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
        had=had,
        edited=_edited(was, mine, result, found),
        yours=len(mine.keys() - was.keys() - rungs.keys()),
        by_key=found.by_key,
        conflicts=found.conflicts,
        uses=moves.uses(bench, moved, mine, result),
        dependencies=planning.dependencies(bench, there, result),
        jobs=planning.jobs(differences["added"]),
        **planning.on_the_way(after, standing, goal),
    )
    return Look(bench, folder, prefix, plan, recovered, rungs, rendered)


def _first_planted(sides: Sides, before: Source, after: Source) -> set[str]:
    """Return the user's files that the project's version of the template did not know at all.

    Nobody can have deleted them, so they are planted now; after that they are the user's.
    """
    if before == after:
        return set()
    new = sides.rungs.keys() - sides.was.keys() - sides.mine.keys()
    return trees.of_the_user(new, [after]) - trees.of_the_user(new, [before])


def _held(bench: Workbench, sides: Sides) -> dict[str, bytes]:
    """Return what those of Rung's files hold that the user has edited."""
    was, mine = sides.was, sides.mine
    edited = {path: mine[path].oid for path in mine.keys() & was if mine[path] != was[path]}
    texts = bench.contents(edited.values())
    return {path: texts[oid] for path, oid in edited.items() if oid in texts}


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
