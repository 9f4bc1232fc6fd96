"""The verb `rung demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=Path, help="Where to make it (./rung-demo)."),
    ] = None,
    upto: Annotated[int, typer.Option(metavar="N", help="The last rung.")] = 4,
) -> int:
    """Make a project on real data and climb to the top with it."""
    from rung import demo

    return demo.demo(keep, upto)
