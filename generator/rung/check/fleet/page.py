"""A fleet as a self-contained HTML page."""

from collections.abc import Sequence

from rung.check.fleet import table
from rung.check.fleet.row import Row
from rung.check.report.facts import NOTHING_RUN
from rung.system import html

MAX_CAPABILITIES = 12  # in the table of the most frequent blockers


def make(rows: Sequence[Row], name: str) -> str:
    """Return the page of a fleet.

    Args:
        rows: The table.
        name: Name of the folder or list of repositories.
    """
    titles = {row.level: row.title for row in rows}
    return html.render(
        "check/fleet/page.html.jinja",
        name=name,
        rows=rows,
        table=table,
        nothing_run=NOTHING_RUN,
        rungs=[
            (f"{level} {titles[level]}", number)
            for level, number in table.counts_by_rung(rows).items()
        ],
        blocking=table.blocking(rows)[:MAX_CAPABILITIES],
    )
