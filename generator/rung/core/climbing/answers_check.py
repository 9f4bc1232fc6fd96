"""Check that the answers file matches the files that were rendered.

After a level was written in by hand, its files would count as deleted, and never appear (decision 19, trees).
"""

import os
from collections.abc import Mapping
from typing import Any

from rung.core import level_contents, template_source
from rung.core.merging import history
from rung.core.merging.line_merge import PAGE
from rung.core.merging.merge_inputs import MergeInputs
from rung.core.rendering import answers_file, rendered_trees
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.ladder import RUNGS
from rung.levels.template_answers import ANSWERS
from rung.system.printable import printable

Answers = Mapping[str, Any]


def check(inputs: MergeInputs, recorded: Answers) -> None:
    """Raise a RungError if the answers are not those that the project was rendered with."""
    base, ours = inputs.base_files, inputs.our_files
    if ANSWERS not in ours:
        raise RungError(
            f"Git does not track {ANSWERS}, so Rung cannot tell what was rendered.\n"
            f"Run `git add --force {ANSWERS}`, commit, then climb."
        )
    made = answers_file.rendered(inputs.bench, base)
    for name, value in recorded.items():
        rendered = made.get(name, value)
        if name == "_src_path":  # of which there are several spellings
            value, rendered = map(template_source.normalized, (str(value), str(rendered)))
        if rendered != value:
            change = f", then change the answer with `rung climb -d {name}=VALUE`"
            raise RungError(
                f"{ANSWERS} says `{printable(f'{name}: {value}')}`, and the template makes "
                f"`{printable(str(rendered))}` of that.\n"
                f"Restore the file from git{'' if name.startswith('_') else change}."
            )
    if base.get(PAGE) == ours.get(PAGE) and base.keys() <= ours.keys():
        return
    _check_earlier(inputs, recorded)
    _check_choices(inputs, recorded)


def _check_earlier(inputs: MergeInputs, recorded: Answers) -> None:
    states = history.states(inputs.project)
    earlier, commit = next((state for state in states if state[0] != dict(recorded)), ({}, ""))
    address, ours, base = inputs.before.address, inputs.our_files, inputs.base_files
    if earlier.get("_src_path") != address:
        return
    try:
        source = template_source.with_version(address, str(earlier.get("_commit")))
        tree = rendered_trees.rendered(inputs.bench, source, answers_file.answers(earlier))
    except RungError:
        return  # that version no longer exists, so nothing can be compared
    then = inputs.bench.files(tree)
    differing = rendered_trees.differing(base, then, [inputs.before, source])
    as_recorded, as_before = (
        sum(ours.get(path) == side.get(path) for path in differing) for side in (base, then)
    )
    if as_before > as_recorded:
        changed = {n: earlier.get(n) for n in recorded if recorded[n] != earlier.get(n)}
        undo = f"Run `git restore --source {commit[:12]} {ANSWERS}`"
        raise _mismatch(recorded, changed, undo)


def _check_choices(inputs: MergeInputs, recorded: Answers) -> None:
    """Raise a RungError if another choice fits the files better.

    History does not show it where the answers were changed in the commit that brought the files.
    Every choice takes a render, so they are tried only where the files raise doubt.
    """
    if not _is_doubtful(inputs):
        return
    answers = answers_file.answers(recorded)
    for name, values in _other_choices(inputs.before, answers).items():
        fits = {value: _fit(inputs, answers | {name: value}) for value in values}
        best = max(fits, key=lambda value: fits[value], default=None)
        if best is not None and fits[best] > 0:
            raise _mismatch(recorded, {name: best}, f"Write `{name}: {best}` there again")


def _is_doubtful(inputs: MergeInputs) -> bool:
    """Say whether a file that the answers render never existed, or files of other answers exist.

    The latter count only if RUNG.md is not the page of these answers either.
    """
    project, base, ours = inputs.project, inputs.base_files, inputs.our_files
    missing = {path for path in base if not os.path.lexists(project.folder / path)}
    if missing - {path for _, path in history.changes(project, "D", missing)}:
        return True
    others = ours.keys() - base.keys() - rendered_trees.of_the_user(ours, [inputs.before])
    return bool(others - history.by_user(project, "A", others)) and not _has_page(inputs)


def _has_page(inputs: MergeInputs) -> bool:
    """Say whether RUNG.md has all the lines that Rung rendered, in their order."""
    sides = [inputs.base_files.get(PAGE), inputs.our_files.get(PAGE)]
    made, page = (inputs.bench.content(entry).splitlines() for entry in sides)
    lines = iter(page)
    return None not in sides and all(line in lines for line in made)


def _fit(inputs: MergeInputs, answers: Answers) -> int:
    """Return how many more files match these answers than match the recorded ones."""
    try:
        tree = rendered_trees.rendered(inputs.bench, inputs.before, answers)
    except RungError:
        return 0  # the choice contradicts another answer
    base, ours, other = inputs.base_files, inputs.our_files, inputs.bench.files(tree)
    differing = rendered_trees.differing(base, other, [inputs.before])
    as_recorded, as_other = (
        sum(path in side and ours.get(path) == side[path] for path in differing)
        for side in (base, other)
    )
    return as_other - as_recorded


def _other_choices(source: Source, answers: Answers) -> dict[str, list[Any]]:
    alternatives = {}
    questions = source.read("levels/questions.yml")
    for name in sorted(answers.keys() & questions.keys()):
        choices = questions[name].get("choices", [])
        if isinstance(choices, str):  # rendered from other files of levels/
            choices = {"ci": list(level_contents.vendors(source)), "level": RUNGS}.get(name, [])
        values = choices.values() if isinstance(choices, dict) else choices
        alternatives[name] = [value for value in values if value != answers[name]]
    return alternatives


def _mismatch(recorded: Answers, fitting: Answers, undo: str) -> RungError:
    says, fits = (
        ", ".join(f"`{printable(f'{name}: {side.get(name)}')}`" for name in fitting)
        for side in (recorded, fitting)
    )
    return RungError(
        f"{ANSWERS} does not match the project: it says {says}, and the files are those of "
        f"{fits}.\nEither it was changed by hand, or a climb was committed or rolled back only in part."
        f"\n{undo}, commit, then climb with `-d NAME=VALUE` or `--to N`."
    )
