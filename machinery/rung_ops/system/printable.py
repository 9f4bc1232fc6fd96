"""Text for people: what comes from data, files or their names made safe to print, and numbers."""

import re
from decimal import Decimal

# Written by a log, these make GitHub Actions and Azure Pipelines do something: Azure's may stand
# anywhere in a line, GitHub's `::name::` at its start.
CI_COMMAND = re.compile(r"##(?=\[|vso\[)|^(\s*):(?=:)", re.IGNORECASE)


def printable(text: str) -> str:
    """Return a text as one line without control characters and without commands for a CI.

    What is not printable is written as Python writes it in a literal, so that it can be told apart.
    """
    line = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)
    return CI_COMMAND.sub(_escaped_command, line)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "2,300 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


TINY = 1e-5  # below it a reader would have to count zeros


def four_digits(value: float, sign: str = "") -> str:
    """Return a figure with four digits: "0.6612", "43.71", "132,243"; a tiny one as "1.037e-8"."""
    if abs(value) >= 1_000:
        return f"{value:{sign},.0f}"
    text = f"{value:{sign}.4g}"
    if 0 < abs(value) < TINY:
        return text.replace("e-0", "e-")
    return f"{Decimal(text):{sign}f}" if "e" in text else text


def in_column(value: float, decimals: int, sign: str = "") -> str:
    """Return a figure that others stand below: with as many decimals as they, up to a thousand."""
    if abs(value) >= 1_000:  # decimals would leave no room between columns, and say nothing
        return four_digits(value, sign)
    return f"{value:{sign}z.{decimals}f}"


UNITS = ("B", "kB", "MB", "GB", "TB")


def in_bytes(size: float, whole: float = 9.95) -> str:
    """Return a size as people read it: 512 B, 1.2 kB, 34 MB; from `whole` on without decimals."""
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 0 if unit == 0 or amount >= whole else 1
    return f"{amount:.{digits}f} {UNITS[unit]}"


def in_markdown(text: str) -> str:
    """Return a text as one line that Markdown shows as it is, in the cell of a table too."""
    return re.sub(r"[\\|\[]", r"\\\g<0>", printable(text)).replace("<", "&lt;")


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def _escaped_command(match: re.Match[str]) -> str:
    return r"\x23#" if match[0] == "##" else rf"{match[1]}\x3a"
