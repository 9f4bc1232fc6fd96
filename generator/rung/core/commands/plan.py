"""The verb `rung plan`: show what a climb would do."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung import options, output_formats
from rung.options import Answers, ProjectPath, To, Trusted, Version


def plan(
    path: ProjectPath = Path(),
    to: To = None,
    pairs: Answers = None,
    template_version: Version = None,
    template: Trusted = None,
    form: Annotated[str, options.form("plan")] = "text",
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As a patch.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=Path, help="Keep it for `rung climb FILE`."),
    ] = None,
) -> int:
    """Show what a climb would do; touch nothing."""
    from rung.core import transaction
    from rung.core.climbing import planner, plans
    from rung.system import terminal
    from rung.system.process import stopped_like_ctrl_c

    form = "json" if as_json else form
    write = output_formats.writer("plan", form)
    request = planner.requested(path, to, pairs or [], template_version)
    if out is not None:
        plans.refuse_output(out, path)
    with stopped_like_ctrl_c(), planner.prepare(path, request, template) as prepared:
        if out is not None:
            plans.save(out, path, request, template, prepared.plan)
        if diff:
            sys.stdout.flush()
            sys.stdout.buffer.write(prepared.patch().encode("utf-8", "surrogateescape"))
        else:
            terminal.show(write(prepared.plan), form)
            if (
                form == "text"
                and not prepared.plan.changes_nothing
                and transaction.is_detached(prepared.bench.top)
            ):
                print(f"\n{transaction.ON_NO_BRANCH}")
        if out is not None:
            saved = shlex.quote(options.typed(out))
            print(f"Saved. To do it: `rung climb {saved}`", file=sys.stderr)
        return 1 if prepared.plan.conflicts else 0
