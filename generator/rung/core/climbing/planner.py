"""Prepare a plan: render the template with old and new answers, merge both with the project.

All of it happens in a temporary repository, so a plan is exactly what a climb applies (decision 19, trees).
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
from rung.core.merging.merge_inputs import MergeInputs
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Files, Project, Workbench, opened_project
from rung.core.template_source import Source
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
    """A plan, with the repository that holds its trees, and Rung's files before and after the change."""

    project: Project
    plan: Plan
    theirs: Files
    base: Files

    @property
    def bench(self) -> Workbench:
        """Return the repository that holds the trees."""
        return self.project.bench

    def patch(self) -> str:
        """Return the plan as a patch."""
        options = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary")
        trees = (self.plan.head, self.project.repository_tree(self.plan.result))
        return self.bench.git("diff-tree", "-r", "-p", *options, *trees)


@contextlib.contextmanager
def prepare(
    folder: Path, request: ChangeRequest, trusted: str | None = None
) -> Iterator[PreparedPlan]:
    """Yield a plan. The project is not touched, except to recover from an interrupted climb."""
    git.require()
    folder = folder.absolute()
    transaction.recover_first(folder)
    recorded = answers_file.recorded(folder)
    top, head = preconditions.committed_head(folder)
    _refuse_another_climb(folder, recorded)
    before = template_source.followed(recorded, trusted)
    after = _new_template(before, request)
    changed = _checked_answers(folder, request, recorded, after)
    with opened_project(top, folder, head) as project:
        answers = answers_file.answers(recorded)
        base = rendered_trees.rendered(project.bench, before, answers)
        theirs = rendered_trees.rendered(project.bench, after, answers | changed)
        inputs = MergeInputs(project, before, after, base, project.tree, theirs)
        plan, rungs = _merged(inputs, recorded)
        yield PreparedPlan(project, plan, inputs.their_files, rungs)


def _refuse_another_climb(folder: Path, recorded: Mapping[str, Any]) -> None:
    """Raise a RungError if the answers have changed since they were read, before HEAD was."""
    with contextlib.suppress(RungError):  # git removes the file before it writes the new one
        if answers_file.recorded(folder) == recorded:
            return
    raise RungError(
        f"Another climb was under way in {folder}. Nothing was touched.\nRun the command again."
    )


def _new_template(before: Source, request: ChangeRequest) -> Source:
    if request.version:
        return template_source.with_version(before.address, request.version)
    return template_source.newest(before) if request.newest else before


def _checked_answers(
    folder: Path, request: ChangeRequest, recorded: Mapping[str, Any], after: Source
) -> dict[str, Any]:
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


def _merged(inputs: MergeInputs, recorded: Mapping[str, Any]) -> tuple[Plan, Files]:
    """Check, align and merge; return the plan, and the files that Rung has rendered."""
    before, after, original = inputs.before, inputs.after, inputs.ours
    # The user's own files are written once, and never merged after that (decision 8). Those that only
    # the newer template has are written now, as the user cannot have deleted them.
    of_the_user = rendered_trees.of_the_user
    planted = of_the_user({*inputs.base_files, *inputs.their_files}, [before, after])
    new = inputs.their_files.keys() - inputs.base_files.keys() - inputs.our_files.keys()
    planted -= of_the_user(new, [after]) - of_the_user(new, [before])
    inputs.leave_out(planted)
    rungs = inputs.base_files
    answers_check.check(inputs, recorded)
    preconditions.refuse_obstructed(
        inputs.project.folder,
        {*rungs, *inputs.their_files},
        _edited_contents(inputs),
        inputs.our_files,
    )
    to_come = answers_file.rendered(inputs.bench, inputs.their_files)
    states = _state(before, recorded), _state(after, to_come)
    if inputs.base == inputs.theirs:
        return Plan(inputs.project.head, *states, original), rungs
    # Give a file the same name on all sides, with the render it was based on as the merge base.
    names = inputs.renamed(planted)
    if before != after:
        inputs.follow_template()
    inputs.follow_user(names)
    own = inputs.recall()
    names |= inputs.recall_absent()
    return _outcome(inputs, original, states, names, own, inputs.leave_out_earlier()), rungs


def _state(source: Source, recorded: Mapping[str, Any]) -> ProjectState:
    answers = answers_file.answers(recorded)
    return ProjectState(source.address, str(recorded.get("_commit")), source.commit, answers)


def _outcome(
    inputs: MergeInputs,
    original: str,
    states: tuple[ProjectState, ProjectState],
    names: Mapping[str, str],
    own: set[str],
    earlier: list[str],
) -> Plan:
    bench, project = inputs.bench, inputs.project
    base, ours, theirs = inputs.base_files, inputs.our_files, inputs.their_files
    resolved = tree_merge.merge(bench, inputs.base, inputs.ours, inputs.theirs, own)
    present, result = bench.files(original), bench.files(resolved.tree)
    preconditions.refuse_case_twins(result.keys() - present.keys(), result.keys() & present.keys())
    ignored = preconditions.obstructing(project.folder, result.keys() - present.keys())
    tree = rendered_trees.without(bench, resolved.tree, ignored)
    result = {path: entry for path, entry in result.items() if path not in ignored}
    added = sorted(result.keys() - present.keys())
    settled = {*resolved.kept, *resolved.own, *(conflict.path for conflict in resolved.conflicts)}
    return Plan(
        project.head,
        *states,
        tree,
        added=added,
        changed=sorted(path for path in result.keys() & present if result[path] != present[path]),
        retired=sorted(present.keys() - result.keys()),
        renamed={old: new for old, new in names.items() if new in result},
        kept=resolved.kept,
        gone=sorted({*resolved.gone, *(base.keys() & theirs.keys() - ours.keys() - result.keys())}),
        own=resolved.own,
        ignored=ignored,
        earlier=earlier,
        edited=sorted(
            path
            for path in base.keys() & ours.keys() - settled
            if ours[path] != base[path] and result.get(path) == ours[path]
        ),
        yours=len(ours.keys() - base.keys() - theirs.keys()),
        by_key=resolved.by_key,
        conflicts=resolved.conflicts,
        dependencies=plans.dependencies(bench, present, result),
        locks=plans.locks(bench, present, result),
        jobs=plans.jobs(inputs.after, added),
        missing=level_contents.missing(states[1].answers, result),
        **plans.new_contents(inputs.after, *states),
    )


def _edited_contents(inputs: MergeInputs) -> dict[str, bytes]:
    base, ours = inputs.base_files, inputs.our_files
    edited = {path: ours[path].oid for path in ours.keys() & base if ours[path] != base[path]}
    texts = inputs.bench.contents(edited.values())
    return {path: texts[oid] for path, oid in edited.items() if oid in texts}
