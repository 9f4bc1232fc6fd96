"""Compare challenger and champion on every slice, and list slices that cannot be judged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rung_ops.gate.paired_test import Figure, figure_or_nan
from rung_ops.gate.rules import Rules
from rung_ops.gate.threshold import Threshold
from rung_ops.system.printable import counted, four_digits
from rung_ops.training.slice_scores import MONTH, slice_columns


@dataclass(frozen=True)
class Slice:
    """One slice of the test rows.

    Attributes:
        column, value: the rows with this value in this column.
        rows: their number.
        challenger, champion: figures, greater is better; NaN if undefined.
        judged: whether it has enough rows, and both classes if the figure needs them.
    """

    column: str
    value: str
    rows: int
    challenger: float
    champion: float
    judged: bool

    def __str__(self) -> str:
        return f"{self.column} {self.value}"


def score(
    rows: pl.DataFrame,
    truth: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    figure: Figure,
    rules: Rules,
) -> list[Slice]:
    """Score every slice of the columns that params.toml names, largest first.

    Months are skipped: they differ between test sets.
    """
    slices = []
    columns = slice_columns(rows)
    for column in columns.columns:
        if column == MONTH:
            continue
        counts = columns[column].value_counts().sort("count", column, descending=[True, False])
        for value, count in counts.iter_rows():
            if not rules.judges(column, value):
                continue
            inside = (columns[column] == value).to_numpy()
            own, others = (
                math.nan
                if predicted is None or count < rules.min_slice_rows
                else figure_or_nan(figure, truth[inside], predicted[inside])
                for predicted in (challenger, champion)
            )
            judged = math.isfinite(own) or math.isfinite(others)
            slices.append(Slice(column, value, count, own, others, judged))
    return slices


def objections(
    slices: list[Slice],
    named: list[str],
    known: list[dict[str, Any]],
    rules: Rules,
    max_drop: Threshold | None,
    sign: int,
) -> Iterator[str]:
    """Yield the reasons of slices against the challenger.

    Args:
        slices: from score().
        named: the columns under [report] slices in params.toml.
        known: slices of the champion's own evaluation that had a figure: column, value, rows.
        rules: of the gate.
        max_drop: how far a slice may fall below the champion's; None without a champion.
        sign: -1 where lower is better.
    """
    yield from _not_judged(slices, named, known, rules)
    for each in slices:
        if not each.judged:
            continue
        if not math.isfinite(each.challenger):
            yield f"{each}: the challenger has no figure on its {counted(each.rows, 'row')}"
        if max_drop and each.champion - each.challenger > max_drop.amount:
            yield (
                f"{each}: changes from {four_digits(sign * each.champion)} to "
                f"{four_digits(sign * each.challenger)} on {counted(each.rows, 'row')}; {max_drop} is allowed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for bound in rules.bounds:
        bounded = by_name.get((bound.column, bound.value))
        if bounded is None or not bounded.judged:
            rows = bounded.rows if bounded else 0
            yield f"{bound.column} {bound.value}: has a bound, but too few rows to judge ({rows:,})"
        elif not bounded.challenger >= sign * bound.bound:
            figure = sign * bounded.challenger
            yield f"{bounded}: {four_digits(figure)} misses its bound of {four_digits(bound.bound)}"


def _not_judged(
    slices: list[Slice], named: list[str], known: list[dict[str, Any]], rules: Rules
) -> Iterator[str]:
    """Yield columns and slices that cannot be judged now but could be for the champion."""
    for column in named:
        of_column = [each for each in slices if each.column == column]
        if column not in rules.ignore and not any(each.judged for each in of_column):
            largest = max((each.rows for each in of_column), default=0)
            yield (
                f"no slice of `{column}` can be judged: the largest has {counted(largest, 'row')}; "
                f"{rules.min_slice_rows} are needed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for each in known:
        column, value, before = str(each["column"]), str(each["value"]), int(each["rows"])
        if column == MONTH or before < 2 * rules.min_slice_rows:
            continue
        current = by_name.get((column, value))
        if rules.judges(column, value) and (current is None or not current.judged):
            rows = current.rows if current else 0
            yield (
                f"{column} {value}: has {counted(rows, 'row')}, too few to judge; the champion was "
                f"evaluated on {before:,}"
            )
