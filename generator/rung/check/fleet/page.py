"""A fleet as one HTML page that loads nothing."""

from collections.abc import Sequence
from html import escape

from rung.check.fleet import table
from rung.check.fleet.row import Row
from rung.check.report.facts import NOTHING_RUN
from rung.check.report.styles import STYLES

SHORT = 20  # characters of a version that is kept on one line
MAX_CAPABILITIES = 12  # capabilities in the table of what holds most of them back

# On a narrow screen each row becomes a card; the roles keep it a table to a screen reader.
FLEET = """\
body { max-width: 64rem; }
td, th { vertical-align: top; }
.fleet th, .fleet td { overflow-wrap: anywhere; }
.fleet th[scope=row] { font-weight: 600; }
.fleet thead th, .fleet .short { overflow-wrap: normal; white-space: nowrap; }
.lost { color: var(--above); }
@media (max-width: 44rem) {
  .fleet thead { position: absolute; left: -99rem; }
  .fleet table, .fleet tbody, .fleet tr, .fleet th, .fleet td { display: block; }
  .fleet tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .fleet th, .fleet td { border: 0; padding: .05rem 0; }
  .fleet td::before { content: attr(data-of) ": "; color: var(--quiet); }
}"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}: where {number} repositories stand</title>
<style>
{styles}
{fleet}
</style>
</head>
<body>
<a class="skip" href="#repositories">Go to the repositories</a>
<header>
<p class="over">{name}</p>
<h1>Where they stand</h1>
<p>{summary}</p>
<p class="quiet">{how} The oldest blocker is where to begin: it
belongs to the lowest rung that a repository does not reach.</p>
</header>
<main>
<section aria-labelledby="rungs"><h2 id="rungs">On each rung</h2>{rungs}</section>
{blockers}
<section aria-labelledby="repositories" class="fleet"><h2 id="repositories">Repositories</h2>
{repositories}</section>
</main>
</body>
</html>
"""


def make(rows: Sequence[Row], name: str) -> str:
    """Return the page of a fleet; `name` is the searched folder or file."""
    return PAGE.format(
        name=escape(name),
        number=f"{len(rows):,}",
        styles=STYLES,
        fleet=FLEET,
        how=NOTHING_RUN,
        summary=escape(table.summary(rows)),
        rungs=_rungs(rows),
        blockers=_blockers(rows),
        repositories=_repositories(rows),
    )


def _rungs(rows: Sequence[Row]) -> str:
    titles = {row.level: row.title for row in rows}
    counted = [
        (f"{level} {titles[level]}", many) for level, many in table.counts_by_rung(rows).items()
    ]
    return _counted(("Rung", "Repositories"), counted, len(rows))


def _blockers(rows: Sequence[Row]) -> str:
    blocking = table.blocking(rows)[:MAX_CAPABILITIES]
    if not blocking:
        return ""
    shown = _counted(("Capability", "Repositories it holds back"), blocking, len(rows))
    head = '<h2 id="blockers">What holds most of them back</h2>'
    return f'<section aria-labelledby="blockers">{head}{shown}</section>'


def _counted(head: tuple[str, str], counted: Sequence[tuple[str, int]], all_: int) -> str:
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><meter min="0" max="{all_}" value="{many}" '
        f'aria-hidden="true"></meter> {many:,}</td></tr>'
        for name, many in counted
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _repositories(rows: Sequence[Row]) -> str:
    top = "".join(f'<th scope="col" role="columnheader">{cell}</th>' for cell in table.HEAD)
    body = "".join(_row(row) for row in rows)
    return (
        f'<table role="table"><thead role="rowgroup"><tr role="row">{top}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _row(row: Row) -> str:
    _, *names = table.HEAD
    lost = row.error or not row.machine_learning
    cells = (
        ("short", table.rung(row)),
        ("short", row.game or "-"),
        ("short" if len(row.template_version) < SHORT else "", row.template_version or "-"),
        ("lost" if lost else "", table.reason(row)),
    )
    joined = "".join(
        f'<td role="cell" data-of="{name}"{f" class={shown!r}" if shown else ""}>{escape(text)}</td>'
        for name, (shown, text) in zip(names, cells, strict=True)
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{escape(row.repository)}</th>{joined}</tr>'
