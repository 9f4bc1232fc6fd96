"""The monitor's report: one self-contained HTML file with plots. Its layout is in monitor_report.html."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from rung_ops.monitoring import quality
from rung_ops.monitoring.inputs import Age
from rung_ops.monitoring.monitor_result import MonitorResult, not_judged
from rung_ops.statistics import drift
from rung_ops.system import html as page
from rung_ops.system.printable import counted, four_digits

LAYOUT = Path(__file__).with_suffix(".html")
FLOOR = 200  # height of the drawing of days, above their names
# In tables of their own, as one of all figures is wider than a screen.
MISSING, VALUES = cs.matches("missing"), cs.matches(r"mean|p\d")


def html(project: str, environment: str, result: MonitorResult) -> str:
    """Render the report."""
    figures = result.drift.drop("bars", "shares", "reference_shares", "moved")
    return page.render(
        LAYOUT,
        title=f"{project} in {environment}",
        lead=(
            f"Release {result.release.id}, predictions from {result.since:%Y-%m-%d %H:%M} "
            f"to {result.until:%Y-%m-%d %H:%M} UTC."
        ),
        result=result,
        not_judged=list(not_judged(result)),
        tiles=_tiles(result),
        method=_method(result),
        cards=_cards(result),
        figures=[
            figures.select(~MISSING - VALUES),
            figures.select("feature", MISSING),
            figures.select("feature", VALUES),
        ],
        outcomes=_outcomes(result),
        floor=FLOOR,
        strings=cs.string(),
    )


def summary(result: MonitorResult) -> str:
    """Return a line that says what was checked and what drifted."""
    checked = (
        f"{counted(result.rows, 'prediction')} of {result.release.id} since "
        f"{result.since:%Y-%m-%d %H:%M} UTC"
    )
    if not result.judged:
        return checked
    drifted = dict(result.drift.select("feature", "drifted").iter_rows())
    predictions = drifted.pop(drift.PREDICTION, None)
    count = sum(map(bool, drifted.values()))
    has = "has" if count == 1 else "have"
    return (
        f"{checked}: {count} of {counted(len(drifted), 'feature')} {has} drifted, "
        f"and the predictions have{'' if predictions else ' not'}"
    )


def _tiles(result: MonitorResult) -> list[tuple[str, str, bool]]:
    """List the figures that matter most: name, value, whether it is bad."""
    drifted = result.drift.filter(pl.col("drifted")).height
    share = f"{drifted} of {result.drift.height}" if result.judged else "not judged"
    tiles = [("predictions", f"{result.rows:,}", False), ("drifted", share, bool(drifted))]
    for name, age in result.ages.items():
        newest = "newest " if name in ("prediction", "row") else ""
        what = f"age of the {newest}{name}"
        tiles.append((what, _span(age), age.stale))
    recent = result.quality.filter(pl.col("column") == quality.RECENT).drop_nulls("figure")
    for row in recent.iter_rows(named=True):
        tiles.append(
            (f"{result.metric}, newest days", four_digits(row["figure"]), bool(row["worse"]))
        )
        if row["held"] is not None:
            held = f"{row['held']:.1%} of {row['promised']:.0%}"
            tiles.append(("outcomes in the interval", held, bool(row["missed"])))
    return tiles


def _method(result: MonitorResult) -> str:
    """Describe how drift was judged, and which shift so many rows can show."""
    limits = result.limits.drift
    if not result.judged:
        return (
            f"Not judged: {counted(result.rows, 'prediction')}, and {limits.min_rows:,} are needed. "
            "The pictures show what there is. Filled: now. Outline: in training."
        )
    reference = result.release.reference.height
    shift = drift.visible_shift(result.rows, reference, result.error)
    return (
        f"{result.rows:,} rows compared with {reference:,} of training. A change counts where it "
        f"is certain (p at most {result.error:.2g} for each test, so that all together give a "
        f"false alarm in {limits.false_alarms:.0%} of the checks) and where at least "
        f"{limits.least_change:.0%} of the rows lie elsewhere. With so many rows a shift by "
        f"{shift:.2f} standard deviations is seen with probability {drift.POWER}. "
        "Filled: now. Outline: in training."
    )


def _cards(result: MonitorResult) -> list[dict[str, Any]]:
    """Make a card of the predictions, then of each feature, the most changed first."""
    described = {column["name"]: column for column in result.release.contract["columns"]}
    described[drift.PREDICTION] = {"description": "What the model answered"}
    ordered = result.drift.sort(
        pl.col("feature") != drift.PREDICTION,
        pl.col("p_value").fill_null(2),
        pl.col("change").neg(),
    )
    return [_card(row, described.get(row["feature"], {})) for row in ordered.iter_rows(named=True)]


def _card(row: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    what = str(described.get("description") or "Derived from the row")
    unit = f", {described['unit']}" if described.get("unit") else ""
    state, chip = _state(row)
    card = {"feature": row["feature"], "description": what + unit, "state": state, "chip": chip}
    if row["bars"] is None:
        return card | {"bars": None, "lines": [f"Nothing to compare ({row['kind']})."]}
    ends = row["bars"][0], row["bars"][-1]
    if row["kind"] != "category":
        ends = ends[0].split(" to ")[0], ends[1].split(" to ")[-1]
    lines = [f"change {row['change']:.1%}, p {row['p_value']:.2g}, PSI {row['psi']:.3f}"]
    if row["moved"]:
        lines.append(f"most: {row['moved']}")
    if row["missing"] or row["reference_missing"]:
        lines.append(f"missing {row['missing']:.1%}, in training {row['reference_missing']:.1%}")
    if row["unseen"]:
        lines.append(f"{row['unseen']:.1%} not seen in training")
    bars = list(zip(row["bars"], row["reference_shares"], row["shares"], strict=True))
    top = max(*row["reference_shares"], *row["shares"], 1e-9)
    return card | {"bars": bars, "top": top, "ends": ends, "lines": lines}


def _state(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the class of a feature's card, and the word on it."""
    if row["drifted"] is None:
        return "unknown", "not judged"
    if row["drifted"]:
        return "bad", "drifted"
    return ("bad", "missing") if row["missing_rose"] else ("", "unchanged")


