"""Figures of the groups of one column, and how far the groups lie apart."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import fairlearn.metrics
import numpy as np
from sklearn.metrics import mean_absolute_error

from rung_ops.predictions import inside
from rung_ops.statistics import wilson_interval
from rung_ops.system.printable import counted

COUNTS = ("rows", "positives")
DEVIATIONS = 1.96  # of the intervals: they hold the true rate 19 times in 20


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
        differences[figure] = _spread(defined)
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


def compare_classes(
    truth: np.ndarray,
    predicted: np.ndarray,
    group: np.ndarray,
    smallest: int,
    names: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column where each row is answered with one of several classes.

    Args:
        truth: place of the class in `names`, shape (n_rows,).
        predicted: place of the class that is answered, shape (n_rows,).
        group: name of each row's group, shape (n_rows,).
        smallest: a rate of fewer rows is reported but left out of the differences.
        names: of the classes.

    Returns:
        The figures of each group by class, each class against all others, with the ends of their
        95 % intervals; the largest differences of each class; and notes on them.
    """
    values: dict[str, dict[str, Any]] = {}
    for code, name in enumerate(names):
        actual, chosen = truth == code, predicted == code
        of_class, _ = compare(
            actual.astype(int), chosen.astype(int), group, smallest, CLASSIFICATION
        )
        for each, figures in of_class["values"].items():
            rows = group == each
            ends = _intervals(figures, actual[rows], chosen[rows])
            values.setdefault(each, {})[name] = {key: figures[key] for key in COUNTS} | dict(ends)
    few = few_rows(values, smallest)
    notes = [
        f"{what}: {counted(rows, 'row')}, fewer than {smallest}: left out of the differences"
        for what, rows in few.items()
    ]
    differences: dict[str, dict[str, float | None]] = {}
    for name in names:
        differences[name] = {}
        for figure in RATES:
            rates = {
                each: of_group[name][figure]
                for each, of_group in values.items()
                if each not in few and _rate(each, figure, name) not in few
            }
            defined = [rate for rate in rates.values() if rate is not None]
            differences[name][figure] = _spread(defined)
            if len(defined) < 2:
                notes.append(f"{figure} of {name}: fewer than two groups can be compared")
    return {"values": values, "differences": differences}, notes


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
                    found[_rate(group, figure, name)] = behind
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


def _rate(group: str, figure: str, name: str) -> str:
    return f"{group}, {figure} of {name}"


def _intervals(
    figures: Mapping[str, Any], actual: np.ndarray, chosen: np.ndarray
) -> Iterator[tuple[str, float | None]]:
    """Yield each rate and the ends of its interval, which is not known without rows."""
    of_rates = zip(RATES, (chosen, chosen[actual], chosen[~actual]), strict=True)
    for figure, events in of_rates:
        low = high = math.nan
        if len(events):
            low, high = wilson_interval(int(events.sum()), len(events), DEVIATIONS)
        yield figure, figures[figure]
        yield f"{figure}_low", _number(low)
        yield f"{figure}_high", _number(high)


def _spread(defined: Sequence[float]) -> float | None:
    return _number(max(defined) - min(defined)) if len(defined) > 1 else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
