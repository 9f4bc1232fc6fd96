"""The verb `rung levels`."""

from typing import Annotated

import typer


def levels(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/levels.md.")
    ] = False,
) -> int:
    """Show the ladder."""
    from rung.levels import ladder, show, template
    from rung.system import plain_yaml, terminal

    folder = template.folder() / "levels"
    rungs = ladder.load(folder)
    if markdown:
        models = plain_yaml.load((folder / "sources.yml").read_text("utf-8"))
        print(show.markdown(rungs, models), end="")
    else:
        terminal.show(show.text(rungs).rstrip())
    return 0
