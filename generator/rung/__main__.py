"""The command `rung`: run it, and turn errors into messages and exit codes, only here."""

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from rung.cli import app
from rung.errors import RungError
from rung.system import shortage

UNREADABLE = 2
UNEXPECTED = 3
INTERRUPTED = 130
COMPLETE = "_RUNG_COMPLETE"  # set by the scripts of `rung --show-completion`
NOT_READ = 141  # as a program that SIGPIPE ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if sys.stdout is None:  # closed by the parent process; nothing may be opened instead
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name need not be a text
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except RungError as error:
        print(f"rung: {error}", file=sys.stderr)
        return error.code
    except typer.TyperException as error:
        print(f"rung: {_unreadable(error)}", file=sys.stderr)
        return UNREADABLE
    except KeyboardInterrupt:
        print("rung: stopped; nothing is left half-done.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be flushed to it at exit.
        _drop_output()
        return NOT_READ
    except Exception as error:
        if isinstance(error, OSError) and _output_fails():
            print(
                f"rung: the output cannot be written: {error.strerror}.\n"
                "The command itself finished. Make room, or write somewhere else.",
                file=sys.stderr,
            )
            return UNREADABLE
        if os.environ.get("RUNG_DEBUG"):
            raise
        if advice := shortage.remedy(error):
            print(f"rung: {_short(error)}.\n{advice} Then run it again.", file=sys.stderr)
            return UNREADABLE
        from rung.levels import template

        print(
            f"rung: this should not happen: {type(error).__name__}: {error}\n"
            f"Run it again with RUNG_DEBUG=1 and report what it prints at {template.url()}/issues.",
            file=sys.stderr,
        )
        return UNEXPECTED


def _output_fails() -> bool:
    """Say whether the output itself cannot be written, so that another line would fail, too."""
    try:
        print(flush=True)
    except OSError:
        _drop_output()
        return True
    return False


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _short(error: Exception) -> str:
    """Say what the machine has run out of, and at which file, if that is known."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return "Out of memory"


def _run(arguments: list[str]) -> int:
    # Typer's own `app()` would turn interruptions and broken pipes into messages of its own.
    command = typer.main.get_command(app)
    if COMPLETE in os.environ:  # a shell asks what could be typed; this prints it and exits
        command.main(arguments, "rung")
    try:
        with command.make_context("rung", arguments) as context:
            return int(command.invoke(context))
    except typer.Exit as stop:
        return stop.exit_code


def _unreadable(error: typer.TyperException) -> str:
    """Say what could not be read, with commands in backquotes, and where help is."""
    context = getattr(error, "ctx", None)
    message = re.sub(r"'([^']*)'", r"`\1`", error.format_message()).rstrip(".")
    return f"{message}.\nSee `{context.command_path if context else 'rung'} --help`."


if __name__ == "__main__":
    sys.exit(main())
