"""The verb `rung eject`."""

from pathlib import Path
from typing import Annotated

import typer

from rung.commands.options import NoVerify, Place, Trusted


def eject(
    path: Place = Path(),
    undo: Annotated[
        bool, typer.Option("--undo", help="Back to the wheel, where nothing was edited.")
    ] = False,
    template: Trusted = None,
    no_verify: NoVerify = False,
) -> int:
    """Put the library's source into machinery/, to edit it."""
    from rung.climbing import ejecting

    change = ejecting.undo if undo else ejecting.eject
    return change(path, template, verify=not no_verify)
