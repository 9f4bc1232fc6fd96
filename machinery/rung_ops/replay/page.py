"""The timeline as one HTML file that needs nothing else. Its layout is in page.html."""

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rung_ops.replay import wording
from rung_ops.replay.chart import MARKS, chart, mark
from rung_ops.system import html

LAYOUT = Path(__file__).with_suffix(".html")
MAX_FEATURES = 40  # rows of the table of drift


def page(timeline: dict[str, Any]) -> str:
    """Put the page together.

    Args:
        timeline: as rung_ops.replay.timeline makes it; the page holds it whole, as JSON.
    """
    happened = {event["kind"] for each in timeline["periods"] for event in each["events"]}
    return html.render(
        LAYOUT,
        **timeline,
        wording=wording,
        chart=Markup(chart(timeline)),
        marks={kind: Markup(mark(kind, 11, 8, kind)) for kind in MARKS if kind in happened},
        drift=_drift(timeline["periods"]),
        most_features=MAX_FEATURES,
        # Nothing in the data may end the element that it stands in.
        data=Markup(json.dumps(timeline, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _drift(periods: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """List each feature with what was found of it in each period, None where it was not looked at."""
    of_periods = [{found["name"]: found for found in each["drift"]} for each in periods]
    names = dict.fromkeys(name for each in of_periods for name in each)
    return [(name, [each.get(name) for each in of_periods]) for name in names]
