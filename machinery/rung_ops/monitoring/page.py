"""The monitor's report as one HTML file that needs nothing else."""

import re
from html import escape
from string import Template

from rung_ops.monitoring import cards, sections
from rung_ops.monitoring.drift import PREDICTION
from rung_ops.monitoring.result import Seen

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d6dbe1; --soft: #5b6775;
  --blue: #2f6db3; --fill: #2f6db366; --bad: #b3261e; --bad-paper: #fdecea; --good: #1d6b3a;
  --good-paper: #e7f4ec; --orange: #d9822b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #151a21; --line: #38414d; --soft: #a4aebb; --blue: #7db2ee;
    --fill: #7db2ee66; --bad: #ff9d95; --bad-paper: #3a1d1b; --good: #8fd6a8;
    --good-paper: #16301f; --orange: #f0ab65; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; line-height: 1.2; overflow-wrap: anywhere; } h2 { margin: 2.5rem 0 .5rem; }
h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
p.lead, p.note { color: var(--soft); margin-top: .25rem; }
.verdict { border-radius: .5rem; padding: .8rem 1.2rem; margin: 1.25rem 0;
  background: var(--good-paper); }
.verdict.wrong { background: var(--bad-paper); }
.verdict strong { color: var(--good); } .verdict.wrong strong { color: var(--bad); }
.verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; } .verdict li { overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 1rem; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; }
dl div.bad { border-color: var(--bad); }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.5rem; }
dl div.bad dd { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; min-width: 0; }
.card.bad { border-color: var(--bad); border-width: 2px; }
.card p { margin: 0; font-size: .85rem; color: var(--soft); }
.card .chip { float: right; font-size: .8rem; border-radius: 1rem; padding: 0 .6rem;
  margin-left: .5rem; background: var(--good-paper); color: var(--good); }
.card.bad .chip { background: var(--bad-paper); color: var(--bad); }
.card.unknown .chip { background: none; border: 1px solid var(--line); color: var(--soft); }
.card svg { width: 100%; height: 6rem; display: block; margin: .6rem 0 .2rem; }
.ends { display: flex; justify-content: space-between; gap: 1rem; }
.now { fill: var(--fill); } .then { fill: none; stroke: var(--ink); stroke-width: 1.2;
  vector-effect: non-scaling-stroke; }
.touch { fill: transparent; } .grid { stroke: var(--line); }
.expected { stroke: var(--ink); stroke-dasharray: 5 4; }
.known { fill: var(--orange); opacity: .35; }
.range { stroke: var(--blue); stroke-width: 2; } .figure { fill: var(--blue); }
.at, .below { fill: var(--soft); font-size: 12px; text-anchor: end; }
.below { text-anchor: middle; }
.wide { overflow-x: auto; } .wide svg { min-width: 38rem; width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
th.text, td.text { text-align: left; } td.long { white-space: normal; min-width: 14rem; }
td.bad { color: var(--bad); font-weight: 600; }
summary { cursor: pointer; margin-top: 1rem; }
</style>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
$verdict
<dl>$tiles</dl>
<h2>Drift</h2>
<p class="note">$method</p>
$features
<h2>Outcomes</h2>
$outcomes
<h2>Missing values and defaults</h2>
$defaults
<h2>Bounds of the contract</h2>
$ranges
<h2>Age</h2>
$ages
</main>
</html>
""")


def page(project: str, environment: str, seen: Seen) -> str:
    """Put the page together.

    Args:
        project: its name.
        environment: staging or production.
        seen: what a check found.
    """
    return PAGE.substitute(
        title=escape(f"{project} in {environment}"),
        lead=escape(
            f"Release {seen.release.id}, predictions from {seen.since:%Y-%m-%d %H:%M} "
            f"to {seen.until:%Y-%m-%d %H:%M} UTC."
        ),
        verdict=_verdict(seen),
        tiles=sections.tiles(seen),
        method=escape(cards.method(seen)),
        features=cards.features(seen),
        outcomes=sections.outcomes(seen),
        defaults=sections.defaults(seen),
        ranges=sections.ranges(seen),
        ages=sections.ages(seen),
    )


def summary(seen: Seen) -> str:
    """Say in a line what was looked at, and how it stands."""
    looked = f"{seen.rows:,} predictions of {seen.release.id} since {seen.since:%Y-%m-%d %H:%M} UTC"
    if not seen.judged:
        least = seen.limits.drift.min_rows
        return f"{looked}: too few to judge drift, which takes {least:,}"
    drifted = dict(seen.drift.select("feature", "drifted").iter_rows())
    predictions = drifted.pop(PREDICTION, None)
    count = sum(map(bool, drifted.values()))
    has = "has" if count == 1 else "have"
    return (
        f"{looked}: {count} of {len(drifted)} features {has} drifted, "
        f"and the predictions have{'' if predictions else ' not'}"
    )


def _verdict(seen: Seen) -> str:
    if not seen.problems:
        said = "Nothing is wrong." if seen.judged else "Nothing is known to be wrong."
        return f'<div class="verdict"><strong>{said}</strong></div>'
    count = len(seen.problems)
    what = "One thing is wrong" if count == 1 else f"{count} things are wrong"
    listed = "".join(f"<li>{_marked(problem)}</li>" for problem in seen.problems)
    return f'<div class="verdict wrong"><strong>{what}.</strong><ul>{listed}</ul></div>'


def _marked(text: str) -> str:
    """Set names that stand in backquotes as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
