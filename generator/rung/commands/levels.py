"""The verb `rung levels`."""

from typing import Annotated

import typer


def levels(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/levels.md.")
    ] = False,
) -> int:
    """Show the ladder."""
    from rung import ladder, levels, plain_yaml, template

    folder = template.folder() / "levels"
    rungs = levels.load(folder)
    if markdown:
        models = plain_yaml.load((folder / "sources.yml").read_text("utf-8"))
        print(ladder.markdown(rungs, models), end="")
    else:
        print(ladder.text(rungs), end="")
    return 0
