"""Declares the command line of a verb: a click command that is called as a function.

    @verb("rung-ops baseline")
    @click.option("--rows", default=100, help="rows to compare on")
    def main(rows: int) -> int:
        \"\"\"Compare the model with a baseline.\"\"\"

`main(["--rows", "5"])` parses, runs and returns the exit code; without arguments it takes those of
the process. Help, completion, unknown options and wrong types are click's, the same for every verb.
A verb without options may be a plain function that returns the exit code.
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from rung_ops.errors import OpsError

OK, REFUSED, USAGE = 0, 1, 2  # exit codes


class _Command(click.Command):
    """A command whose numbers are finite: `nan` passes every bound that it is compared with."""

    def invoke(self, ctx: click.Context) -> Any:
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            for number in value if isinstance(value, tuple) else [value]:
                if isinstance(number, float) and not math.isfinite(number):
                    raise click.BadParameter(f"{number} is not a finite number", ctx, parameter)
        return super().invoke(ctx)


class Verb:
    """A verb: parses its arguments, runs, and returns the exit code."""

    def __init__(self, command: click.Command) -> None:
        self.command = command
        self.__doc__ = command.help

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        """Run with arguments of the command line; print what a person can mend."""
        words = sys.argv[1:] if arguments is None else list(arguments)
        try:
            code = self.command.main(words, prog_name=self.command.name, standalone_mode=False)
        except click.exceptions.Exit as stop:
            return stop.exit_code
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort as error:  # what click makes of Ctrl-C
            raise KeyboardInterrupt from error
        except OpsError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        return int(code or OK)


def verb(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a verb, named as it is typed; click's decorators below declare its options."""

    def decorated(function: Callable[..., Any]) -> Verb:
        return Verb(click.command(name, cls=_Command, **settings)(function))

    return decorated
