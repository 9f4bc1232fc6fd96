"""Stage: compare how the model treats the groups that [fairness.groups] in params.toml names."""

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
THRESHOLD = 0.5  # a probability from here on counts as positive; [fairness] threshold
SMALLEST_GROUP = 30  # below it a rate is mostly chance; [fairness] smallest_group
COUNTS = ("rows", "positives")


def true_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Share of the positives that were found; undefined, not 0, where there are none."""
    found = fairlearn.metrics.true_positive_rate(truth, chosen, pos_label=1)
    return float(found) if np.any(truth == 1) else math.nan


def false_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Share of the negatives that were taken for positive; undefined where there are none."""
    found = fairlearn.metrics.false_positive_rate(truth, chosen, pos_label=1)
    return float(found) if np.any(truth == 0) else math.nan


def mean_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Prediction less truth on average: positive where a group is overestimated."""
    return float(np.mean(predicted - truth))


def positives(truth: np.ndarray, chosen: np.ndarray) -> int:
    """Rows that the true positive rate rests on; the others carry the false positive rate."""
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
    truth: np.ndarray, answer: np.ndarray, group: np.ndarray, smallest: int, judge: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column.

    Args:
        truth: shape (n_rows,).
        answer: what the model says: 0 or 1, or a value; shape (n_rows,).
        group: name of each row's group, shape (n_rows,).
        smallest: groups of fewer rows are shown, and left out of the differences.
        judge: figures by name, each a function of truth and answer.

    Returns:
        The figures of each group and the largest differences; and what is to be said of them.
    """
    frame = fairlearn.metrics.MetricFrame(
        metrics=judge, y_true=truth, y_pred=answer, sensitive_features=group
    )
    values: dict[str, dict[str, Any]] = {
        str(name): {
            figure: int(value) if figure in COUNTS else _number(value)
            for figure, value in row.items()
        }
        for name, row in frame.by_group.iterrows()
    }
    compared = {name: row for name, row in values.items() if row["rows"] >= smallest}
    notes = [note for name, row in values.items() for note in _doubts(name, row, smallest)]
    differences = {}
    for figure in [name for name in judge if name not in COUNTS]:
        defined = [row[figure] for row in compared.values() if row[figure] is not None]
        differences[figure] = _number(max(defined) - min(defined)) if len(defined) > 1 else None
        if len(defined) < 2:
            notes.append(f"{figure}: fewer than two groups can be compared")
    return {"values": values, "differences": differences}, notes


def _doubts(name: str, row: dict[str, Any], smallest: int) -> Iterator[str]:
    for figure in [figure for figure, value in row.items() if value is None]:
        yield f"{name}: {figure} is undefined, as there is no row to take it of"
    if row["rows"] < smallest:
        yield f"{name}: {row['rows']} rows, fewer than {smallest}: left out of the differences"
    elif 0 < row.get("positives", smallest) < smallest:
        yield f"{name}: true_positive_rate rests on {row['positives']} rows"
    elif 0 < row["rows"] - row.get("positives", 0) < smallest:
        yield f"{name}: false_positive_rate rests on {row['rows'] - row['positives']} rows"


def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Compare every group that the settings name, on rows with a column `predicted`."""
    truth, answer = estimator.truth(rows), rows["predicted"].to_numpy()
    chosen = settings.get("fairness", {})
    smallest = chosen.get("smallest_group", SMALLEST_GROUP)
    report: dict[str, Any] = {"task": "regression", "target": contract.TARGET}
    judge = REGRESSION
    if set(np.unique(truth)) <= {0, 1}:
        threshold = chosen.get("threshold", THRESHOLD)
        answer, judge = (answer >= threshold).astype(int), CLASSIFICATION
        positive = settings.get("report", {}).get("positive", "positive")
        report |= {"task": "classification", "positive": positive, "threshold": threshold}
    report |= {"smallest_group": smallest, "groups": {}, "notes": []}
    named = chosen.get("groups", {})
    for column, cuts in named.items():
        if column not in rows.columns:
            raise UnknownGroupError(f"`{column}` is no column of Row")
        of_column = groups(rows[column], cuts)
        report["groups"][column], notes = compare(truth, answer, of_column, smallest, judge)
        report["notes"] += [f"{column}, {note}" for note in notes]
    if not named:
        report["notes"] = ["No groups are named under [fairness.groups] in params.toml."]
    return report


def table(report: dict[str, Any]) -> pl.DataFrame:
    """Put the figures into one long table, to plot and to compare runs by."""
    lines = [
        (figure, f"{column} {name}", value, f"{figure}, {column} {name}")
        for column, found in report["groups"].items()
        for name, row in found["values"].items()
        for figure, value in row.items()
        if figure not in COUNTS
    ]
    kinds = {"figure": pl.String, "group": pl.String, "value": pl.Float64, "label": pl.String}
    return pl.DataFrame(sorted(lines, key=lambda line: line[:2]), schema=kinds, orient="row")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def main() -> int:
    """Write reports/fairness.json and its table; return the exit code."""
    try:
        report = assess(pl.read_parquet(PREDICTIONS), params())
    except UnknownGroupError as error:
        print(f"params.toml, [fairness.groups]: {error}.", file=sys.stderr)
        return 1
    FAIRNESS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table(report).write_csv(TABLE)
    for column, found in report["groups"].items():
        for figure, value in found["differences"].items():
            print(f"{column}: {figure} differs by {'?' if value is None else f'{value:.3f}'}")
    for note in report["notes"]:
        print(f"note: {printable(note)}")
    print(f"look at {shown(FAIRNESS)}")
    return 0
