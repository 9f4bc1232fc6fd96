"""Merge a project with two renders of its template, in named stages, and describe it as a plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.core import preconditions
from rung.core.climbing import answers_check
from rung.core.climbing import plan as planning
from rung.core.climbing.plan import Plan, ProjectState
from rung.core.merging import resolve, tree_merge
from rung.core.merging.conflict import Resolved
from rung.core.merging.merge_inputs import MergeInputs
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.source import Source
from rung.levels.answers import ANSWERS


@dataclass(frozen=True)
class Start:
    """What a plan starts from.

    Args:
        bench: Where trees are made.
        folder: The project.
        prefix: The project's folder within its repository, or nothing.
        head: The last commit.
        recorded: The project's answers file.
        changed: The requested answers.
        before, after: The template that the project has, and the one it gets.
    """

    bench: Workbench
    folder: Path
    prefix: str
    head: str
    recorded: Mapping[str, Any]
    changed: Mapping[str, Any]
    before: Source
    after: Source


@dataclass(frozen=True)
class Merge:
    """A plan, and the renders that it was made from.

    Args:
        plan: What a climb would do.
        base: Rung's files as the project's version of the template renders them.
        theirs: Rung's files as the plan would have them.
    """

    plan: Plan
    base: Mapping[str, Entry]
    theirs: Mapping[str, Entry]


def merge(start: Start) -> Merge:
    """Render, check, align, merge, and describe the outcome."""
    original = start.bench.inside(start.head, start.prefix)
    inputs = _rendered(start, original)
    planted = _leave_planted(start, inputs)
    _check(start, inputs)
    base, states = inputs.base_files, _states(start, inputs)
    if inputs.base == inputs.theirs:
        return Merge(Plan(start.head, *states, original), base, inputs.their_files)
    aligned = _align(start, inputs, planted)
    plan = _merged(start, inputs, aligned, original, states)
    return Merge(plan, base, inputs.their_files)


def _rendered(start: Start, original: str) -> MergeInputs:
    """Render the template with the old and with the new answers."""
    answers = answers_file.answers(dict(start.recorded))
    base = rendered_trees.rendered(start.bench, start.before, answers)
    theirs = rendered_trees.rendered(start.bench, start.after, answers | dict(start.changed))
    return MergeInputs(start.bench, base, original, theirs)


def _leave_planted(start: Start, inputs: MergeInputs) -> set[str]:
    """Take the user's own files out of both renders, and return them."""
    before, after = start.before, start.after
    planted = rendered_trees.of_the_user({*inputs.base_files, *inputs.their_files}, [before, after])
    planted -= _first_planted(inputs, before, after)
    inputs.leave_out(planted)
    return planted


def _check(start: Start, inputs: MergeInputs) -> None:
    """Raise a RungError if the answers or the files do not allow a climb."""
    base, ours = inputs.base_files, inputs.our_files
    answers_check.check(
        answers_check.Compared(
            start.bench, start.recorded, start.before, base, ours, start.head, start.prefix
        )
    )
    edited = _edited_contents(start.bench, inputs)
    preconditions.unobstructed(start.folder, {*base, *inputs.their_files}, edited, ours)


def _states(start: Start, inputs: MergeInputs) -> tuple[ProjectState, ProjectState]:
    """Return where the project is, and where it would be."""
    before, recorded = start.before, start.recorded
    answers = answers_file.answers(dict(recorded))
    now = ProjectState(before.address, recorded["_commit"], before.commit(), answers)
    return now, _state_after(start.bench, inputs.their_files, start.after)


@dataclass(frozen=True)
class _Aligned:
    """What was found while the files of the three sides were brought under one name.

    Args:
        names: The user's names of Rung's files, by Rung's names.
        own: Files that the repository had before it came onto the ladder.
        had: Retired files that the user had before Rung rendered the same.
    """

    names: dict[str, str]
    own: set[str]
    had: list[str]


