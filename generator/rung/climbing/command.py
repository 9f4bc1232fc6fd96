"""The commands plan, climb and update: look, say it, do it, say what came of it."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rung import answers as given
from rung import git, home, project
from rung.climbing import answered, changelog, followed, saved, words
from rung.climbing import climb as climbing
from rung.climbing.climb import RUNGS, Look, Wish
from rung.errors import NotDoneError, RungError
from rung.staging import stopped_like_ctrl_c


def wish(path: Path, to: int | None, pairs: Sequence[str], version: str | None) -> Wish:
    """Return what the options ask for; without any, the next rung."""
    answers = given.gather(None, pairs, {"level": to})
    if not answers and version is None:
        git.require()
        climbing.ended_first(path)  # the level is that of the project once it stands
        here = answered.recorded(path.absolute())["level"]
        if here >= RUNGS[-1]:
            raise RungError(
                f"The project stands on rung {here}, the highest one.\n"
                "Say where to go with `--to N`, or what to change with `-d QUESTION=ANSWER`."
            )
        answers = {"level": here + 1}
    return Wish(answers, version)


def plan(
    path: Path,
    wished: Wish,
    trusted: str | None,
    *,
    as_json: bool = False,
    diff: bool = False,
    out: Path | None = None,
) -> int:
    """Show a plan; return 1 where it has conflicts."""
    if out is not None:
        saved.has_room(out, path)
    with stopped_like_ctrl_c(), climbing.look(path, wished, trusted) as seen:
        if out is not None:
            saved.save(out, path, wished, trusted, seen.plan)
        if as_json:
            print(json.dumps(seen.plan.as_data(), indent=2, default=str))
        elif diff:
            sys.stdout.flush()
            sys.stdout.buffer.write(seen.patch().encode("utf-8", "surrogateescape"))
        else:
            print(words.plan(seen.plan))
        if out is not None:
            print(
                f"Saved. To do it: `rung climb {shlex.quote(home.no_option(out))}`", file=sys.stderr
            )
        return 1 if seen.plan.conflicts else 0


def climb(
    path: Path,
    wished: Wish,
    trusted: str | None,
    *,
    branch: str | None = None,
    verify: bool = True,
    bound_to: saved.Saved | None = None,
) -> int:
    """Climb; return 1 where conflicts are left for a person."""
    with stopped_like_ctrl_c(), climbing.look(path, wished, trusted) as seen:
        if bound_to is not None:
            saved.bound(bound_to, seen.plan)
        return finish(seen, branch, verify=verify, command=_typed("climb", path, wished, trusted))


def climb_as_planned(file: Path, others: Sequence[Any], *, branch: str | None, verify: bool) -> int:
    """Do what a saved plan says, in the project at hand or else in the one it was made for."""
    if any(others):
        raise RungError(f"{file} says all there is to say. Leave out the other options.")
    said = saved.load(file)
    here = Path.cwd()
    folder = here if (here / project.ANSWERS).is_file() else said.folder
    return climb(folder, said.wish, said.trusted, branch=branch, verify=verify, bound_to=said)


def update(
    path: Path, version: str | None, trusted: str | None, *, branch: str | None, verify: bool
) -> int:
    """Bring the project to a newer version of the template, and say what comes with it."""
    git.require()
    wished = Wish(version=version, newest=version is None)
    with stopped_like_ctrl_c(), climbing.look(path, wished, trusted) as seen:
        before, after = seen.plan.before, seen.plan.after
        if seen.plan.changes_nothing:
            print(f"The project already has the template at {after.version}.")
            return 0
        sources = [followed.at(one.template, one.version) for one in (before, after)]
        news = changelog.between(*sources)
        if news:
            print(f"What comes, by the changelog:\n\n{news}\n")
        typed = _typed("update", path, wished, trusted)
        return finish(seen, branch, verify=verify, command=typed)


def finish(seen: Look, branch: str | None, *, verify: bool, command: str) -> int:
    """Do what was planned, and say what came of it; return 1 where conflicts are left.

    Raises:
        NotDoneError: There are conflicts, and no branch was named; nothing was written.
    """
    plan = seen.plan
    if plan.changes_nothing:
        print(words.nothing(plan))
        return 0
    if branch is not None:
        climbing.branch(seen, branch, words.message(plan))
        print(words.branched(plan, branch))
        return 1 if plan.conflicts else 0
    if plan.conflicts:
        print(words.plan(plan))
        raise NotDoneError(words.stopped(plan, command))
    commit = climbing.climb(seen, words.message(plan), verify=verify)
    print(words.done(plan, commit, verified=verify))
    return 0


def _typed(verb: str, path: Path, wished: Wish, trusted: str | None) -> str:
    parts = ["rung", verb, *([] if path == Path() else [home.no_option(path)])]
    for name, value in wished.answers.items():
        parts += ["--to", str(value)] if name == "level" else ["-d", f"{name}={value}"]
    parts += ["--template-version", wished.version] if wished.version else []
    parts += ["--template", trusted] if trusted else []
    return shlex.join(parts)
