"""The verb `rung adopt`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.options import Answers, Level, ProjectPath, RowsFile, Target, Template, Version


def adopt(
    path: ProjectPath = Path(),
    level: Level = None,
    pairs: Answers = None,
    from_file: RowsFile = None,
    target: Target = "",
    model: Annotated[
        str, typer.Option("--model", metavar="CLASS", help="The class of your code to draft from.")
    ] = "",
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Add missing entries to your pyproject.toml and .gitignore."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and write nothing.")
    ] = False,
    template_version: Version = None,
    template: Template = None,
) -> int:
    """Bring a repository of yours. Nothing of it is overwritten."""
    from rung.core import template_source, transaction
    from rung.core.adoption import adoption, complete, summary
    from rung.levels.template_answers import gather_answers
    from rung.system.process import stopped_like_ctrl_c

    transaction.recover_first(path)
    if merge and not (level or pairs or template_version) and complete.is_adopted(path):
        with stopped_like_ctrl_c():
            lacking = complete.complete(path, template, dry_run=dry_run)
        _print(path, summary.completion(path, lacking, dry_run=dry_run))
        return 0
    chosen = template_source.choose(template, template_version)
    answered = gather_answers(None, pairs or [], {"level": level})
    print(f"Template: {chosen.address} at {chosen.ref}. {chosen.note}".rstrip(), file=sys.stderr)
    with stopped_like_ctrl_c():
        adopted = adoption.adopt(
            path,
            chosen,
            answered,
            merge=merge,
            dry_run=dry_run,
            rows=from_file,
            target=target,
            model=model,
        )
    _print(path, summary.text(adopted))
    return 0


def _print(path: Path, message: str) -> None:
    from rung.core import transaction

    print(message)
    if transaction.is_detached(path):
        print(transaction.ON_NO_BRANCH)
