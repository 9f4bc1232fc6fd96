"""What a shell is told when the Tab key is pressed after `rung-ops`: verbs, their options, files."""

import importlib
from collections.abc import Mapping

import click
from click.shell_completion import shell_complete

from rung_ops import command
from rung_ops.addons import Verb
from rung_ops.errors import OpsError


def answer(tables: Mapping[str, Mapping[str, Verb]], variable: str, instruction: str) -> int:
    """Print what the shell asks for; return the exit code.

    `instruction` is the value of the shell's variable: `bash_source` asks for the script,
    `bash_complete` for the words.
    """
    verbs = {name: verb for table in tables.values() for name, verb in table.items()}
    return shell_complete(Verbs("rung-ops", verbs), {}, "rung-ops", variable, instruction)


def options(verb: Verb) -> click.Command | None:
    """Import a verb; return its click command, or None if it has none or cannot be imported here."""
    module, _, function = verb.target.partition(":")
    try:
        target = getattr(importlib.import_module(module), function or "main")
    except (ImportError, OpsError):
        return None
    return target.command if isinstance(target, command.Verb) else None


class _Verb(click.Command):
    """A verb, imported when its options are asked for."""

    def __init__(self, name: str, verb: Verb) -> None:
        super().__init__(name, short_help=verb.help)
        self.verb = verb

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Return its options and arguments."""
        own = options(self.verb)
        return own.get_params(context) if own else super().get_params(context)


class Verbs(click.Group):
    """Verbs by their first words; one may begin others, as `features` and `features materialize`."""

    def __init__(self, name: str, verbs: Mapping[str, Verb], own: _Verb | None = None) -> None:
        super().__init__(name)
        self.verbs, self.own = verbs, own

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the first words of the verbs."""
        return sorted({name.partition(" ")[0] for name in self.verbs})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a verb, or the verbs that begin with its name."""
        own = _Verb(name, self.verbs[name]) if name in self.verbs else None
        below = {
            verb.removeprefix(f"{name} "): self.verbs[verb]
            for verb in self.verbs
            if verb.startswith(f"{name} ")
        }
        return Verbs(name, below, own) if below else own

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Return the options and arguments of the verb that begins the others."""
        return self.own.get_params(context) if self.own else super().get_params(context)
