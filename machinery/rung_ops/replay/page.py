"""The timeline as one HTML file that needs nothing else."""

import json
from collections.abc import Iterable, Iterator
from html import escape
from string import Template
from typing import Any

from rung_ops.replay import sections
from rung_ops.replay.chart import MARKS, chart, mark
from rung_ops.replay.styles import SCRIPT, STYLE

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
<dl class="figures">$figures</dl>
<p>$outcome</p>
<h2 id="quality">Quality, $unit by $unit</h2>
<div class="wide" tabindex="0" role="region" aria-labelledby="quality">$chart</div>
<ul class="legend">$legend</ul>
<h2 id="table">What happened</h2>
<div class="wide" tabindex="0" role="region" aria-labelledby="table">$table</div>
<h2>Where it did not help</h2>
$honest
<h2 id="drift">What drifted</h2>
$drift
<h2>Each $unit</h2>
<p><kbd>Tab</kbd> and <kbd>Enter</kbd> open one; <kbd>&larr;</kbd> and <kbd>&rarr;</kbd> go to the
one before and the next.</p>
$periods
<h2>How this was run</h2>
<ul>$notes</ul>
</main>
<script type="application/json" id="timeline">$data</script>
<script>$script</script>
</html>
""")


def page(timeline: dict[str, Any]) -> str:
    """Put the page together.

    Args:
        timeline: as rung_ops.replay.timeline makes it; the page holds it whole, as JSON.
    """
    unit = timeline["unit"]
    return PAGE.substitute(
        title=f"Replay of {escape(timeline['project'])}",
        style=STYLE,
        lead=escape(timeline["lead"]),
        figures="".join(_figures(timeline)),
        outcome=escape(timeline["outcome"]),
        unit=unit,
        chart=chart(timeline),
        legend="".join(_legend(timeline)),
        table=sections.table(timeline),
        honest=_list(timeline["honest"]),
        drift=sections.drift(timeline),
        periods="\n".join(sections.period(each, timeline) for each in timeline["periods"]),
        notes=_items(timeline["notes"]),
        # Nothing in the data may end the element that it stands in.
        data=json.dumps(timeline, ensure_ascii=False).replace("<", "\\u003c"),
        script=SCRIPT,
    )


def _figures(timeline: dict[str, Any]) -> Iterator[str]:
    for name, value in timeline["figures"].items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _legend(timeline: dict[str, Any]) -> Iterator[str]:
    metric = escape(timeline["metric"])
    point = '<circle class="point with" cx="11" cy="8" r="4"/>'
    square = '<rect class="point without" x="7" y="4" width="8" height="8"/>'
    lines = {
        f"{metric} with the autopilot": '<path class="line with" d="M0,8H22"/>' + point,
        f"{metric} of the first release, frozen": '<path class="line without" d="M0,8H22"/>'
        + square,
    }
    for says, drawn in lines.items():
        yield f'<li><svg viewBox="0 0 22 16" aria-hidden="true">{drawn}</svg> {says}</li>'
    yield (
        '<li><svg viewBox="0 0 22 16" aria-hidden="true">'
        '<line class="interval with" x1="11" x2="11" y1="1" y2="15"/></svg> '
        f"{timeline['level']:.0%} interval</li>"
    )
    happened = {event["kind"] for each in timeline["periods"] for event in each["events"]}
    for kind in (kind for kind in MARKS if kind in happened):
        drawn = mark(kind, 11, 8, kind)
        yield f'<li><svg viewBox="0 0 22 16" aria-hidden="true">{drawn}</svg> {kind}</li>'
    yield "<li>the band below shows who answered</li>"


def _list(texts: Iterable[str]) -> str:
    return f"<ul>{_items(texts)}</ul>"


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
