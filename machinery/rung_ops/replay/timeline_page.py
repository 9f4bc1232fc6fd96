"""The timeline as a single self-contained HTML file, laid out by timeline_page.html and timeline_chart.html.

Colours of the chart come from the style sheet of the page, which has a light and a dark theme.
"""

import json
import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rung_ops.replay import timeline as wording
from rung_ops.system import html

LEFT, RIGHT, TOP = 52, 12, 14
WIDTH = 1_080  # so that the last period is visible in a window of 1,200
COLUMNS = 46, 92  # narrowest and widest column of a period
PLOT = 230  # height of the plot
COLOURS = 6  # of releases, used in turn

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
    """Draw the timeline, of timeline.build(), as SVG."""
    periods = timeline["periods"]
    sides = [period[side] for period in periods for side in ("with", "without") if period[side]]
    low, high, step = scale([found[end] for found in sides for end in ("low", "high")])
    narrowest, widest = COLUMNS
    column = min(widest, max(narrowest, (WIDTH - LEFT - RIGHT) / max(1, len(periods))))
    width = round(LEFT + column * len(periods) + RIGHT)
    served = [share["release"] for period in periods for share in period["answered"]]
    return html.render(
        CHART,
        periods=periods,
        metric=timeline["metric"],
        unit=timeline["unit"],
        mark=mark,
        y_of=lambda value: TOP + PLOT * (1 - (value - low) / (high - low)),
        grid=[low + number * step for number in range(round((high - low) / step) + 1)],
        decimals=max(0, -math.floor(math.log10(step))),
        colours={name: at % COLOURS for at, name in enumerate(dict.fromkeys(served))},
        column=column,
        start=LEFT,
        end=width - RIGHT,
        width=width,
        widest=WIDTH,
        below=TOP + PLOT,
    )


def mark(kind: str, x: float, y: float, what: str) -> Markup:
    """Draw the mark of an event."""
    shape = (
        '<path class="mark {}" d="{}" transform="translate({:.1f},{:.1f})"><title>{}</title></path>'
    )
    return Markup(shape).format(kind.replace(" ", "-"), MARKS[kind], x, y, what)


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


LAYOUT = Path(__file__).with_suffix(".html")
CHART = LAYOUT.with_name("timeline_chart.html")
MAX_FEATURES = 40  # rows of the table of drift


def page(timeline: dict[str, Any]) -> str:
    """Render the timeline as HTML; the page also embeds it as JSON."""
    kinds = {event["kind"] for each in timeline["periods"] for event in each["events"]}
    return html.render(
        LAYOUT,
        **timeline,
        wording=wording,
        chart=Markup(chart(timeline)),
        mark=mark,
        kinds=[kind for kind in MARKS if kind in kinds],
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
