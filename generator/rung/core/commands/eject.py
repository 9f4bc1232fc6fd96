"""The verb `rung eject`: replace the library's wheel by its source, and back.

Both change an answer, and are planned and merged like a climb (decision 31).
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rung.errors import NotDoneError, RungError
from rung.options import NoVerify, ProjectPath, Trusted
from rung.system.printable import printable

if TYPE_CHECKING:
    from rung.core.climbing.planner import PreparedPlan

QUESTION, FOLDER = "ejected", "machinery"
SHOWN = 20  # edited files that a message lists


def eject(
    path: ProjectPath = Path(),
    undo: Annotated[
        bool, typer.Option("--undo", help="Back to the wheel, where nothing was edited.")
    ] = False,
    template: Trusted = None,
    no_verify: NoVerify = False,
) -> int:
    """Put the library's source here, to edit it."""
    change = to_wheel if undo else to_source
    return change(path, template, verify=not no_verify)


def to_source(path: Path, trusted: str | None, *, verify: bool) -> int:
    """Replace the wheel in vendor/ by the library's source and tests in machinery/.

    Raises:
        RungError: The source or something else is in machinery/ already, or the project's
            version of the template cannot eject.
    """
    from rung.core import template_source
    from rung.core.climbing.apply import finish

    recorded = _recorded(path)
    if recorded.get(QUESTION):
        raise RungError(
            f"{path.absolute()} has the library's source in `{FOLDER}/` already.\n"
            "Edit it there; `rung update` merges newer versions. Back: `rung eject --undo`."
        )
    before = template_source.followed(recorded, trusted)
    if QUESTION not in before.read("levels/questions.yml"):
        raise RungError(
            f"The project has the template at {recorded['_commit']}, which has no library to eject.\n"
            "Run `rung update` first."
        )
    if os.path.lexists(path / FOLDER):
        raise RungError(
            f"{path.absolute() / FOLDER} exists already, and the library's source goes there.\n"
            "Rename yours, commit, then eject."
        )
    with _prepared(path, True, trusted) as prepared:
        return finish(prepared, None, verify=verify, command="rung eject")


def to_wheel(path: Path, trusted: str | None, *, verify: bool) -> int:
    """Replace the source by the wheel again, unless it was edited.

    Raises:
        RungError: The project has no source to give back.
        NotDoneError: Files in machinery/ were edited; the message names them.
    """
    from rung.core.climbing.apply import finish

    if not _recorded(path).get(QUESTION):
        raise RungError(
            f"{path.absolute()} runs on the wheel in vendor/: there is nothing to undo."
        )
    with _prepared(path, False, trusted) as prepared:
        if edited := _edited(prepared):
            more = len(edited) - SHOWN
            names = "\n".join(f"  {printable(line)}" for line in edited[:SHOWN])
            raise NotDoneError(
                f"Files in `{FOLDER}/` differ from those that were ejected:\n{names}"
                + (f"\n  and {more} more" if more > 0 else "")
                + "\nNothing was touched. Restore or delete these edits, commit, then undo. An edit "
                "that must stay may fit a hook: see docs/machinery.md."
            )
        return finish(prepared, None, verify=verify, command="rung eject --undo")


@contextlib.contextmanager
def _prepared(path: Path, ejected: bool, trusted: str | None) -> "Iterator[PreparedPlan]":
    from rung.core.climbing import planner
    from rung.core.climbing.plans import ChangeRequest
    from rung.system.process import stopped_like_ctrl_c

    request = ChangeRequest({QUESTION: ejected})
    with stopped_like_ctrl_c(), planner.prepare(path, request, trusted) as prepared:
        yield prepared


def _recorded(path: Path) -> dict[str, Any]:
    from rung.core import transaction
    from rung.core.rendering import answers_file
    from rung.system import git

    git.require()
    transaction.recover_first(path.absolute())
    return answers_file.recorded(path.absolute())


def _edited(prepared: "PreparedPlan") -> list[str]:
    """Return a line for every file in machinery/ that differs from the render."""
    ours = prepared.bench.files(prepared.project.tree)
    paths = sorted(path for path in {*prepared.base, *ours} if path.startswith(f"{FOLDER}/"))
    lines = []
    for path in paths:
        if path not in prepared.base:
            lines.append(f"{path} (new)")
        elif path not in ours:
            lines.append(f"{path} (deleted)")
        elif ours[path] != prepared.base[path]:
            lines.append(path)
    return lines
