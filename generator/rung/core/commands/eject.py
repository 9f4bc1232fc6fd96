"""The verb `rung eject`: replace the library's wheel by its source, and back.

Both change an answer, and are planned and merged like a climb (decision 31).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rung.errors import NotDoneError, RungError
from rung.options import Branch, NoVerify, ProjectPath, Trusted
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
    branch: Branch = None,
    no_verify: NoVerify = False,
) -> int:
    """Put the library's source here, to edit it."""
    from rung.core import transaction
    from rung.core.climbing import planner
    from rung.core.climbing.apply import finish
    from rung.core.climbing.plans import ChangeRequest
    from rung.core.rendering import answers_file
    from rung.system import git
    from rung.system.process import stopped_like_ctrl_c

    git.require()
    folder = path.absolute()
    transaction.recover_first(folder)
    recorded = answers_file.recorded(folder)
    if not undo:
        _refuse_source(folder, recorded, template)
    elif not recorded.get(QUESTION):
        raise RungError(f"{folder} runs on the wheel in vendor/: there is nothing to undo.")
    request = ChangeRequest({QUESTION: not undo})
    with stopped_like_ctrl_c(), planner.prepare(path, request, template) as prepared:
        if undo:
            _refuse_edits(prepared)
        typed = ChangeRequest().command("eject", path, template)
        command = f"{typed} --undo" if undo else typed
        return finish(prepared, branch, verify=not no_verify, command=command)


def _refuse_source(folder: Path, recorded: dict[str, Any], trusted: str | None) -> None:
    from rung.core import template_source

    if recorded.get(QUESTION):
        raise RungError(
            f"{folder} has the library's source in `{FOLDER}/` already.\n"
            "Edit it there; `rung update` merges newer versions. Back: `rung eject --undo`."
        )
    before = template_source.followed(recorded, trusted)
    if QUESTION not in before.read("levels/questions.yml"):
        raise RungError(
            f"The project has the template at {recorded['_commit']}, which has no library to eject.\n"
            "Run `rung update` first."
        )
    if os.path.lexists(folder / FOLDER):
        raise RungError(
            f"{folder / FOLDER} exists already, and the library's source goes there.\n"
            "Rename yours, commit, then eject."
        )


def _refuse_edits(prepared: "PreparedPlan") -> None:
    """Raise a NotDoneError that names the files in machinery/ that differ from the render."""
    base, ours = prepared.base, prepared.bench.files(prepared.project.tree)
    edited = [
        f"{path} (new)" if path not in base else f"{path} (deleted)" if path not in ours else path
        for path in sorted({*base, *ours})
        if path.startswith(f"{FOLDER}/") and base.get(path) != ours.get(path)
    ]
    if edited:
        more = len(edited) - SHOWN
        names = "\n".join(f"  {printable(line)}" for line in edited[:SHOWN])
        raise NotDoneError(
            f"Files in `{FOLDER}/` differ from those that were ejected:\n{names}"
            + (f"\n  and {more} more" if more > 0 else "")
            + "\nNothing was touched. Restore or delete these edits, commit, then undo. An edit "
            "that must stay may fit a hook: see docs/machinery.md."
        )
