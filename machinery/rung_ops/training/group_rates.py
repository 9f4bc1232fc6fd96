"""Figures of the groups of one column, and how far the groups lie apart."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import fairlearn.metrics
import numpy as np
from sklearn.metrics import mean_absolute_error

from rung_ops.model.target import inside
from rung_ops.system.printable import counted

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
RATES = tuple(name for name in CLASSIFICATION if name not in COUNTS)
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
            figure: int(value) if figure in COUNTS else rounded(value)
            for figure, value in row.items()
        }
        for name, row in frame.by_group.iterrows()
    }
    compared = {name: row for name, row in values.items() if row["rows"] >= smallest}
    notes = [note for name, row in values.items() for note in _notes(name, row, smallest)]
    differences = {}
    for figure in [name for name in metrics if name not in COUNTS]:
        defined = [row[figure] for row in compared.values() if row[figure] is not None]
        differences[figure] = spread(defined)
        if len(defined) < 2:
            notes.append(f"{figure}: fewer than two groups can be compared")
    return {"values": values, "differences": differences}, notes


def _notes(name: str, row: dict[str, Any], smallest: int) -> Iterator[str]:
    for figure in [figure for figure, value in row.items() if value is None]:
        yield f"{name}: {figure} is undefined, because no row counts for it"
    if row["rows"] < smallest:
        yield f"{name}: {counted(row['rows'], 'row')}, fewer than {smallest}: left out of the differences"
    elif 0 < row.get("positives", smallest) < smallest:
        yield f"{name}: true_positive_rate is computed from {counted(row['positives'], 'row')}"
    elif 0 < row["rows"] - row.get("positives", 0) < smallest:
        negatives = row["rows"] - row["positives"]
        yield f"{name}: false_positive_rate is computed from {counted(negatives, 'row')}"


def compare_intervals(
    truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, smallest: int
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column where an interval around a number is predicted.

    Args:
        truth: target values, shape (n_rows,).
        predicted: low, median and high, shape (n_rows, 3).
        group, smallest: as compare() takes them.

    Returns:
        As compare(): the errors of the median, the share of rows that the interval holds, and its
        mean width.
    """
    held, width = inside(truth, predicted), predicted[:, 2] - predicted[:, 0]
    figures = {
        name: _of_rows(predicted[:, 1], figure)
        for name, figure in REGRESSION.items()
        if name not in COUNTS
    }
    metrics = {
        "rows": fairlearn.metrics.count,
        **figures,
        "interval_coverage": lambda _, rows: float(held[np.asarray(rows)].mean()),
        "interval_width": lambda _, rows: float(width[np.asarray(rows)].mean()),
    }
    return compare(truth, np.arange(len(truth)), group, smallest, metrics)


def _of_rows(
    predicted: np.ndarray, figure: Callable[[np.ndarray, np.ndarray], float]
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Make a figure of truth and the numbers of rows, as fairlearn takes one number a row."""
    return lambda truth, rows: float(figure(np.asarray(truth), predicted[np.asarray(rows)]))


def few_rows(values: Mapping[str, Any], smallest: int) -> dict[str, int]:
    """Name what is left out of the differences, with its rows.

    Args:
        values: figures of each group, or those of each by class.
        smallest: fewer rows are left out.

    Returns:
        Groups; and where there are classes, single rates of the other groups.
    """
    found: dict[str, int] = {}
    for group, figures in values.items():
        by_class = {name: each for name, each in figures.items() if isinstance(each, Mapping)}
        rows = next(iter(by_class.values()))["rows"] if by_class else figures["rows"]
        if rows < smallest:
            found[group] = rows
            continue
        for name, of_class in by_class.items():
            for figure in RATES:
                if (behind := _rows_behind(of_class, figure)) < smallest:
                    found[rate_name(group, figure, name)] = behind
    return found


def not_measured(compared: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Name the figures of which no difference is known, as too few rows are behind them.

    Args:
        compared: values and differences of the groups of one column.

    Returns:
        By figure, of a class as `selection_rate of NAME`: the rows behind it in each group.
    """
    found = {}
    for name, difference in compared["differences"].items():
        of_class = isinstance(difference, Mapping)
        for figure, known in difference.items() if of_class else [(name, difference)]:
            if known is None:
                found[f"{figure} of {name}" if of_class else figure] = {
                    group: _rows_behind(figures[name] if of_class else figures, figure)
                    for group, figures in compared["values"].items()
                }
    return found


def _rows_behind(figures: Mapping[str, Any], figure: str) -> int:
    """Return how many rows of a group a figure is computed from."""
    rows: int = figures["rows"]
    positives: int = figures.get("positives", rows)
    return {"true_positive_rate": positives, "false_positive_rate": rows - positives}.get(
        figure, rows
    )


def rate_name(group: str, figure: str, name: str) -> str:
    """Name a rate of a class in a group."""
    return f"{group}, {figure} of {name}"


def spread(defined: Sequence[float]) -> float | None:
    """Return the largest difference of rates; None of fewer than two."""
    return rounded(max(defined) - min(defined)) if len(defined) > 1 else None


def rounded(value: float) -> float | None:
    """Return a figure as a report has it; None for NaN."""
    return None if math.isnan(value) else round(float(value), 4)
