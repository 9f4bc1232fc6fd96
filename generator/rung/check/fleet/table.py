"""A fleet as text, JSON or CSV."""

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rung.check.fleet.row import Row

MAX_LENGTH = 48  # characters of a repository's name
HEAD = ("Repository", "Rung", "Use case", "Template", "Oldest blocker")
FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a cell that begins with one of these


def text(rows: Sequence[Row], name: str = "") -> str:
    """Return a table for a terminal, with a summary; `name` is not shown."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(map(_width, column)) for column in list(zip(*cells, strict=True))[:-1]]
    lines = [
        "  ".join(
            [*(_padded(*pair) for pair in zip(row[:-1], widths, strict=True)), row[-1]]
        ).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, "", summary(rows), ""])


def _cells(row: Row) -> tuple[str, ...]:
    name = row.repository
    shown = name if len(name) <= MAX_LENGTH else f"...{name[3 - MAX_LENGTH :]}"
    return (shown, rung(row), row.game or "-", row.template_version or "-", reason(row))


def rung(row: Row) -> str:
    """Return the rung of a repository for its cell."""
    if row.level is None:
        return "-"
    return f"{row.level} {row.title}{' (partial)' if row.partial else ''}"


def reason(row: Row) -> str:
    """Return what keeps a repository from the next rung, or from being judged."""
    if row.error:
        return f"not read: {row.error}"
    if not row.machine_learning:
        return "no machine-learning package or import was found"
    return row.oldest_blocker or "none"


def summary(rows: Sequence[Row]) -> str:
    """Return a sentence with the number of repositories on each rung."""
    number = f"{len(rows):,} repositor{'y' if len(rows) == 1 else 'ies'}"
    parts = [f"{count:,} on rung {level}" for level, count in counts_by_rung(rows).items()]
    unread = sum(row.level is None for row in rows)
    parts += [f"{unread:,} not read"] * bool(unread)
    return f"{number}: {', '.join(parts)}."


def counts_by_rung(rows: Sequence[Row]) -> dict[int, int]:
    """Return the number of repositories by rung, without empty rungs."""
    counted = Counter(row.level for row in rows if row.level is not None)
    return dict(sorted(counted.items()))


def blocking(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Return the blockers and how many repositories each holds back, the most frequent first."""
    counted = Counter(name for row in rows for name in row.blockers)
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


def as_json(rows: Sequence[Row], name: str = "") -> str:
    """Return a fleet as JSON; `name` is not shown."""
    data = {
        "repositories": [
            {**asdict(row), "oldest_blocker": row.oldest_blocker or None} for row in rows
        ],
        "rungs": {str(level): count for level, count in counts_by_rung(rows).items()},
        "blockers": dict(blocking(rows)),
        "not_read": sum(row.level is None for row in rows),
    }
    return json.dumps(data, indent=2) + "\n"


def as_csv(rows: Sequence[Row], name: str = "") -> str:
    """Return a fleet as CSV for a spreadsheet; `name` is not shown."""
    output = io.StringIO()
    names = [name for name in Row.__dataclass_fields__ if name != "blockers"]
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([*names, "oldest_blocker", "blockers"])
    for row in rows:
        values = [getattr(row, name) for name in names]
        values += [row.oldest_blocker, " ".join(row.blockers)]
        writer.writerow(map(_cell, values))
    return output.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _width(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
