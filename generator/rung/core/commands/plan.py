"""The verb `rung plan`: show what a climb would do."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.options import Answers, ProjectPath, To, Trusted, Version


def plan(
    path: ProjectPath = Path(),
    to: To = None,
    pairs: Answers = None,
    template_version: Version = None,
    template: Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As a patch.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=Path, help="Keep it for `rung climb FILE`."),
    ] = None,
) -> int:
    """Show what a climb would do, and touch nothing."""
    from rung import options
    from rung.core import transaction
    from rung.core.climbing import messages, planner, plans
    from rung.system.process import stopped_like_ctrl_c

    request = planner.requested(path, to, pairs or [], template_version)
    if out is not None:
        plans.refuse_output(out, path)
    with stopped_like_ctrl_c(), planner.prepare(path, request, template) as prepared:
        if out is not None:
            plans.save(out, path, request, template, prepared.plan)
        if as_json:
            print(json.dumps(prepared.plan.as_data(), indent=2, default=str))
        elif diff:
            sys.stdout.flush()
            sys.stdout.buffer.write(prepared.patch().encode("utf-8", "surrogateescape"))
        else:
            print(messages.plan(prepared.plan))
            if not prepared.plan.changes_nothing and transaction.is_detached(prepared.bench.top):
                print(f"\n{transaction.ON_NO_BRANCH}")
        if out is not None:
            saved = shlex.quote(options.typed(out))
            print(f"Saved. To do it: `rung climb {saved}`", file=sys.stderr)
        return 1 if prepared.plan.conflicts else 0
