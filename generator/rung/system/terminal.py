"""Text for a terminal: folded at its width, and coloured; as it is for a file, a pipe and a log."""

import contextlib
import os
import re
import sys
import textwrap
from typing import TextIO

KEYS = "`?` explains a question, `<` returns to the one before."  # of an interview
USUAL = 80  # columns of a terminal that does not say how many it has
BOLD, RED, GREEN, YELLOW = 1, 31, 32, 33
COLOURS = {"+": GREEN, "-": RED, "~": YELLOW, "!": YELLOW}  # by the sign that a line begins with
SIGN = re.compile(r"  ([-+~!.=*])\+? ")
COMMAND = re.compile(r"\s*(cd|git|rung|uv|uvx) ")  # folded it could not be copied


def show(text: str, form: str = "text", *, end: str = "\n") -> None:
    """Print the output of a command in a format; only text is for people."""
    width = columns(sys.stdout)
    if form != "text" or width is None:
        print(text, end=end)
        return
    lines = (coloured(part, line) for line in text.split("\n") for part in fold(line, width))
    print("\n".join(lines), end=end)


def fold(line: str, width: int) -> list[str]:
    """Return a line in parts of at most so many columns; a command stays whole."""
    if len(line) <= width or COMMAND.match(line):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2 * bool(SIGN.match(line)))
    return _in_lines(line, width, "", indent)


def wrap(
    text: str, width: int, first: str, further: str, stream: TextIO | None = None
) -> list[str]:
    """Return a paragraph in lines of at most so many columns, and of no more than the terminal has.

    `first` and `further` are what the first line and the further ones begin with; it is shown on the
    standard output unless `stream` says otherwise.
    """
    return _in_lines(text, min(width, columns(stream or sys.stdout) or width), first, further)


def _in_lines(text: str, width: int, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns(stream: TextIO) -> int | None:
    """Return how many columns the terminal has that a stream is; None of a file or pipe.

    Not by shutil.get_terminal_size(), which asks standard output: that may be a file.
    """
    if not stream.isatty():
        return None
    named = os.environ.get("COLUMNS", "")
    if named.isdigit() and int(named):
        return int(named)
    with contextlib.suppress(OSError, ValueError):  # a stream may only say that it is one
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    return USUAL


def coloured(part: str, line: str) -> str:
    """Return a part of a line in the colour of the line: by its sign, or bold for a heading."""
    sign = SIGN.match(line)
    heading = line.endswith(":") and not line.startswith(" ")
    return paint(part, COLOURS.get(sign[1]) if sign else BOLD if heading else None, sys.stdout)


def paint(text: str, colour: int | None, stream: TextIO) -> str:
    """Return a text in a colour, where a stream is a terminal and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if colour is None or plain or not stream.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"
