"""The report's part on drift: how it was judged, and a card for each feature."""

from collections.abc import Mapping
from html import escape
from typing import Any

import polars as pl

from rung_ops.monitoring import drift, kolmogorov, plots
from rung_ops.monitoring.result import Seen
from rung_ops.monitoring.tables import table


def method(seen: Seen) -> str:
    """Say how drift was judged, and what the rows at hand can show."""
    limits = seen.limits.drift
    if not seen.judged:
        return (
            f"Not judged: {seen.rows:,} predictions, and {limits.min_rows:,} are needed. "
            "The pictures show what there is. Filled: now. Outline: in training."
        )
    reference = seen.release.reference.height
    shift = kolmogorov.visible_shift(seen.rows, reference, seen.error)
    return (
        f"{seen.rows:,} rows against {reference:,} of training. A change counts where it is "
        f"certain (p at most {seen.error:.2g} for each test, so that all together give a false "
        f"alarm in {limits.false_alarms:.0%} of the checks) and where at least "
        f"{limits.least_change:.0%} of the rows lie elsewhere. With so many rows a shift by "
        f"{shift:.2f} standard deviations is seen with probability {kolmogorov.POWER}. "
        "Filled: now. Outline: in training."
    )


def features(seen: Seen) -> str:
    """Show the predictions, then the features, those that changed most first."""
    described = {column["name"]: column for column in seen.release.contract["columns"]}
    described[drift.PREDICTION] = {"description": "What the model answered"}
    ordered = seen.drift.sort(
        pl.col("feature") != drift.PREDICTION,
        pl.col("p_value").fill_null(2),
        pl.col("change").neg(),
    )
    cards = "".join(
        _card(row, described.get(row["feature"], {})) for row in ordered.iter_rows(named=True)
    )
    figures = seen.drift.drop("bars", "shares", "reference_shares", "moved")
    return (
        f'<div class="cards">{cards}</div>'
        f"<details><summary>All figures</summary>{table(figures)}</details>"
    )


def _card(row: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    what = str(described.get("description") or "Derived from the row")
    unit = f", {described['unit']}" if described.get("unit") else ""
    state, chip = _standing(row)
    head = (
        f'<div class="card {state}"><span class="chip">{chip}</span>'
        f"<h3>{escape(row['feature'])}</h3><p>{escape(what + unit)}</p>"
    )
    if row["bars"] is None:
        return f"{head}<p>Nothing to compare ({escape(row['kind'])}).</p></div>"
    drawn = plots.bars(row["bars"], row["reference_shares"], row["shares"])
    ends = row["bars"][0].split(" to ")[0], row["bars"][-1].split(" to ")[-1]
    if row["kind"] == "category":
        ends = row["bars"][0], row["bars"][-1]
    said = [f"change {row['change']:.1%}, p {row['p_value']:.2g}, PSI {row['psi']:.3f}"]
    if row["moved"]:
        said.append(f"most: {row['moved']}")
    if row["missing"] or row["reference_missing"]:
        said.append(f"missing {row['missing']:.1%}, in training {row['reference_missing']:.1%}")
    if row["unseen"]:
        said.append(f"{row['unseen']:.1%} not seen in training")
    return (
        f'{head}{drawn}<p class="ends"><span>{escape(ends[0])}</span>'
        f"<span>{escape(ends[1])}</span></p>"
        + "".join(f"<p>{escape(line)}</p>" for line in said)
        + "</div>"
    )


def _standing(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["drifted"] is None:
        return "unknown", "not judged"
    if row["drifted"]:
        return "bad", "drifted"
    return ("bad", "missing") if row["missing_rose"] else ("", "as ever")
