"""The parts of the monitor's report but for drift, each from one table of a check."""

from html import escape

import polars as pl

from rung_ops.monitoring import plots, quality_metric
from rung_ops.monitoring.freshness import Age
from rung_ops.monitoring.result import Seen
from rung_ops.monitoring.tables import table


def tiles(seen: Seen) -> str:
    """Show the figures that matter most."""
    drifted = seen.drift.filter(pl.col("drifted")).height
    counted = f"{drifted} of {seen.drift.height}" if seen.judged else "not judged"
    shown = [("predictions", f"{seen.rows:,}", False), ("drifted", counted, bool(drifted))]
    for name, age in seen.ages.items():
        what = "age of the model" if name == "model" else f"age of the newest {name}"
        shown.append((what, _span(age), age.stale))
    recent = seen.quality.filter(pl.col("column") == quality_metric.RECENT).drop_nulls("figure")
    for row in recent.iter_rows(named=True):
        shown.append((f"{seen.metric}, newest days", f"{row['figure']:.4g}", bool(row["worse"])))
    return "".join(
        f'<div class="{"bad" if bad else "fine"}"><dt>{escape(name)}</dt>'
        f"<dd>{escape(value)}</dd></div>"
        for name, value, bad in shown
    )


def outcomes(seen: Seen) -> str:
    """Show the figure by day, and that of the newest days by slice."""
    if seen.quality.is_empty():
        return (
            "<p>No outcome of these predictions is known yet. Put what happened into "
            "<code>data/outcomes/</code>, as Parquet or CSV: the target, and the <code>id</code> "
            "of the prediction or the columns that tell rows apart.</p>"
        )
    is_day = pl.col("column") == quality_metric.DAY
    expected = seen.quality.filter(pl.col("column") == quality_metric.RECENT)["expected"][0]
    asked = seen.limits.outcomes
    on_test = "" if expected is None else f" Dashed: on the test rows, {expected:.4g}."
    note = (
        f"{seen.metric} with its 95 % interval, for days of which {asked.min_coverage:.0%} of the "
        f"outcomes are known, and {asked.min_rows} at least. Bars: the share that is known."
        f"{on_test}"
    )
    shown = seen.quality.select(
        is_day.alias("is day"),
        slice=pl.col("column").replace({quality_metric.RECENT: "newest days"}),
        value="value",
        predictions="predictions",
        outcomes="outcomes",
        known=pl.format("{} %", (pl.col("coverage") * 100).floor().cast(pl.Int64)),
        figure="figure",
        low="low",
        high="high",
        on_the_test_rows="expected",
        worse="worse",
        mean_truth="mean_truth",
        mean_predicted="mean_predicted",
    )
    slices = shown.filter(~pl.col("is day")).drop("is day")
    days = shown.filter("is day").drop("is day", "slice", "on_the_test_rows", "worse")
    drawn = plots.days(seen.quality.filter(is_day).to_dicts(), expected, seen.metric)
    return (
        f'<p class="note">{escape(note)}</p><div class="wide">{drawn}</div>{table(slices)}'
        f"<details><summary>Every day</summary>{table(days)}</details>"
    )


def defaults(seen: Seen) -> str:
    """Show how often a default stood in, by column."""
    if seen.defaults.is_empty():
        return "<p>No column of the contract may be missing, and none was.</p>"
    return table(seen.defaults.drop("p_value"))


def ranges(seen: Seen) -> str:
    """Show the rules that are broken."""
    if seen.ranges.is_empty():
        return f"<p>All {seen.rows:,} rows keep them.</p>" if seen.rows else "<p>No rows.</p>"
    return table(seen.ranges)


def ages(seen: Seen) -> str:
    """Show how old the newest things are."""
    return "<ul>" + "".join(f"<li>{escape(str(age))}</li>" for age in seen.ages.values()) + "</ul>"


def _span(age: Age) -> str:
    if age.age is None:
        return "none"
    hours = age.age.total_seconds() / 3600
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:,.0f} d"
