"""Put the library's source into a project in place of its wheel, and go back: one answer."""

import os
from pathlib import Path
from typing import Any

from rung import git
from rung.climbing import answered, command, followed
from rung.climbing.look import Look, Wish, ended_first
from rung.climbing.look import look as looked
from rung.errors import NotDoneError, RungError
from rung.staging import stopped_like_ctrl_c

QUESTION, FOLDER = "ejected", "machinery"
SHOWN = 20  # edited files that a message names


def eject(path: Path, trusted: str | None, *, verify: bool) -> int:
    """Replace the wheel in vendor/ by the library's source and tests in machinery/.

    Raises:
        RungError: It is there already, something else stands in its place, or the project's
            version of the template cannot do it.
    """
    said = _recorded(path)
    if said.get(QUESTION):
        raise RungError(
            f"{path.absolute()} has the library's source in `{FOLDER}/` already.\n"
            "Edit it there; `rung update` merges newer versions. Back: `rung eject --undo`."
        )
    before = followed.recorded(said, trusted)
    if QUESTION not in before.read("levels/questions.yml"):
        raise RungError(
            f"The project has the template at {said['_commit']}, which has no library to eject.\n"
            "Run `rung update` first."
        )
    if os.path.lexists(path / FOLDER):
        raise RungError(
            f"{path.absolute() / FOLDER} exists already, and the library's source goes there.\n"
            "Rename yours, commit, then eject."
        )
    with stopped_like_ctrl_c(), looked(path, Wish({QUESTION: True}), trusted) as seen:
        return command.finish(seen, None, verify=verify, command="rung eject")


def undo(path: Path, trusted: str | None, *, verify: bool) -> int:
    """Put the wheel back in place of the source, where nobody has edited that.

    Raises:
        RungError: The project has no source to give back.
        NotDoneError: Files in machinery/ were edited; the message names them.
    """
    if not _recorded(path).get(QUESTION):
        raise RungError(
            f"{path.absolute()} runs on the wheel in vendor/: there is nothing to undo."
        )
    with stopped_like_ctrl_c(), looked(path, Wish({QUESTION: False}), trusted) as seen:
        if edited := _edited(seen):
            more = len(edited) - SHOWN
            names = "\n".join(f"  {line}" for line in edited[:SHOWN])
            raise NotDoneError(
                f"Files in `{FOLDER}/` differ from those that were ejected:\n{names}"
                + (f"\n  and {more} more" if more > 0 else "")
                + "\nNothing was touched. Restore or delete these edits, commit, then undo. An edit "
                "that must stay may fit a hook: see docs/machinery.md."
            )
        return command.finish(seen, None, verify=verify, command="rung eject --undo")


def _recorded(path: Path) -> dict[str, Any]:
    git.require()
    ended_first(path.absolute())
    return answered.recorded(path.absolute())


def _edited(seen: Look) -> list[str]:
    """Return a line for each file in machinery/ that is not as it was rendered."""
    ours = seen.bench.files(seen.bench.inside(seen.plan.head, seen.prefix))
    paths = sorted(path for path in {*seen.base, *ours} if path.startswith(f"{FOLDER}/"))
    lines = []
    for path in paths:
        if path not in seen.base:
            lines.append(f"{path} (new)")
        elif path not in ours:
            lines.append(f"{path} (deleted)")
        elif ours[path] != seen.base[path]:
            lines.append(path)
    return lines
