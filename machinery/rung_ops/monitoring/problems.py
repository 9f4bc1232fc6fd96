"""What is wrong, each thing a sentence with the figures that say so."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from rung_ops.monitoring import drift, quality_metric
from rung_ops.monitoring.result import MonitorResult
from rung_ops.system.printable import four_digits


def problems(result: MonitorResult) -> Iterator[str]:
    """Name what is wrong: drift, missing values, defaults, bounds, age, quality."""
    for row in result.drift.iter_rows(named=True):
        name = "the predictions" if row["feature"] == drift.PREDICTION else f"`{row['feature']}`"
        if row["kind"] not in ("number", "category"):
            yield f"{name} cannot be compared: {row['kind']}"
        if row["drifted"]:
            yield (
                f"{name} drifted: {row['change']:.0%} of the rows lie elsewhere "
                f"(p = {row['p_value']:.1g}, PSI {row['psi']:.2f})"
            )
        if row["missing_rose"]:
            yield (
                f"{name} is missing in {row['missing']:.1%} of the rows, "
                f"{row['reference_missing']:.1%} in training"
            )
    looked_up = {row["feature"]: row for row in result.entity_features.iter_rows(named=True)}
    for row in result.defaults.filter(pl.col("rose")).iter_rows(named=True):
        share = f"in {row['share']:.1%} of the rows, {row['expected']:.1%} expected"
        if counts := looked_up.get(row["column"]):
            yield (
                f"the entity feature `{row['column']}` has no value {share}: the feature store had "
                f"none for {counts['missing_entities']:,} of {counts['entities']:,} entities "
                f"({counts['entity']})"
            )
        else:
            yield f"a default replaced missing `{row['column']}` {share}"
    for row in result.ranges.filter(pl.col("share") > result.limits.ranges.most).iter_rows(
        named=True
    ):
        yield (
            f"`{row['column']}` must be {row['rule']}, and {row['rows']:,} rows are not, "
            f"such as {row['example']}"
        )
    for age in result.ages.values():
        if age.stale:
            yield str(age)
    for row in result.quality.filter(pl.col("missed")).iter_rows(named=True):
        yield (
            f"the interval{_where(row)} holds {row['held']:.1%} of the outcomes "
            f"({row['held_low']:.1%} to {row['held_high']:.1%}), and QUANTILES promise "
            f"{row['promised']:.0%}: off by more than {result.limits.outcomes.most_miss:.0%}"
        )
    for row in result.quality.filter(pl.col("worse")).iter_rows(named=True):
        yield (
            f"{result.metric}{_where(row)} is {four_digits(row['figure'])} "
            f"({four_digits(row['low'])} to {four_digits(row['high'])}), "
            f"and was {four_digits(row['expected'])} on the test rows: worse by more than {row['allowed']}"
        )


def _where(row: Mapping[str, Any]) -> str:
    return "" if row["column"] == quality_metric.RECENT else f" for {row['column']} {row['value']}"
