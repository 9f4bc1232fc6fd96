"""Prepare a plan: render the template with old and new answers, merge both with the project.

All of it happens in a temporary repository, so a plan is exactly what a climb applies (decision 19).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.core import level_contents, preconditions, template_source, transaction
from rung.core.climbing import answers_check, plans
from rung.core.climbing.plans import ChangeRequest, Plan, ProjectState
from rung.core.merging import tree_merge
from rung.core.merging.conflict import Resolved
from rung.core.merging.merge_inputs import MergeInputs
from rung.core.project import Project, opened
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.core.transaction import Recovered
from rung.errors import RungError
from rung.levels.ladder import RUNGS
from rung.levels.template_answers import check_answers, gather_answers
from rung.system import git


def requested(
    path: Path, to: int | None, pairs: Sequence[str], version: str | None
) -> ChangeRequest:
    """Return the change that the options request; without options, the next rung."""
    answers = gather_answers(None, pairs, {"level": to})
    if not answers and version is None:
        git.require()
        transaction.recover_first(path)  # which may change the recorded level
        here = answers_file.recorded(path.absolute())["level"]
        if here >= RUNGS[-1]:
            raise RungError(
                f"The project is on rung {here}, the highest one.\n"
                "Say where to go with `--to N`, or what to change with `-d QUESTION=ANSWER`."
            )
        answers = {"level": here + 1}
    return ChangeRequest(answers, version)


@dataclass(frozen=True)
class PreparedPlan:
    """A plan, with the repository that holds its trees.

    Args:
        project: The project.
        plan: The plan.
        recovered: How an interrupted climb ended before, if there was one.
        theirs: Rung's files after the change.
        base: Rung's files as the project's version of the template renders them.
    """

    project: Project
    plan: Plan
    recovered: Recovered | None
    theirs: Mapping[str, Entry]
    base: Mapping[str, Entry]

    @property
    def bench(self) -> Workbench:
        """Return the repository that holds the trees."""
        return self.project.bench

    def repository_tree(self, tree: str) -> str:
        """Return the repository's tree with the project's folder replaced."""
        return self.project.repository_tree(tree)

    def patch(self) -> str:
        """Return the plan as a patch."""
        arguments = (
            "diff-tree",
            "-r",
            "-p",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--binary",
        )
        return self.bench.git(*arguments, self.plan.head, self.repository_tree(self.plan.result))


@contextlib.contextmanager
def prepare(
    folder: Path, request: ChangeRequest, trusted: str | None = None
) -> Iterator[PreparedPlan]:
    """Yield a plan. The project is not touched, except to recover from an interrupted climb.

    Args:
        folder: The project.
        request: What is to change.
        trusted: A template that the user trusts besides Rung's own (decision 3).

    Raises:
        RungError: The project cannot climb; the message says why and what to do.
    """
    git.require()
    folder = folder.absolute()
    recovered = transaction.recover_first(folder)
    recorded = answers_file.recorded(folder)
    top, head = preconditions.committed_head(folder)
    _refuse_another_climb(folder, recorded)
    before = template_source.followed(recorded, trusted)
    after = _new_template(before, request)
    changed = _checked_answers(folder, request, recorded, after)
    with opened(top, folder, head) as project:
        plan, base, theirs = _merge(_Start(project, recorded, changed, before, after))
        yield PreparedPlan(project, plan, recovered, theirs, base)


def _refuse_another_climb(folder: Path, recorded: Mapping[str, Any]) -> None:
    """Raise a RungError if the answers have changed since they were read, before HEAD was."""
    with contextlib.suppress(RungError):  # git removes the file before it writes the new one
        if answers_file.recorded(folder) == recorded:
            return
    raise RungError(
        f"Another climb was under way in {folder}. Nothing was touched.\nRun the command again."
    )


def _new_template(before: Source, request: ChangeRequest) -> Source:
    if request.newest and request.version is None:
        return template_source.newest(before)
    return (
        template_source.with_version(before.address, request.version) if request.version else before
    )


def _checked_answers(
    folder: Path, request: ChangeRequest, recorded: Mapping[str, Any], after: Source
) -> dict[str, Any]:
    """Return the requested answers; raise a RungError for any that the questions do not accept."""
    changed = dict(request.answers)
    check_answers(changed, after.read("levels/questions.yml"))
    if "level" in changed:
        changed["level"] = int(changed["level"])
        if changed["level"] not in RUNGS:
            raise RungError(
                f"There is no rung {changed['level']}. Choose one from {RUNGS[0]} to {RUNGS[-1]}."
            )
    level_contents.refuse_vendor(after, {**recorded, **changed})
    preconditions.refuse_missing_package(folder, str(changed.get("package", recorded["package"])))
    return changed


@dataclass(frozen=True)
class _Start:
    """What a plan starts from.

    Args:
        project: The project.
        recorded: The project's answers file.
        changed: The requested answers.
        before, after: The template that the project has, and the one it gets.
    """

    project: Project
    recorded: Mapping[str, Any]
    changed: Mapping[str, Any]
    before: Source
    after: Source


def _merge(start: _Start) -> tuple[Plan, Mapping[str, Entry], Mapping[str, Entry]]:
    """Render, check, align, merge; return the plan, and Rung's files now and as planned."""
    bench, before, after = start.project.bench, start.before, start.after
    original = start.project.tree
    answers = answers_file.answers(start.recorded)
    inputs = MergeInputs(
        start.project,
        rendered_trees.rendered(bench, before, answers),
        original,
        rendered_trees.rendered(bench, after, answers | dict(start.changed)),
    )
    # The user's own files are written once, and never merged after that (decision 8).
    planted = rendered_trees.of_the_user({*inputs.base_files, *inputs.their_files}, [before, after])
    planted -= _first_planted(inputs, before, after)
    inputs.leave_out(planted)
    base = inputs.base_files
    _check(start, inputs)
    states = (
        ProjectState(before.address, start.recorded["_commit"], before.commit, answers),
        _state_after(bench, inputs.their_files, after),
    )
    if inputs.base == inputs.theirs:
        return Plan(start.project.head, *states, original), base, inputs.their_files
    names, own, earlier = _align(start, inputs, planted)
    return _outcome(start, inputs, original, states, names, own, earlier), base, inputs.their_files


