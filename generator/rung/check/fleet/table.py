"""A fleet as text, JSON, CSV or an HTML page."""

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rung.check.fleet.reviews import Row
from rung.check.report.facts import BY_FILES, NOTHING_RUN
from rung.check.review.review import NO_ML

MAX_LENGTH = 48  # characters of a repository's name
HEAD = ("Repository", "Rung", "Use case", "Template", "Oldest blocker")
# Before the last one, and only where a row has something for them.
OPTIONAL = ("Behind", "Last climb", "Owner", "Waivers", "Against policy")
# The last columns of CSV, in the order in which they came: scripts count columns.
CSV_END = (
    *("oldest_blocker", "blockers", "behind", "last_climb", "owner", "waivers"),
    "against_policy",
)
MAX_CAPABILITIES = 12  # of the most frequent blockers on the page
FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a cell that begins with one of these


def text(rows: Sequence[Row], name: str = "") -> str:
    """Return a table for a terminal, with a summary; `name` is not shown."""
    titles, cells = columns(rows)
    cells = [titles, *([_short(first), *others] for first, *others in cells)]
    widths = [max(map(_width, column)) for column in list(zip(*cells, strict=True))[:-1]]
    lines = [
        "  ".join(
            [*(_padded(*pair) for pair in zip(row[:-1], widths, strict=True)), row[-1]]
        ).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, "", summary(rows), ""])


def columns(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return the titles of the columns, and the cells of each row."""
    cells = [
        {
            "Repository": row.repository,
            "Rung": rung(row),
            "Use case": row.game,
            "Template": row.template_version,
            "Behind": row.behind,
            "Last climb": row.last_climb,
            "Owner": row.owner,
            "Waivers": ", ".join(f"{name} until {day}" for name, day in row.waivers.items()),
            "Against policy": against_policy(row),
            "Oldest blocker": reason(row),
        }
        for row in rows
    ]
    empty = {title for title in OPTIONAL if not any(row[title] for row in cells)}
    titles = [title for title in (*HEAD[:-1], *OPTIONAL, HEAD[-1]) if title not in empty]
    return titles, [[row[title] or "-" for title in titles] for row in cells]


def _short(name: str) -> str:
    return name if len(name) <= MAX_LENGTH else f"...{name[3 - MAX_LENGTH :]}"


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
        return NO_ML[0].lower() + NO_ML[1:]
    return row.oldest_blocker or "none"


def against_policy(row: Row) -> str:
    """Return which statements do not count, and why."""
    return "; ".join(f"{name}, {why}" for name, why in row.against_policy.items())


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
    names = [name for name in Row.__dataclass_fields__ if name not in CSV_END]
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([*names, *CSV_END])
    for row in rows:
        values = vars(row) | {
            "oldest_blocker": row.oldest_blocker,
            "blockers": " ".join(row.blockers),
            "waivers": " ".join(f"{name}:{day}" for name, day in row.waivers.items()),
            "against_policy": against_policy(row),
        }
        writer.writerow(_cell(values[name]) for name in (*names, *CSV_END))
    return output.getvalue()


def page(rows: Sequence[Row], name: str) -> str:
    """Return a fleet as a self-contained page, headed by the name of its folder or list."""
    # Of one rung, a title that promises a deployment goes before what only files say.
    titles = {row.level: row.title for row in sorted(rows, key=lambda row: row.title != BY_FILES)}
    head, cells = columns(rows)
    from rung.system import html  # Jinja is loaded for a page alone

    return html.render(
        "check/fleet/page.html.jinja",
        name=name,
        rows=rows,
        head=head,
        cells=cells,
        summary=summary(rows),
        nothing_run=NOTHING_RUN,
        rungs=[
            (f"{level} {titles[level]}", count) for level, count in counts_by_rung(rows).items()
        ],
        blocking=blocking(rows)[:MAX_CAPABILITIES],
    )


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
