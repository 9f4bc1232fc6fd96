"""Whether the answers file tells the truth about what was rendered: a level written into it by
hand would make that level's files count as deleted by the user, and never appear."""

import re
from collections.abc import Mapping
from typing import Any

from rung import git, project
from rung.climbing import answered, followed, history, trees
from rung.climbing.workbench import Entry, Workbench
from rung.errors import RungError
from rung.source import Source

HEADING = re.compile(rb"^# Rung (\d+)", re.MULTILINE)
TELLING = "RUNG.md"  # Rung's page about the project, which says every answer that matters


def check(
    bench: Workbench,
    said: Mapping[str, Any],
    now: Source,
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    head: str,
    prefix: str,
) -> None:
    """Raise a RungError when the answers differ from those that the project was rendered with.

    Args:
        bench: Where the trees stand.
        said: The answers file of HEAD.
        now: The template it names.
        base: What it renders, the user's own files left out.
        ours: The project's files.
        head: The last commit.
        prefix: The project's folder in the repository, or nothing.
    """
    if project.ANSWERS not in ours:
        raise RungError(
            f"Git does not keep {project.ANSWERS}, so nobody can say what was rendered.\n"
            f"Run `git add --force {project.ANSWERS}`, commit, then climb."
        )
    entry = base.get(project.ANSWERS)
    text = bench.contents([entry.oid]).get(entry.oid, b"") if entry else b""
    rendered = answered.parse(text.decode("utf-8", "replace"), project.ANSWERS)
    for name, value in said.items():
        if name in rendered and rendered[name] != value and not _same(name, rendered[name], value):
            change = (
                "."
                if name.startswith("_")
                else f", then change the answer with `rung climb -d {name}=VALUE`."
            )
            raise RungError(
                f"{project.ANSWERS} says `{name}: {value}`, and the template makes "
                f"`{rendered[name]}` of that.\nRestore the file from git{change}"
            )
    if _untouched(base, ours):
        return
    earlier = next(
        (one for one in history.earlier_answers(bench, prefix, head) if one != dict(said)), None
    )
    if earlier is None:
        _check_heading(bench, said, base, ours)
        return
    if earlier.get("_src_path") != now.address:
        return
    try:
        source = followed.at(now.address, str(earlier.get("_commit")))
        was = bench.files(trees.rendered(bench, source, answered.answers(earlier)))
    except RungError:
        return  # that version cannot be had any more, and nothing can be said
    yours = trees.of_the_user({*base, *was}, [now, source])
    telling = {
        path
        for path in {*base, *was} - yours - {project.ANSWERS}
        if base.get(path) != was.get(path)
    }
    as_said = sum(ours.get(path) == base.get(path) for path in telling)
    as_before = sum(ours.get(path) == was.get(path) for path in telling)
    if as_before > as_said:
        changed = [name for name in said if said[name] != earlier.get(name)]
        raise RungError(
            f"{project.ANSWERS} does not match the project: {', '.join(f'`{n}`' for n in changed)} "
            f"was changed there by hand, and the files are those of the answers before.\n"
            f"Undo it: `{_undo(bench, prefix, said, earlier)}`, commit, then climb "
            "with `-d NAME=VALUE` or `--to N`."
        )


def _same(name: str, one: Any, other: Any) -> bool:
    """Say whether two spellings of the template's address mean the same one."""
    return name == "_src_path" and followed.same(str(one)) == followed.same(str(other))


def _check_heading(
    bench: Workbench,
    said: Mapping[str, Any],
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
) -> None:
    """Raise a RungError where the project's page is that of another rung.

    Nothing else tells, where the answers have been the same since the first commit.
    """
    pages = [files[TELLING].oid for files in (base, ours) if TELLING in files]
    texts = bench.contents(pages)
    rungs = [found[1] for oid in pages if (found := HEADING.search(texts.get(oid, b"")))]
    if len(rungs) == 2 and rungs[0] != rungs[1]:
        was = rungs[1].decode()
        raise RungError(
            f"{project.ANSWERS} does not match the project: it says `level: {said['level']}`, which "
            f"was changed there by hand, and {TELLING} is that of rung {was}.\n"
            f"Write `level: {was}` there again, commit, then climb with `--to N`."
        )


def _untouched(base: Mapping[str, Entry], ours: Mapping[str, Entry]) -> bool:
    return base.get(TELLING) == ours.get(TELLING) and base.keys() <= ours.keys()


def _undo(
    bench: Workbench, prefix: str, said: Mapping[str, Any], earlier: Mapping[str, Any]
) -> str:
    path = project.answers_below(prefix)
    words = ("log", "--format=%H", "--max-count=40", "--", f":(top,literal){path}")
    for commit in (git.answers(bench.top, *words) or "").split():
        text = git.show(bench.top, commit, path)
        try:
            if answered.parse(text or "", path) == dict(earlier):
                return f"git restore --source {commit[:12]} {project.ANSWERS}"
        except RungError:
            continue
    return f"git restore --source HEAD~1 {project.ANSWERS}"
