"""docs/replay.svg, the chart of a replay, drawn by the library from the timeline of a real run.

uv run --group machinery python docs/generate/replay.py

replay.json is the reports/replay/timeline.json that `uv run poe replay --months 6` wrote in an unchanged
velocity project on rung 4, on 1 December 2026. To take another run, put its file in this one's place.
"""

import json
import re
from pathlib import Path
from typing import Any

from rung_ops.replay import timeline as story
from rung_ops.system import html

TIMELINE = Path(__file__).with_suffix(".json")
# Each with the beginning and the end of its styles.
LAYOUTS = (
    (Path(html.__file__).with_name("frame.html"), "<style>", "{% block style %}"),
    (story.LAYOUT, "{% block style %}", "{% endblock %}"),
)
HEAD = 34  # height of the legend above the chart
# The rules of the page that are about the chart, in the order they have there.
RULES = (
    *(":root", "@media (prefers-color-scheme: dark)", ".chart", ".line", ".with", ".point"),
    *(".release", ".r0", ".r3", ".mark"),
)


def picture() -> str:
    """Draw the timeline as an SVG file of its own, with a legend and the styles of the page."""
    timeline = json.loads(TIMELINE.read_text("utf-8"))
    drawn = story.chart(timeline)
    sizes = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawn)
    assert sizes  # chart() writes it
    width, height = int(sizes[1]), int(sizes[2])
    placed = drawn.replace("<svg ", f'<svg y="{HEAD}" width="{width}" height="{height}" ', 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEAD + height}">\n'
        f"<style>\n{_styles()}\n</style>\n"
        f'<rect width="{width}" height="{HEAD + height}" rx="8" style="fill: var(--paper)"/>\n'
        f"{_legend(timeline)}\n{placed}\n</svg>\n"
    )


def _styles() -> str:
    rules: list[str] = []
    for layout, begin, end in LAYOUTS:
        after = layout.read_text("utf-8").partition(f"{begin}\n")[2]
        rules += re.split(r"\n(?=[^\s}])", after.partition(f"{end}\n")[0])
    return "\n".join(rule.rstrip("\n") for rule in rules if rule.startswith(RULES))


def _legend(timeline: dict[str, Any]) -> str:
    kinds = {event["kind"] for period in timeline["periods"] for event in period["events"]}
    parts = [f'<text x="12" y="22">{timeline["metric"]}</text>']
    x = 60
    for side, words in (("with", "with the autopilot"), ("without", "first release, frozen")):
        parts.append(f'<line class="line {side}" x1="{x}" x2="{x + 28}" y1="18" y2="18"/>')
        parts.append(f'<text x="{x + 34}" y="22">{words}</text>')
        x += 178
    for kind in [each for each in story.MARKS if each in kinds]:
        parts.append(story.mark(kind, x, 18, kind))
        parts.append(f'<text x="{x + 10}" y="22">{kind}</text>')
        x += 76
    return f'<g class="chart">{"".join(parts)}</g>'


if __name__ == "__main__":
    print(picture(), end="")