def _outcomes(result: MonitorResult) -> dict[str, Any] | None:
    """Return the metric by day and by slice; None if no outcome is known."""
    if result.quality.is_empty():
        return None
    is_day = pl.col("column") == quality.DAY
    recent = result.quality.filter(pl.col("column") == quality.RECENT)
    expected = recent["expected"][0]
    limits = result.limits.outcomes
    on_test = (
        ""
        if expected is None
        else f" Dashed: on the test rows, {four_digits(expected)}; "
        f"worse by {recent['allowed'][0]} is allowed."
    )
    shown = result.quality.select(
        is_day.alias("is day"),
        slice=pl.col("column").replace({quality.RECENT: "newest days"}),
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
        **({"in_the_interval": "held"} if result.quality["held"].count() else {}),
    )
    days = result.quality.filter(is_day).to_dicts()
    drawn = (
        f"{result.metric} with its 95 % interval, for days with {limits.min_coverage:.0%} of "
        f"the outcomes known, and {limits.min_rows} at least."
        if limits.score_days
        else "Days are not scored: `score_days` in ops/monitor.toml."
    )
    height, ticks = _scale(days, expected)
    return {
        "note": f"{drawn} Bars: the share that is known.{on_test}",
        "drawn": days,
        "height": height,
        "ticks": ticks,
        "expected": expected,
        "slices": shown.filter(~pl.col("is day")).drop("is day"),
        "days": shown.filter("is day").drop("is day", "slice", "on_the_test_rows", "worse"),
    }


def _scale(
    days: list[dict[str, Any]], expected: float | None
) -> tuple[Callable[[float], float], list[float]]:
    """Return how far from the top a figure is drawn, and the figures that the axis names."""
    ends = [row[end] for row in days if row["figure"] is not None for end in ("low", "high")]
    ends += [expected] if expected is not None else []
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = (high - low or 1) * 0.08
    ticks = [low, (low + high) / 2, high]
    low, high = low - pad, high + pad
    return (lambda value: (high - value) / (high - low) * FLOOR), ticks


def _span(age: Age) -> str:
    if age.age is None:
        return "none"
    hours = age.age.total_seconds() / 3600
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:,.0f} d"