def _align(start: Start, inputs: MergeInputs, planted: set[str]) -> _Aligned:
    """Bring each file under one name, and under it the render that the user's version comes from."""
    prefix, head, before = start.prefix, start.head, start.before
    names = inputs.renamed(planted)
    if before != start.after:
        inputs.follow_template(start.after)
    inputs.follow_user(names)
    own = inputs.recall(prefix, head, before)
    names |= inputs.recall_absent(prefix, head, before)
    return _Aligned(names, own, inputs.leave_had(prefix, head))


def _merged(
    start: Start,
    inputs: MergeInputs,
    aligned: _Aligned,
    original: str,
    states: tuple[ProjectState, ProjectState],
) -> Plan:
    """Merge, and describe the outcome as a plan."""
    bench, folder = start.bench, start.folder
    base, ours, theirs = inputs.base_files, inputs.our_files, inputs.their_files
    merged = tree_merge.merge(bench, inputs.base, inputs.ours, inputs.theirs)
    resolved = resolve.resolve(bench, merged, base, ours, theirs, aligned.own)
    there, result = bench.files(original), bench.files(resolved.tree)
    preconditions.distinct(result.keys() - there.keys(), result.keys() & there.keys())
    ignored = preconditions.obstructing(folder, result.keys() - there.keys())
    tree = rendered_trees.without(bench, resolved.tree, ignored)
    result = {path: entry for path, entry in result.items() if path not in ignored}
    differences = planning.differences(there, result)
    return Plan(
        start.head,
        *states,
        tree,
        added=differences["added"],
        changed=differences["changed"],
        retired=differences["retired"],
        renamed={old: new for old, new in aligned.names.items() if new in result},
        kept=resolved.kept,
        gone=resolved.gone,
        own=resolved.own,
        ignored=ignored,
        had=aligned.had,
        edited=_left_edited(base, ours, result, resolved),
        yours=len(ours.keys() - base.keys() - theirs.keys()),
        by_key=resolved.by_key,
        conflicts=resolved.conflicts,
        dependencies=planning.dependencies(bench, there, result),
        jobs=planning.jobs(start.after, differences["added"]),
        **planning.on_the_way(start.after, *states),
    )


def _first_planted(inputs: MergeInputs, before: Source, after: Source) -> set[str]:
    """Return the user's files that the project's version of the template did not know at all.

    The user cannot have deleted them, so they are planted now; after that they are the user's.
    """
    if before == after:
        return set()
    new = inputs.their_files.keys() - inputs.base_files.keys() - inputs.our_files.keys()
    return rendered_trees.of_the_user(new, [after]) - rendered_trees.of_the_user(new, [before])


def _edited_contents(bench: Workbench, inputs: MergeInputs) -> dict[str, bytes]:
    """Return the contents of those of Rung's files that the user has edited."""
    base, ours = inputs.base_files, inputs.our_files
    edited = {path: ours[path].oid for path in ours.keys() & base if ours[path] != base[path]}
    texts = bench.contents(edited.values())
    return {path: texts[oid] for path, oid in edited.items() if oid in texts}


def _left_edited(
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    result: Mapping[str, Entry],
    resolved: Resolved,
) -> list[str]:
    settled = {*resolved.kept, *(conflict.path for conflict in resolved.conflicts)}
    return sorted(
        path
        for path in base.keys() & ours.keys() - settled
        if ours[path] != base[path] and result.get(path) == ours[path]
    )


def _state_after(bench: Workbench, theirs: Mapping[str, Entry], after: Source) -> ProjectState:
    entry = theirs.get(ANSWERS)
    text = bench.contents([entry.oid]).get(entry.oid, b"") if entry else b""
    recorded = answers_file.parse(text.decode("utf-8", "replace"), ANSWERS)
    answers = answers_file.answers(recorded)
    return ProjectState(after.address, str(recorded.get("_commit")), after.commit(), answers)
