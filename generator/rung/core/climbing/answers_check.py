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
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.ladder import RUNGS
from rung.levels.template_answers import ANSWERS


@dataclass(frozen=True)
class RenderedProject:
    """A project, and what its answers render.

    Args:
        bench: The repository that holds the trees.
        recorded: The answers file of HEAD.
        source: The template that it names.
        base: The files that it renders, without those that are the user's own.
        ours: The project's files.
        head: The last commit.
        prefix: The project's folder in the repository, or nothing.
    """

    bench: Workbench
    recorded: Mapping[str, Any]
    source: Source
    base: Mapping[str, Entry]
    ours: Mapping[str, Entry]
    head: str
    prefix: str


def check(project: RenderedProject) -> None:
    """Raise a RungError if the answers are not those that the project was rendered with."""
    if ANSWERS not in project.ours:
        raise RungError(
            f"Git does not track {ANSWERS}, so Rung cannot tell what was rendered.\n"
            f"Run `git add --force {ANSWERS}`, commit, then climb."
        )
    entry = project.base.get(ANSWERS)
    text = project.bench.contents([entry.oid]).get(entry.oid, b"") if entry else b""
    rendered = answers_file.parse(text.decode("utf-8", "replace"), ANSWERS)
    for name, value in project.recorded.items():
        if name in rendered and rendered[name] != value and not _same(name, rendered[name], value):
            change = (
                "."
                if name.startswith("_")
                else f", then change the answer with `rung climb -d {name}=VALUE`."
            )
            raise RungError(
                f"{ANSWERS} says `{name}: {value}`, and the template makes "
                f"`{rendered[name]}` of that.\nRestore the file from git{change}"
            )
    if _untouched(project):
        return
    _check_earlier(project)
    _check_choices(project)


def _check_earlier(project: RenderedProject) -> None:
    """Raise a RungError if the previous answers fit the files better."""
    states = history.states(project.bench, project.prefix, project.head)
    earlier, commit = next(
        (state for state in states if state[0] != dict(project.recorded)), ({}, "")
    )
    if earlier.get("_src_path") != project.source.address:
        return
    try:
        source = template_source.with_version(project.source.address, str(earlier.get("_commit")))
        earlier_files = project.bench.files(
            rendered_trees.rendered(project.bench, source, answers_file.answers(earlier))
        )
    except RungError:
        return  # that version no longer exists, so nothing can be compared
    differing = _differing(project.base, earlier_files, [project.source, source])
    as_recorded = sum(project.ours.get(path) == project.base.get(path) for path in differing)
    as_before = sum(project.ours.get(path) == earlier_files.get(path) for path in differing)
    if as_before > as_recorded:
        changed = {
            name: earlier.get(name)
            for name in project.recorded
            if project.recorded[name] != earlier.get(name)
        }
        raise _mismatch(
            project.recorded, changed, f"Run `git restore --source {commit[:12]} {ANSWERS}`"
        )


def _check_choices(project: RenderedProject) -> None:
    """Raise a RungError if another choice fits the files better.

    History does not show it where the answers were changed in the commit that brought the files.
    Every choice takes a render, so they are tried only where the files raise doubt.
    """
    if not _is_doubtful(project):
        return
    answers = answers_file.answers(dict(project.recorded))
    for name, values in _other_choices(project.source, answers).items():
        fits = {value: _fit(project, answers | {name: value}) for value in values}
        best = max(fits, key=lambda value: fits[value], default=None)
        if best is not None and fits[best] > 0:
            raise _mismatch(project.recorded, {name: best}, f"Write `{name}: {best}` there again")


def _is_doubtful(project: RenderedProject) -> bool:
    """Say whether a file that the answers render never existed, or files of other answers exist.

    The latter count only if RUNG.md is not the page of these answers either.
    """
    missing = {
        path
        for path in project.base
        if not os.path.lexists(project.bench.top / project.prefix / path)
    }
    if missing - history.removed_once(project.bench, project.prefix, project.head, missing):
        return True
    others = (
        project.ours.keys()
        - project.base.keys()
        - rendered_trees.of_the_user(project.ours, [project.source])
    )
    added = others - history.added_by_user(project.bench, project.prefix, project.head, others)
    return bool(added) and not _has_page(project)


def _fit(project: RenderedProject, answers: Mapping[str, Any]) -> int:
    """Return how many more files match these answers than match the recorded ones."""
    try:
        other = project.bench.files(rendered_trees.rendered(project.bench, project.source, answers))
    except RungError:
        return 0  # the choice contradicts another answer
    differing = _differing(project.base, other, [project.source])
    as_recorded, as_other = (
        sum(path in side and project.ours.get(path) == side[path] for path in differing)
        for side in (project.base, other)
    )
    return as_other - as_recorded


def _differing(
    render: Mapping[str, Entry], other: Mapping[str, Entry], sources: list[Source]
) -> set[str]:
    """Return the files of Rung's that differ between two renders."""
    paths = {*render, *other}
    yours = rendered_trees.of_the_user(paths, sources)
    return {path for path in paths - yours - {ANSWERS} if render.get(path) != other.get(path)}


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
        ", ".join(f"`{n}: {side.get(n)}`" for n in fitting) for side in (recorded, fitting)
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


def _has_page(project: RenderedProject) -> bool:
    """Say whether RUNG.md has all the lines that Rung rendered, in their order."""
    if not project.base.keys() & project.ours.keys() >= {PAGE}:
        return False
    rendered, page = project.base[PAGE].oid, project.ours[PAGE].oid
    texts = project.bench.contents([rendered, page])
    lines = iter(texts.get(page, b"").splitlines())
    return all(line in lines for line in texts.get(rendered, b"").splitlines())


def _untouched(project: RenderedProject) -> bool:
    return (
        project.base.get(PAGE) == project.ours.get(PAGE)
        and project.base.keys() <= project.ours.keys()
    )
