"""Stage: compare the model's figures between the groups under [fairness.groups] in params.toml."""

import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import fairlearn.metrics
import numpy as np
import polars as pl
from sklearn.metrics import mean_absolute_error

from rung_ops import contract
from rung_ops.project.paths import PREDICTIONS, REPORTS, params, shown
from rung_ops.system.printable import printable
from rung_ops.training import estimator
from rung_ops.training.groups import UnknownGroupError, groups

FAIRNESS = REPORTS / "fairness.json"
TABLE = REPORTS / "fairness.csv"
# Defaults of [fairness] in params.toml.
THRESHOLD = 0.5  # threshold: probabilities from here on count as positive
SMALLEST_GROUP = 30  # smallest_group: rates of fewer rows are mostly chance
COUNTS = ("rows", "positives")


def true_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of positives that were predicted as positive; NaN without positives."""
    rate = fairlearn.metrics.true_positive_rate(truth, chosen, pos_label=1)
    return float(rate) if np.any(truth == 1) else math.nan


def false_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of negatives that were predicted as positive; NaN without negatives."""
    rate = fairlearn.metrics.false_positive_rate(truth, chosen, pos_label=1)
    return float(rate) if np.any(truth == 0) else math.nan


def mean_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of predicted minus actual: positive if a group is overestimated."""
    return float(np.mean(predicted - truth))


def positives(truth: np.ndarray, chosen: np.ndarray) -> int:
    """Return the number of positives, which the true positive rate is computed from."""
    return int(np.sum(truth == 1))


CLASSIFICATION = {
    "rows": fairlearn.metrics.count,
    "positives": positives,
    "selection_rate": fairlearn.metrics.selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
}
REGRESSION = {
    "rows": fairlearn.metrics.count,
    "mean_error": mean_error,
    "mean_absolute_error": mean_absolute_error,
}


def compare(
    truth: np.ndarray,
    predicted: np.ndarray,
    group: np.ndarray,
    smallest: int,
    metrics: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column.

    Args:
        truth: target values, shape (n_rows,).
        predicted: predicted class, 0 or 1, or predicted value; shape (n_rows,).
        group: name of each row's group, shape (n_rows,).
        smallest: groups with fewer rows are reported but left out of the differences.
        metrics: figures by name, each a function of truth and predicted.

    Returns:
        The figures of each group with their largest differences, and notes on them.
    """
    frame = fairlearn.metrics.MetricFrame(
        metrics=metrics, y_true=truth, y_pred=predicted, sensitive_features=group
    )
    values: dict[str, dict[str, Any]] = {
        str(name): {
            figure: int(value) if figure in COUNTS else _number(value)
            for figure, value in row.items()
        }
        for name, row in frame.by_group.iterrows()
    }
    compared = {name: row for name, row in values.items() if row["rows"] >= smallest}
    notes = [note for name, row in values.items() for note in _notes(name, row, smallest)]
    differences = {}
    for figure in [name for name in metrics if name not in COUNTS]:
        defined = [row[figure] for row in compared.values() if row[figure] is not None]
        differences[figure] = _number(max(defined) - min(defined)) if len(defined) > 1 else None
        if len(defined) < 2:
            notes.append(f"{figure}: fewer than two groups can be compared")
    return {"values": values, "differences": differences}, notes


def _notes(name: str, row: dict[str, Any], smallest: int) -> Iterator[str]:
    for figure in [figure for figure, value in row.items() if value is None]:
        yield f"{name}: {figure} is undefined, because no row counts for it"
    if row["rows"] < smallest:
        yield f"{name}: {row['rows']} rows, fewer than {smallest}: left out of the differences"
    elif 0 < row.get("positives", smallest) < smallest:
        yield f"{name}: true_positive_rate is computed from {row['positives']} rows"
    elif 0 < row["rows"] - row.get("positives", 0) < smallest:
        negatives = row["rows"] - row["positives"]
        yield f"{name}: false_positive_rate is computed from {negatives} rows"


def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Compare the groups of the settings.

    Args:
        rows: test rows with a column `predicted`, shape (n_rows, n_columns + 1).
        settings: content of params.toml.

    Returns:
        The content of reports/fairness.json. `too_small` has the rows of each group that is left
        out of the differences, by column.

    Raises:
        UnknownGroupError: a column is missing or does not give groups.
    """
    truth, predicted = estimator.truth(rows), rows["predicted"].to_numpy()
    chosen = settings.get("fairness", {})
    smallest = chosen.get("smallest_group", SMALLEST_GROUP)
    report: dict[str, Any] = {"task": "regression", "target": contract.TARGET}
    metrics = REGRESSION
    if set(np.unique(truth)) <= {0, 1}:
        threshold = chosen.get("threshold", THRESHOLD)
        predicted, metrics = (predicted >= threshold).astype(int), CLASSIFICATION
        positive = settings.get("report", {}).get("positive", "positive")
        report |= {"task": "classification", "positive": positive, "threshold": threshold}
    report |= {"smallest_group": smallest, "groups": {}, "too_small": {}, "notes": []}
    named = chosen.get("groups", {})
    for column, cuts in named.items():
        if column not in rows.columns:
            raise UnknownGroupError(f"`{column}` is not a column of Row")
        of_column = groups(rows[column], cuts)
        report["groups"][column], notes = compare(truth, predicted, of_column, smallest, metrics)
        report["notes"] += [f"{column}, {note}" for note in notes]
        sizes = {name: row["rows"] for name, row in report["groups"][column]["values"].items()}
        if few := {name: rows for name, rows in sizes.items() if rows < smallest}:
            report["too_small"][column] = few
    if not named:
        report["notes"] = ["No groups are named under [fairness.groups] in params.toml."]
    return report


def table(report: dict[str, Any]) -> pl.DataFrame:
    """Return the figures of all groups as a long table, for plots and to compare runs."""
    lines = [
        (figure, f"{column} {name}", value, f"{figure}, {column} {name}")
        for column, compared in report["groups"].items()
        for name, row in compared["values"].items()
        for figure, value in row.items()
        if figure not in COUNTS
    ]
    kinds = {"figure": pl.String, "group": pl.String, "value": pl.Float64, "label": pl.String}
    return pl.DataFrame(sorted(lines, key=lambda line: line[:2]), schema=kinds, orient="row")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def main() -> int:
    """Write reports/fairness.json and its table; return the exit code."""
    estimator.refuse_unless_one_number("groups are compared by")
    try:
        report = assess(pl.read_parquet(PREDICTIONS), params())
    except UnknownGroupError as error:
        print(f"params.toml, [fairness.groups]: {error}.", file=sys.stderr)
        return 1
    FAIRNESS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table(report).write_csv(TABLE)
    for column, compared in report["groups"].items():
        for figure, value in compared["differences"].items():
            print(f"{column}: {figure} differs by {'?' if value is None else f'{value:.3f}'}")
    for note in report["notes"]:
        print(f"note: {printable(note)}")
    print(f"Wrote {shown(FAIRNESS)}.")
    return 0
