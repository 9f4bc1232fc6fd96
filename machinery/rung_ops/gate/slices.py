"""Whether a challenger keeps up with the champion in every slice, and which slices are not there."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rung_ops.gate.paired_test import Figure, defined
from rung_ops.gate.rules import Rules
from rung_ops.training.slices import MONTH, slice_columns


@dataclass(frozen=True)
class Slice:
    """One slice of the test rows.

    Attributes:
        column, value: which rows.
        rows: how many.
        challenger, champion: greater is better; NaN where there is none.
        judged: it has rows enough, and of more than one class where the figure needs that.
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
    """Score every slice of the columns that params.toml names, the largest of each column first.

    Months are left out: they are others each time.
    """
    found = []
    columns = slice_columns(rows)
    for column in columns.columns:
        if column == MONTH:
            continue
        counts = columns[column].value_counts().sort("count", column, descending=[True, False])
        for value, count in counts.iter_rows():
            if not rules.judges(column, value):
                continue
            inside = (columns[column] == value).to_numpy()
            ours, theirs = (
                math.nan
                if predicted is None or count < rules.min_slice_rows
                else defined(figure, truth[inside], predicted[inside])
                for predicted in (challenger, champion)
            )
            judged = math.isfinite(ours) or math.isfinite(theirs)
            found.append(Slice(column, value, count, ours, theirs, judged))
    return found


def objections(
    slices: list[Slice], named: list[str], known: list[dict[str, Any]], rules: Rules, sign: int
) -> Iterator[str]:
    """Say which slices speak against the challenger, and why.

    Args:
        slices: as score() gives them.
        named: the columns under [report] slices in params.toml.
        known: slices of the champion's own evaluation that had a figure: column, value, rows.
        rules: of the gate, with max_drop in units of the figure.
        sign: -1 where lower is better.
    """
    yield from _not_judged(slices, named, known, rules)
    for each in slices:
        if not each.judged:
            continue
        if not math.isfinite(each.challenger):
            yield f"{each}: the challenger has no figure on its {each.rows:,} rows"
        if each.champion - each.challenger > rules.max_drop:
            yield (
                f"{each}: goes from {sign * each.champion:.4g} to {sign * each.challenger:.4g} "
                f"on {each.rows:,} rows; {rules.max_drop:.4g} is allowed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for bound in rules.bounds:
        found = by_name.get((bound.column, bound.value))
        if found is None or not found.judged:
            rows = found.rows if found else 0
            yield f"{bound.column} {bound.value}: has a bound, and {rows:,} rows: too few to judge"
        elif not found.challenger >= sign * bound.bound:
            yield f"{found}: {sign * found.challenger:.4g} misses its bound of {bound.bound:.4g}"


def _not_judged(
    slices: list[Slice], named: list[str], known: list[dict[str, Any]], rules: Rules
) -> Iterator[str]:
    """Name what cannot be judged: whole columns, and slices that the champion had rows for."""
    for column in named:
        there = [each for each in slices if each.column == column]
        if column not in rules.ignore and not any(each.judged for each in there):
            largest = max((each.rows for each in there), default=0)
            yield (
                f"no slice of `{column}` can be judged: the largest has {largest:,} rows, and "
                f"{rules.min_slice_rows} are needed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for each in known:
        column, value, before = str(each["column"]), str(each["value"]), int(each["rows"])
        if column == MONTH or before < 2 * rules.min_slice_rows:
            continue
        found = by_name.get((column, value))
        if rules.judges(column, value) and (found is None or not found.judged):
            rows = found.rows if found else 0
            yield (
                f"{column} {value}: {before:,} rows when the champion was evaluated, and {rows:,} "
                "now: too few to judge"
            )
