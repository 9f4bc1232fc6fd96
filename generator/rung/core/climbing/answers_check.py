"""Check that the answers file matches what was rendered: a level written into it by hand would make
that level's files count as deleted by the user, and never appear."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.core import level_contents, template_source
from rung.core.merging import history
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.ladder import RUNGS
from rung.levels.template_answers import ANSWERS

TELLING = "RUNG.md"  # Rung's page about the project, which says every answer that matters


@dataclass(frozen=True)
class Compared:
    """A project compared with its answers.

    Args:
        bench: Where the trees stand.
        recorded: The answers file of HEAD.
        now: The template it names.
        base: What it renders, the user's own files left out.
        ours: The project's files.
        head: The last commit.
        prefix: The project's folder in the repository, or nothing.
    """

    bench: Workbench
    recorded: Mapping[str, Any]
    now: Source
    base: Mapping[str, Entry]
    ours: Mapping[str, Entry]
    head: str
    prefix: str


def check(here: Compared) -> None:
    """Raise a RungError when the answers differ from those that the project was rendered with."""
    if ANSWERS not in here.ours:
        raise RungError(
            f"Git does not track {ANSWERS}, so Rung cannot tell what was rendered.\n"
            f"Run `git add --force {ANSWERS}`, commit, then climb."
        )
    entry = here.base.get(ANSWERS)
    text = here.bench.contents([entry.oid]).get(entry.oid, b"") if entry else b""
    rendered = answers_file.parse(text.decode("utf-8", "replace"), ANSWERS)
    for name, value in here.recorded.items():
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
    if _untouched(here):
        return
    _check_earlier(here)
    _check_choices(here)


def _check_earlier(here: Compared) -> None:
    """Raise a RungError if the answers before these fit the files better."""
    states = history.states(here.bench, here.prefix, here.head)
    earlier, commit = next((state for state in states if state[0] != dict(here.recorded)), ({}, ""))
    if earlier.get("_src_path") != here.now.address:
        return
    try:
        source = template_source.with_version(here.now.address, str(earlier.get("_commit")))
        earlier_files = here.bench.files(
            rendered_trees.rendered(here.bench, source, answers_file.answers(earlier))
        )
    except RungError:
        return  # that version is gone, so nothing can be compared
    telling = _telling(here.base, earlier_files, [here.now, source])
    as_said = sum(here.ours.get(path) == here.base.get(path) for path in telling)
    as_before = sum(here.ours.get(path) == earlier_files.get(path) for path in telling)
    if as_before > as_said:
        changed = {
            name: earlier.get(name)
            for name in here.recorded
            if here.recorded[name] != earlier.get(name)
        }
        raise _mismatch(
            here.recorded, changed, f"Run `git restore --source {commit[:12]} {ANSWERS}`"
        )


def _check_choices(here: Compared) -> None:
    """Raise a RungError if another choice fits the files better, which history does not tell.

    The answers may have been changed in the very commit that brought the files. Each other choice
    takes a render, so they are looked at only where the files give reason to.
    """
    if not _is_doubtful(here):
        return
    answers = answers_file.answers(dict(here.recorded))
    for name, values in _other_choices(here.now, answers).items():
        fits = {value: _fit(here, answers | {name: value}) for value in values}
        best = max(fits, key=lambda value: fits[value], default=None)
        if best is not None and fits[best] > 0:
            raise _mismatch(here.recorded, {name: best}, f"Write `{name}: {best}` there again")


def _is_doubtful(here: Compared) -> bool:
    """Say whether a file of Rung's never existed, or others came with the answers.

    The others count only where Rung's page is not that of these answers either.
    """
    missing = {
        path for path in here.base if not os.path.lexists(here.bench.top / here.prefix / path)
    }
    if missing - history.removed_once(here.bench, here.prefix, here.head, missing):
        return True
    others = here.ours.keys() - here.base.keys() - rendered_trees.of_the_user(here.ours, [here.now])
    came = others - history.added_by_user(here.bench, here.prefix, here.head, others)
    return bool(came) and not _has_page(here)


def _fit(here: Compared, answers: Mapping[str, Any]) -> int:
    """Return how many files more are as these answers render them than are as in the base."""
    try:
        other = here.bench.files(rendered_trees.rendered(here.bench, here.now, answers))
    except RungError:
        return 0  # the choice does not go together with the other answers
    telling = _telling(here.base, other, [here.now])
    as_said, as_other = (
        sum(path in side and here.ours.get(path) == side[path] for path in telling)
        for side in (here.base, other)
    )
    return as_other - as_said


def _telling(
    render: Mapping[str, Entry], other: Mapping[str, Entry], sources: list[Source]
) -> set[str]:
    """Return the files of Rung's in which two renders differ."""
    paths = {*render, *other}
    yours = rendered_trees.of_the_user(paths, sources)
    return {path for path in paths - yours - {ANSWERS} if render.get(path) != other.get(path)}


def _other_choices(now: Source, answers: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the choices of each answered question that were not taken."""
    alternatives = {}
    for name in answers.keys() & (questions := now.read("levels/questions.yml")).keys():
        choices = questions[name].get("choices", [])
        if isinstance(choices, str):  # made of other data of levels/
            choices = {"ci": list(level_contents.vendors(now)), "level": RUNGS}.get(name, [])
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
    """Say whether two spellings of the template's address mean the same one."""
    return name == "_src_path" and template_source.normalized(
        str(spelling)
    ) == template_source.normalized(str(other))


def _has_page(here: Compared) -> bool:
    """Say whether the project's page has every line that Rung rendered, in their order."""
    if not here.base.keys() & here.ours.keys() >= {TELLING}:
        return False
    rendered, page = here.base[TELLING].oid, here.ours[TELLING].oid
    texts = here.bench.contents([rendered, page])
    lines = iter(texts.get(page, b"").splitlines())
    return all(line in lines for line in texts.get(rendered, b"").splitlines())


def _untouched(here: Compared) -> bool:
    return here.base.get(TELLING) == here.ours.get(TELLING) and here.base.keys() <= here.ours.keys()
