"""The command line: what `rung` is, and its verbs in the order of its help."""

from typing import Annotated

import typer

from rung.commands.adopt import adopt
from rung.commands.assess import assess
from rung.commands.check import check
from rung.commands.climb import climb
from rung.commands.demo import demo
from rung.commands.doctor import doctor
from rung.commands.eject import eject
from rung.commands.fleet import fleet
from rung.commands.levels import levels
from rung.commands.new import new
from rung.commands.plan import plan
from rung.commands.update import update

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, for which nothing has to be loaded
)


def _version(wanted: bool) -> None:
    if wanted:
        from rung import source, template  # they take a moment that no other command should pay for

        print(f"rung {template.tag()[1:]}")
        print(f"template {source.by_default()}")
        raise typer.Exit


@app.callback()
def rung(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the versions."),
    ] = False,
) -> None:
    """Machine-learning repositories that can climb."""


for verb in (new, plan, climb, update, eject, adopt, levels, check, fleet, assess, doctor, demo):
    app.command()(verb)
