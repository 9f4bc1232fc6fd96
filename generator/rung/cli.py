"""The command line: `rung` and its verbs, in the order of its help."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rung.assess.command import assess
from rung.check.commands.check import check
from rung.check.commands.fleet import show
from rung.core.commands.adopt import adopt
from rung.core.commands.climb import climb
from rung.core.commands.demo import demo
from rung.core.commands.doctor import doctor
from rung.core.commands.eject import eject
from rung.core.commands.new import new
from rung.core.commands.plan import plan
from rung.core.commands.update import update
from rung.levels.command import levels
from rung.options import current_name
from rung.pull_requests import command as pull_requests

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": current_name},
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, which loads nothing (decision 4)
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from rung.core import template_source
        from rung.levels import template

        print(f"rung {template.tag()[1:]}")
        print(f"template {template_source.describe_default()}")
        raise typer.Exit


def _answers_advised_in(assessment: Path) -> dict[str, Any]:
    from rung.assess.assessment import advised

    return advised(assessment)


@app.callback()
def rung(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the versions."
        ),
    ] = False,
) -> None:
    """Machine-learning repositories that can climb.

    \b
    Begin with one of three:
      rung new my-project   a project of your own, on sample data
      rung adopt            a repository that you have
      rung check            where a repository stands
    """
    context.obj = _answers_advised_in  # for `rung new --from-assessment`: core imports no assess
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


class Showing(typer.core.TyperGroup):
    """A group of commands in which `show` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before arguments that begin with no command."""
        named = args[:1] and args[0] in self.commands
        return super().parse_args(ctx, args if named else ["show", *args])


fleet = typer.Typer(cls=Showing, subcommand_metavar="[show|update|climb] {DIR|FILE|URL...}...")
fleet.command()(show)
fleet.command()(pull_requests.update)
fleet.command()(pull_requests.climb)

for verb in (new, plan, climb, update, eject, adopt, levels, check, assess, doctor, demo):
    app.command()(verb)
app.add_typer(fleet, name="fleet", help="Show many repositories; update them.")
