"""The part of the dashboard on what the monitor found: values, each feature, outcomes, age."""

from rung_ops.monitoring.feature_labels import Subject, quoted
from rung_ops.monitoring.panels import HERE, Panel


def rows() -> list[Panel]:
    """Make the panels on values that were missing, defaulted or out of bounds."""
    return [
        Panel(
            "Defaults used",
            "Rows per second in which the contract's default stood in, by column.",
            {"{{column}}": f"sum by (column) (rate(service_defaults_used_total{{{HERE}}}[5m]))"},
        ),
        Panel(
            "Missing values",
            "Share of the rows that the monitor looked at in which a feature has no value.",
            {"{{feature}}": f"max by (feature) (monitor_feature_missing_ratio{{{HERE}}})"},
            "percentunit",
        ),
        Panel(
            "Bounds broken",
            "Share of the rows that break a rule of the contract.",
            {
                "{{column}} {{rule}}": "max by (column, rule) "
                f"(monitor_range_broken_ratio{{{HERE}}})"
            },
            "percentunit",
        ),
    ]


def feature(subject: Subject) -> Panel:
    """Make the panel of a feature, or of the predictions."""
    here = f"{{{HERE},feature={quoted(subject.name)}}}"
    return Panel(
        subject.name,
        f"{subject.text}. Change: share of the rows that lie elsewhere than in training; it counts "
        "from the dashed limit on, where it is certain. PSI: population stability index.",
        {
            "change": f"max(monitor_feature_change{here})",
            "PSI": f"max(monitor_feature_psi{here})",
            "limit": f'max(monitor_limit{{{HERE},setting="drift.least_change"}})',
            "drifted": f"max(monitor_feature_drifted{here})",
        },
        width=6,
    )


def outcomes(metric: str) -> list[Panel]:
    """Make the panels on the deciding figure, and on how old things are."""
    recent = f'{{{HERE},slice="recent"}}'
    newest = f"max by (of) (monitor_newest_timestamp_seconds{{{HERE}}})"
    return [
        Panel(
            metric,
            "Over the newest days of which enough outcomes are known, with its 95 % interval, and "
            "on the test rows.",
            {
                "figure": f"max(monitor_quality{recent})",
                "low": f"max(monitor_quality_low{recent})",
                "high": f"max(monitor_quality_high{recent})",
                "on the test rows": f"max(monitor_quality_expected{recent})",
            },
        ),
        Panel(
            f"{metric} by slice",
            "The same, for the slices in params.toml.",
            {
                "{{slice}} {{value}}": "max by (slice, value) "
                f'(monitor_quality{{{HERE},slice!="recent"}})'
            },
        ),
        Panel(
            "Age of the newest",
            "Time since the last prediction, the newest row, the newest row that the model learned "
            "from; and since the monitor looked.",
            {
                "{{of}}": f"time() - {newest}",
                "monitor": f"time() - max(monitor_run_timestamp_seconds{{{HERE}}})",
            },
            "s",
        ),
    ]
