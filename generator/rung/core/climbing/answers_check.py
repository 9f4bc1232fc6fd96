"""Check that the answers file matches the files that were rendered.

After a level was written into it by hand, that level's files would count as deleted by the user, and
never appear (decision 19).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.core import level_contents, template_source
from rung.core.merging import history
from rung.core.merging.line_merge import PAGE
from rung.core.project import Project
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.ladder import RUNGS
from rung.levels.template_answers import ANSWERS
from rung.system.printable import printable


@dataclass(frozen=True)
class RenderedProject:
    """A project, and what its answers render.

    Args:
        project: The project.
        recorded: Its answers file.
        source: The template that it names.
        base: The files that it renders, without those that are the user's own.
        ours: The project's files.
    """

    project: Project
    recorded: Mapping[str, Any]
    source: Source
    base: Mapping[str, Entry]
    ours: Mapping[str, Entry]


def check(rendered: RenderedProject) -> None:
    """Raise a RungError if the answers are not those that the project was rendered with."""
    if ANSWERS not in rendered.ours:
        raise RungError(
            f"Git does not track {ANSWERS}, so Rung cannot tell what was rendered.\n"
            f"Run `git add --force {ANSWERS}`, commit, then climb."
        )
    made = answers_file.rendered(rendered.project.bench, rendered.base)
    for name, value in rendered.recorded.items():
        if name in made and made[name] != value and not _same(name, made[name], value):
            change = (
                "."
                if name.startswith("_")
                else f", then change the answer with `rung climb -d {name}=VALUE`."
            )
            raise RungError(
                f"{ANSWERS} says `{printable(f'{name}: {value}')}`, and the template makes "
                f"`{printable(str(made[name]))}` of that.\nRestore the file from git{change}"
            )
    if _untouched(rendered):
        return
    _check_earlier(rendered)
    _check_choices(rendered)


def _check_earlier(rendered: RenderedProject) -> None:
    """Raise a RungError if the previous answers fit the files better."""
    states = history.states(rendered.project)
    earlier, commit = next(
        (state for state in states if state[0] != dict(rendered.recorded)), ({}, "")
    )
    if earlier.get("_src_path") != rendered.source.address:
        return
    try:
        source = template_source.with_version(rendered.source.address, str(earlier.get("_commit")))
        earlier_files = rendered.project.bench.files(
            rendered_trees.rendered(rendered.project.bench, source, answers_file.answers(earlier))
        )
    except RungError:
        return  # that version no longer exists, so nothing can be compared
    differing = rendered_trees.differing(rendered.base, earlier_files, [rendered.source, source])
    as_recorded = sum(rendered.ours.get(path) == rendered.base.get(path) for path in differing)
    as_before = sum(rendered.ours.get(path) == earlier_files.get(path) for path in differing)
    if as_before > as_recorded:
        changed = {
            name: earlier.get(name)
            for name in rendered.recorded
            if rendered.recorded[name] != earlier.get(name)
        }
        raise _mismatch(
            rendered.recorded, changed, f"Run `git restore --source {commit[:12]} {ANSWERS}`"
        )


def _check_choices(rendered: RenderedProject) -> None:
    """Raise a RungError if another choice fits the files better.

    History does not show it where the answers were changed in the commit that brought the files.
    Every choice takes a render, so they are tried only where the files raise doubt.
    """
    if not _is_doubtful(rendered):
        return
    answers = answers_file.answers(rendered.recorded)
    for name, values in _other_choices(rendered.source, answers).items():
        fits = {value: _fit(rendered, answers | {name: value}) for value in values}
        best = max(fits, key=lambda value: fits[value], default=None)
        if best is not None and fits[best] > 0:
            raise _mismatch(rendered.recorded, {name: best}, f"Write `{name}: {best}` there again")


def _is_doubtful(rendered: RenderedProject) -> bool:
    """Say whether a file that the answers render never existed, or files of other answers exist.

    The latter count only if RUNG.md is not the page of these answers either.
    """
    missing = {
        path for path in rendered.base if not os.path.lexists(rendered.project.folder / path)
    }
    if missing - history.removed_once(rendered.project, missing):
        return True
    others = (
        rendered.ours.keys()
        - rendered.base.keys()
        - rendered_trees.of_the_user(rendered.ours, [rendered.source])
    )
    added = others - history.added_by_user(rendered.project, others)
    return bool(added) and not _has_page(rendered)


def _fit(rendered: RenderedProject, answers: Mapping[str, Any]) -> int:
    """Return how many more files match these answers than match the recorded ones."""
    try:
        other = rendered.project.bench.files(
            rendered_trees.rendered(rendered.project.bench, rendered.source, answers)
        )
    except RungError:
        return 0  # the choice contradicts another answer
    differing = rendered_trees.differing(rendered.base, other, [rendered.source])
    as_recorded, as_other = (
        sum(path in side and rendered.ours.get(path) == side[path] for path in differing)
        for side in (rendered.base, other)
    )
    return as_other - as_recorded


def _other_choices(source: Source, answers: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the other choices of every answered question."""
    alternatives = {}
    for name in answers.keys() & (questions := source.read("levels/questions.yml")).keys():
        choices = questions[name].get("choices", [])
        if isinstance(choices, str):  # rendered from other files of levels/
            choices = {"ci": list(level_contents.vendors(source)), "level": RUNGS}.get(name, [])
        values = choices.values() if isinstance(choices, dict) else choices
        alternatives[name] = [value for value in values if value != answers[name]]
    return dict(sorted(alternatives.items()))


def _mismatch(recorded: Mapping[str, Any], fitting: Mapping[str, Any], undo: str) -> RungError:
    says, fits = (
        ", ".join(f"`{printable(f'{n}: {side.get(n)}')}`" for n in fitting)
        for side in (recorded, fitting)
    )
    return RungError(
        f"{ANSWERS} does not match the project: it says {says}, and the files are those of "
        f"{fits}.\nEither it was changed by hand, or a climb was committed or rolled back only in part."
        f"\n{undo}, commit, then climb with `-d NAME=VALUE` or `--to N`."
    )


def _same(name: str, spelling: Any, other: Any) -> bool:
    """Say whether two values are spellings of the same address of a template."""
    return name == "_src_path" and template_source.normalized(
        str(spelling)
    ) == template_source.normalized(str(other))


def _has_page(rendered: RenderedProject) -> bool:
    """Say whether RUNG.md has all the lines that Rung rendered, in their order."""
    if PAGE not in rendered.base or PAGE not in rendered.ours:
        return False
    made, page = (
        rendered.project.bench.content(side[PAGE]).splitlines()
        for side in (rendered.base, rendered.ours)
    )
    lines = iter(page)
    return all(line in lines for line in made)


def _untouched(rendered: RenderedProject) -> bool:
    return (
        rendered.base.get(PAGE) == rendered.ours.get(PAGE)
        and rendered.base.keys() <= rendered.ours.keys()
    )
