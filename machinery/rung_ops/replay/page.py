"""The timeline as a single self-contained HTML file. Its layout is in page.html."""

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
