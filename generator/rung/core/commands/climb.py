"""The verb `rung climb`: apply what `rung plan` shows."""

from pathlib import Path
from typing import Annotated

import typer

from rung import options, output_formats
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.options import Answers, Branch, LeaveGovernance, NoVerify, To, Trusted, Version


def climb(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH|FILE", parser=Path, show_default=False, help="The project, or a plan."
        ),
    ] = Path(),
    to: To = None,
    pairs: Answers = None,
    template_version: Version = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
    leave_governance: LeaveGovernance = False,
    form: Annotated[str, options.form("climb")] = "text",
) -> int:
    """Take a project to another rung.

    Up or down, or to other answers: `-d QUESTION=ANSWER`.
    """
    from rung.core.climbing import planner, plans
    from rung.core.climbing.apply import finish
    from rung.system.process import stopped_like_ctrl_c

    output_formats.writer("climb", form)  # an unknown format is refused first
    saved = None
    if path.is_file():
        if to is not None or pairs or template_version or template:
            raise RungError(
                f"{path} is a plan, which has all answers. Leave out the other options."
            )
        saved = plans.load(path)
        here = Path.cwd()
        folder = here if (here / ANSWERS).is_file() else Path(saved.folder)
        request, trusted = saved.request, saved.template
    else:
        folder, trusted = path, template
        request = planner.requested(path, to, pairs or [], template_version)
    with stopped_like_ctrl_c(), planner.prepare(folder, request, trusted) as prepared:
        if saved is not None:
            plans.refuse_if_moved(saved, prepared.plan)
        typed = request.command("climb", folder, trusted)
        return finish(
            prepared,
            branch,
            verify=not no_verify,
            command=f"{typed} --leave-governance" if leave_governance else typed,
            form=form,
            may_leave_governance=leave_governance,
        )
