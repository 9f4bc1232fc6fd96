"""The timeline as a single self-contained HTML file. Its layout is in timeline_page.html.

Colours of the chart come from the style sheet of the page, which has a light and a dark theme.
"""

import json
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rung_ops.replay import timeline as wording
from rung_ops.system import html

LEFT, RIGHT, TOP = 52, 12, 14
WIDTH = 1_080  # so that the last period is visible in a window of 1,200
COLUMNS = 46, 92  # narrowest and widest column of a period
PLOT = 230  # height of the plot
BAND = 16  # height of the band that shows the serving releases
LANE = 26  # height of the lane of events
COLOURS = 6  # of releases, used in turn
HALF = 4  # half the size of a mark

# A shape for each kind of event, as not everyone can distinguish colours.
MARKS = {
    "trained": "M0,-4.5A4.5,4.5 0 1 0 0.01,-4.5Z",
    "promoted": "M0,-5.5L5.5,4.5H-5.5Z",
    "refused": "M-4.5,-4.5L4.5,4.5M-4.5,4.5L4.5,-4.5",
    "rolled back": "M0,5.5L5.5,-4.5H-5.5Z",
    "aborted": "M-4,-4H4V4H-4Z",
    "trial ended": "M-5,-1H5V1H-5Z",
    "waits for a person": "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
}


def chart(timeline: dict[str, Any]) -> str:
    """Draw the timeline.

    Args:
        timeline: from timeline.build().
    """
    periods = timeline["periods"]
    low, high, step = scale(_values(periods))
    column = column_of(periods)
    width = round(LEFT + column * len(periods) + RIGHT)
    height = TOP + PLOT + 24 + BAND + LANE + 4

    def y_of(value: float) -> float:
        return TOP + PLOT * (1 - (value - low) / (high - low))

    parts = [*_grid(low, high, step, width, y_of)]
    parts += _line(periods, "without", 6, y_of) + _line(periods, "with", -6, y_of)
    parts += list(_columns(timeline, height))
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" style="min-width:{min(width, WIDTH)}px" '
        f'role="group" aria-label="{escape(timeline["metric"])} by {timeline["unit"]}">'
        + "".join(parts)
        + "</svg>"
    )


def column_of(periods: list[dict[str, Any]]) -> float:
    """Return the width of a period, so that all of them fit where that leaves room for their names."""
    narrowest, widest = COLUMNS
    return min(widest, max(narrowest, (WIDTH - LEFT - RIGHT) / max(1, len(periods))))


def scale(values: list[float]) -> tuple[float, float, float]:
    """Return the lower and upper end of an axis and the step of its grid, as round numbers."""
    if not values:
        return 0.0, 1.0, 0.25
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    span = high - low
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(times for times in (5, 2, 1) if times * step <= span / 3 or times == 1)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def colours(timeline: dict[str, Any]) -> dict[str, int]:
    """Assign a colour number to each release that served, in order of appearance."""
    numbers: dict[str, int] = {}
    for period in timeline["periods"]:
        for share in period["answered"]:
            numbers.setdefault(share["release"], len(numbers) % COLOURS)
    return numbers


def mark(kind: str, x: float, y: float, what: str) -> str:
    """Draw the mark of an event."""
    shape, name = MARKS[kind], kind.replace(" ", "-")
    return (
        f'<path class="mark {name}" d="{shape}" transform="translate({x:.1f},{y:.1f})">'
        f"<title>{escape(what)}</title></path>"
    )


def _values(periods: list[dict[str, Any]]) -> list[float]:
    return [
        period[side][end]
        for period in periods
        for side in ("with", "without")
        if period[side]
        for end in ("low", "high")
    ]


def _grid(low: float, high: float, step: float, width: int, y_of: Any) -> Iterator[str]:
    decimals = max(0, -math.floor(math.log10(step)))
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = y_of(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}">{value:.{decimals}f}</text>'


