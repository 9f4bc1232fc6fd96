"""The verb `rung levels`."""

from typing import Annotated

import typer


def levels(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/levels.md.")
    ] = False,
) -> int:
    """Show the ladder."""
    from rung import ladder, levels, template

    rungs = levels.load(template.folder() / "levels")
    print(ladder.markdown(rungs) if markdown else ladder.text(rungs), end="")
    return 0
