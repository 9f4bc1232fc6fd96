"""A fleet as one HTML page that loads nothing."""

from collections.abc import Sequence

from rung.check.fleet import table
from rung.check.fleet.row import Row
from rung.check.report.facts import NOTHING_RUN
from rung.system import html

MAX_CAPABILITIES = 12  # in the table of what holds most repositories back


def make(rows: Sequence[Row], name: str) -> str:
    """Return the page of a fleet; `name` is the searched folder or file."""
    titles = {row.level: row.title for row in rows}
    return html.render(
        "check/fleet/page.html.jinja",
        name=name,
        rows=rows,
        table=table,
        nothing_run=NOTHING_RUN,
        rungs=[(f"{level} {titles[level]}", n) for level, n in table.counts_by_rung(rows).items()],
        blocking=table.blocking(rows)[:MAX_CAPABILITIES],
    )