def _line(periods: list[dict[str, Any]], side: str, offset: float, y_of: Any) -> list[str]:
    points, parts, column = [], [], column_of(periods)
    for number, period in enumerate(periods):
        figure = period[side]
        if not figure:
            continue
        x, y = LEFT + column * (number + 0.5) + offset, y_of(figure["figure"])
        points.append(f"{x:.1f},{y:.1f}")
        ends = f'y1="{y_of(figure["low"]):.1f}" y2="{y_of(figure["high"]):.1f}"'
        parts.append(f'<line class="interval {side}" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
        if side == "with":
            parts.append(f'<circle class="point {side}" cx="{x:.1f}" cy="{y:.1f}" r="{HALF}"/>')
        else:
            corner = f'x="{x - HALF:.1f}" y="{y - HALF:.1f}"'
            size = f'width="{2 * HALF}" height="{2 * HALF}"'
            parts.append(f'<rect class="point {side}" {corner} {size}/>')
    return [f'<polyline class="line {side}" points="{" ".join(points)}"/>', *parts]


def _columns(timeline: dict[str, Any], height: int) -> Iterator[str]:
    numbers, column = colours(timeline), column_of(timeline["periods"])
    for number, period in enumerate(timeline["periods"]):
        left = LEFT + column * number
        below = TOP + PLOT + 17
        label = f"{period['name']}: {period['headline']}"
        # Its title is its name: a label beside it would hide the text in it from voice control.
        yield f'<a href="#{escape(period["id"])}">'
        yield f"<title>{escape(label)}</title>"
        size = f'width="{column:.1f}" height="{height - 4}"'
        yield f'<rect class="hit" x="{left:.1f}" y="2" {size} rx="4"/>'
        centre = left + column / 2
        yield f'<text class="name" x="{centre:.1f}" y="{below}">{escape(period["name"])}</text>'
        yield from _serving_band(period, left, below + 8, numbers, column)
        yield from _events(period, left, below + 8 + BAND + LANE / 2, column)
        yield "</a>"


def _serving_band(
    period: dict[str, Any], left: float, top: float, numbers: dict[str, int], column: float
) -> Iterator[str]:
    total = sum(share["rows"] for share in period["answered"]) or 1
    x, room = left + 1.0, column - 2.0
    for share in period["answered"]:
        width = room * share["rows"] / total
        title = f"{share['release']} answered {share['rows']:,} of {total:,}"
        yield (
            f'<rect class="release r{numbers[share["release"]]}" x="{x:.1f}" y="{top}" '
            f'width="{width:.1f}" height="{BAND}"><title>{escape(title)}</title></rect>'
        )
        if width > 24:
            label = share["release"].split("-")[0]
            middle = x + width / 2
            yield f'<text class="label" x="{middle:.1f}" y="{top + 12}">{escape(label)}</text>'
        x += width


def _events(period: dict[str, Any], left: float, y: float, column: float) -> Iterator[str]:
    """Draw events: those during the period on the left, those at its end on the right."""
    during = [event for event in period["events"] if event["when"] == "during"]
    after = [event for event in period["events"] if event["when"] == "after"]
    edge, step = 0.15 * column, 0.17 * column
    for number, event in enumerate(during):
        yield mark(event["kind"], left + edge + step * number, y, event["says"])
    for number, event in enumerate(reversed(after)):
        yield mark(event["kind"], left + column - edge - step * number, y, event["says"])


LAYOUT = Path(__file__).with_suffix(".html")
MAX_FEATURES = 40  # rows of the table of drift


def page(timeline: dict[str, Any]) -> str:
    """Render the timeline as HTML.

    Args:
        timeline: from timeline.build(); the page also embeds it as JSON.
    """
    kinds = {event["kind"] for each in timeline["periods"] for event in each["events"]}
    return html.render(
        LAYOUT,
        **timeline,
        wording=wording,
        chart=Markup(chart(timeline)),
        marks={kind: Markup(mark(kind, 11, 8, kind)) for kind in MARKS if kind in kinds},
        drift=_drift(timeline["periods"]),
        most_features=MAX_FEATURES,
        # Escaped, so that no data can end the <script> element.
        data=Markup(json.dumps(timeline, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _drift(periods: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """List each feature with its drift in each period, None if it was not checked."""
    of_periods = [{feature["name"]: feature for feature in each["drift"]} for each in periods]
    names = dict.fromkeys(name for each in of_periods for name in each)
    return [(name, [each.get(name) for each in of_periods]) for name in names]
