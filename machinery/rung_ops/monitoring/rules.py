"""An alert as a value: when it fires, what it says, and the series that prove both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung_ops.monitoring.feature_labels import unexpanded

RUNBOOK = "docs/runbook.md"
CRITICAL, WARNING = "critical", "warning"  # someone has to get up; someone has to look today


@dataclass(frozen=True)
class Rule:
    """An alert, with an example of when it fires and when it does not.

    Attributes:
        name: of the alert, in one word.
        expr: PromQL; the alert fires for each series that it gives.
        lasts: how long it has to hold, as Prometheus writes spans: 5m.
        severity: critical or warning.
        summary: what is wrong, in a line; may hold Prometheus' templates.
        description: what it means, and what to do.
        wrong: values of series with which it fires, in the notation of `promtool test rules`.
        fine: the same, with which it does not.
        at: when it is looked at in the test, after the beginning of the series.
        labels: more labels of the alert, as they are to be read.
    """

    name: str
    expr: str
    lasts: str
    severity: str
    summary: str
    description: str
    wrong: Mapping[str, str]
    fine: Mapping[str, str]
    at: str = "15m"
    labels: Mapping[str, str] | None = None

    def written(self) -> dict[str, Any]:
        """Give the alert as Prometheus reads it."""
        labels = {name: unexpanded(value) for name, value in (self.labels or {}).items()}
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasts,
            "labels": {"severity": self.severity, **labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{RUNBOOK}#{self.name.lower()}",
            },
        }


def group(name: str, rules: list[Rule]) -> dict[str, Any]:
    """Give rules as a group of Prometheus: they are evaluated one after the other."""
    return {"name": name, "rules": [rule.written() for rule in rules]}
