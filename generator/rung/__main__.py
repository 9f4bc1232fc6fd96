"""The command `rung`. Errors become messages and exit codes here, and nowhere else (decision 4)."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from rung.cli import app
from rung.errors import RungError
from rung.system import shortage, terminal
from rung.system.printable import printable_lines

USAGE = 2
UNEXPECTED = 3
INTERRUPTED = 130
COMPLETE = "_RUNG_COMPLETE"  # set by the scripts of `rung --show-completion`
OUTPUT_CLOSED = 141  # the exit code of a program that SIGPIPE ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if sys.stdout is None:  # the parent process closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may not be valid text
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except RungError as error:
        with contextlib.suppress(OSError):
            sys.stdout.flush()  # what was printed before comes before, where both go to one place
        _complain(str(error))
        return error.code
    except typer.TyperException as error:
        _complain(_usage_message(error))
        return USAGE
    except KeyboardInterrupt:
        print("rung: stopped; nothing is left half-done.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe: flushing at exit would fail again.
        _drop_output()
        return OUTPUT_CLOSED
    except Exception as error:
        if isinstance(error, OSError) and _output_fails():
            print(
                f"rung: the output cannot be written: {error.strerror}.\n"
                "The command itself finished. Make room, or write somewhere else.",
                file=sys.stderr,
            )
            return USAGE
        if os.environ.get("RUNG_DEBUG"):
            raise
        if advice := shortage.remedy(error):
            _complain(f"{_short(error)}.\n{advice} Then run it again.")
            return USAGE
        from rung.levels import template

        _complain(
            f"this should not happen: {type(error).__name__}: {error}\n"
            f"Run it again with RUNG_DEBUG=1 and report what it prints at {template.url()}/issues."
        )
        return UNEXPECTED


def _complain(message: str) -> None:
    print(
        terminal.paint("rung:", terminal.RED, sys.stderr), printable_lines(message), file=sys.stderr
    )


def _output_fails() -> bool:
    """Say whether standard output cannot be written, for example because the disk is full."""
    try:
        print(flush=True)
    except OSError:
        _drop_output()
        return True
    return False


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _short(error: Exception) -> str:
    """Say what has run out, and at which file if that is known."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return "Out of memory"


def _run(arguments: list[str]) -> int:
    # Not `app()`: Typer would print its own messages for interruptions and broken pipes.
    command = typer.main.get_command(app)
    if COMPLETE in os.environ:  # a shell asks for completions: print them and exit
        command.main(arguments, "rung")
    try:
        with command.make_context("rung", arguments) as context:
            return int(command.invoke(context))
    except typer.Exit as stop:
        return stop.exit_code


def _usage_message(error: typer.TyperException) -> str:
    """Say what is wrong with the command line, with commands in backquotes, and where help is."""
    context = getattr(error, "ctx", None)
    message = re.sub(r"'([^']*)'", r"`\1`", error.format_message()).rstrip(".")
    return f"{message}.\nSee `{context.command_path if context else 'rung'} --help`."


if __name__ == "__main__":
    sys.exit(main())