def _check(start: _Start, inputs: MergeInputs) -> None:
    """Raise a RungError if the answers or the files do not allow a climb."""
    base, ours = inputs.base_files, inputs.our_files
    answers_check.check(
        answers_check.RenderedProject(start.project, start.recorded, start.before, base, ours)
    )
    edited = _edited_contents(inputs)
    folder = start.project.folder
    preconditions.refuse_obstructed(folder, {*base, *inputs.their_files}, edited, ours)


def _align(
    start: _Start, inputs: MergeInputs, planted: set[str]
) -> tuple[dict[str, str], set[str], list[str]]:
    """Give a file the same name on all sides, with the render it was based on as the merge base.

    Returns:
        The user's names of Rung's files, by Rung's names; the files that existed before the
        repository was adopted; the paths that existed before Rung added the same path.
    """
    names = inputs.renamed(planted)
    if start.before != start.after:
        inputs.follow_template(start.after)
    inputs.follow_user(names)
    own = inputs.recall(start.before)
    names |= inputs.recall_absent(start.before)
    return names, own, inputs.leave_out_earlier()


def _outcome(
    start: _Start,
    inputs: MergeInputs,
    original: str,
    states: tuple[ProjectState, ProjectState],
    names: Mapping[str, str],
    own: set[str],
    earlier: list[str],
) -> Plan:
    """Merge, and describe the outcome as a plan."""
    bench, folder = inputs.bench, start.project.folder
    base, ours, theirs = inputs.base_files, inputs.our_files, inputs.their_files
    merged = tree_merge.merge(bench, inputs.base, inputs.ours, inputs.theirs)
    resolved = tree_merge.resolve(bench, merged, base, ours, theirs, own)
    present, result = bench.files(original), bench.files(resolved.tree)
    preconditions.refuse_case_twins(result.keys() - present.keys(), result.keys() & present.keys())
    ignored = preconditions.obstructing(folder, result.keys() - present.keys())
    tree = rendered_trees.without(bench, resolved.tree, ignored)
    result = {path: entry for path, entry in result.items() if path not in ignored}
    differences = plans.differences(present, result)
    return Plan(
        start.project.head,
        *states,
        tree,
        added=differences["added"],
        changed=differences["changed"],
        retired=differences["retired"],
        renamed={old: new for old, new in names.items() if new in result},
        kept=resolved.kept,
        gone=sorted({*resolved.gone, *(base.keys() & theirs.keys() - ours.keys() - result.keys())}),
        own=resolved.own,
        ignored=ignored,
        had=earlier,
        edited=_left_edited(base, ours, result, resolved),
        yours=len(ours.keys() - base.keys() - theirs.keys()),
        by_key=resolved.by_key,
        conflicts=resolved.conflicts,
        dependencies=plans.dependencies(bench, present, result),
        locks=plans.locks(bench, present, result),
        jobs=plans.jobs(start.after, differences["added"]),
        **plans.new_contents(start.after, *states),
    )


def _first_planted(inputs: MergeInputs, before: Source, after: Source) -> set[str]:
    """Return the user's files that the project's version of the template does not have.

    The user cannot have deleted them, so they are written now, once (decision 8).
    """
    if before == after:
        return set()
    new = inputs.their_files.keys() - inputs.base_files.keys() - inputs.our_files.keys()
    return rendered_trees.of_the_user(new, [after]) - rendered_trees.of_the_user(new, [before])


def _edited_contents(inputs: MergeInputs) -> dict[str, bytes]:
    """Return the contents of the files of Rung's that the user has edited."""
    base, ours = inputs.base_files, inputs.our_files
    edited = {path: ours[path].oid for path in ours.keys() & base if ours[path] != base[path]}
    texts = inputs.bench.contents(edited.values())
    return {path: texts[oid] for path, oid in edited.items() if oid in texts}


def _left_edited(
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    result: Mapping[str, Entry],
    resolved: Resolved,
) -> list[str]:
    settled = {*resolved.kept, *resolved.own, *(conflict.path for conflict in resolved.conflicts)}
    return sorted(
        path
        for path in base.keys() & ours.keys() - settled
        if ours[path] != base[path] and result.get(path) == ours[path]
    )


def _state_after(bench: Workbench, theirs: Mapping[str, Entry], after: Source) -> ProjectState:
    recorded = answers_file.rendered(bench, theirs)
    answers = answers_file.answers(recorded)
    return ProjectState(after.address, str(recorded.get("_commit")), after.commit, answers)
