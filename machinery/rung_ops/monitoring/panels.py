"""Panels of a Grafana dashboard, and their places on its grid of 24 columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS, HEIGHT = 24, 8
HERE = 'environment="$environment"'  # the environment that is chosen at the top
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """A picture of some series over time.

    Attributes:
        title: of the panel.
        description: what it shows, behind the (i).
        series: PromQL by legend; a legend may name labels: {{outcome}}.
        unit: of Grafana's: short, percentunit, s, reqps ...
        kind: timeseries, or stat for a single figure.
        width: in columns of the grid.
        most: upper end of the axis, where it has one.
    """

    title: str
    description: str
    series: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    most: float | None = None

    def drawn(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Give the panel as Grafana reads it, at a place of the grid."""
        defaults: dict[str, Any] = {"unit": self.unit, "min": 0}
        if self.most is not None:
            defaults["max"] = self.most
        drawn: dict[str, Any] = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHT},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "targets": [
                {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr}
                | {"legendFormat": legend}
                for place, (legend, expr) in enumerate(self.series.items())
            ],
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        }
        if self.kind == "stat":
            drawn["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"}
        return drawn


def arranged(sections: Mapping[str, Sequence[Panel]]) -> list[dict[str, Any]]:
    """Lay panels out in rows from left to right, each section below a heading of its own."""
    laid: list[dict[str, Any]] = []
    y = 0
    for title, panels in sections.items():
        heading = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        laid.append({"id": len(laid) + 1, "type": "row", "title": title, "gridPos": heading})
        laid[-1] |= {"collapsed": False, "panels": []}
        x, y = 0, y + 1
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            laid.append(panel.drawn(len(laid) + 1, x, y))
            x += panel.width
        y += HEIGHT
    return laid
